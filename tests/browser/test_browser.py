"""The browser that pages are looked at with notices what the tests here rely on it to notice."""

from __future__ import annotations

from tests.browser.screens import PHONE, complaints, overflow

FINE = '<!doctype html><html lang="en"><title>t</title><main><h1>Fine</h1><p>Text</p></main></html>'


def test_a_page_that_everybody_can_use_has_no_barriers(page, barriers):
    """
    A heading, a language, text to be read: nothing to find.
    """
    page.set_content(FINE)

    assert barriers() == []


def test_a_picture_without_words_is_a_barrier(page, barriers):
    """
    The check for accessibility would tell.
    """
    page.set_content(FINE.replace("Text", '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'))

    assert [barrier.split(":")[0] for barrier in barriers()] == ["image-alt"]


def test_a_page_that_breaks_or_calls_elsewhere_is_noticed(bare_page):
    """
    An error in a script, a line on the console, and a request that would leave the machine.
    """
    wrong = complaints(bare_page)
    bare_page.route("**/*.example/**", lambda route: route.abort())

    bare_page.set_content("<script>console.error('no'); undefined.x</script><img src='http://a.example/'>")

    assert {complaint.split(":")[0].split(" http")[0] for complaint in wrong} >= {"raised", "logged", "asked for"}


def test_what_does_not_fit_a_phone_is_noticed(page):
    """
    A page one has to push to the side says by how much.
    """
    page.set_content(FINE.replace("<p>", '<p style="width: 1000px">'))
    wide = overflow(page)

    page.set_viewport_size(PHONE)

    assert (wide, overflow(page) > 500) == (0, True)


def test_a_picture_of_the_page_is_kept(page, shot):
    """
    Pictures are test artefacts, outside of git.
    """
    page.set_content(FINE)

    assert shot("browser").read_bytes().startswith(b"\x89PNG")
