"""Values inside of texts: where a slot may be, and what fills it."""

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.predict.templates import pieces
from tests.lessons import best, history_of, taught


@pytest.mark.parametrize(
    "template",
    [
        "host:{}",
        "/orders/{}",
        "user-{}",
        "{}.json",
        "#{}",
        "{}@corp.example",
        "logs/{}.log",
        "repo:{} is:open",
        "tag:{} env:prod",
        "q={}&size=5",
        "https://api.example/v2/eu/orders/{}",
        "https://{}.api.example/v2/eu/orders/all.json",
    ],
)
def test_a_slot_may_begin_and_end_at_a_sign(template):
    """
    A value inside of a word is found once two others stood in its place.
    """

    def step(n):
        return history_of("Go", ("whoami", {}, {"id": f"a{n}f", "home": f"c{n * 7}b"}))

    predictor = taught((step(n), Call("find", {"q": template.format(f"a{n}f")})) for n in (3_107, 5_110, 4_903))
    assert best(predictor, step(6_222)) == ("find", {"q": template.format("a6222f")})


def test_a_slot_may_hold_signs_itself():
    """
    Of several ways to cut a word, the one that is found counts.
    """

    def step(name):
        return history_of("Go", ("pick", {}, {"full_name": name}))

    names = ["acme/web-shop", "zoo/api.core", "ox/k-9"]
    predictor = taught((step(name), Call("find", {"q": f"repo:{name} is:open"})) for name in names)
    assert best(predictor, step("moon/base-1")) == ("find", {"q": "repo:moon/base-1 is:open"})


def test_one_value_proves_no_slot():
    """
    A part of a word that stood somewhere once may be there by chance.
    """
    history = history_of("Go", ("whoami", {}, {"id": "a310f"}))
    predictor = taught([(history, Call("find", {"q": "host:a310f"}))])
    other = history_of("Go", ("whoami", {}, {"id": "a777f"}))
    assert all(one.call.args != {"q": "host:a777f"} for one in predictor.predict(other, k=9))


def test_the_work_for_one_text_is_bounded():
    """
    However many signs there are, no more than a few dozen parts are looked up.
    """
    assert len(pieces(" ".join(f"https://a{n}.b.c/d/e-{n}/f?g={n}&h=i" for n in range(40))[:160])) < 150
