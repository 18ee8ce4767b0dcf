"""Hosts as people write them."""

from __future__ import annotations

import pytest

from langgraph_speculate.policy.hosts import normal_host, unicode_of


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("docs.python.org", "docs.python.org"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("a.xn--bcher-kva.example", "a.bücher.example"),
        ("xn--", "xn--"),
        ("xn--zzzzzzzzzz99.example", "xn--zzzzzzzzzz99.example"),
        ("8.8.8.8", "8.8.8.8"),
        ("Docs.Python.ORG", "Docs.Python.ORG"),
        ("", ""),
    ],
)
def test_a_host_is_shown_as_it_is_written(host: str, text: str):
    """
    What is no true name stays as it is.
    """
    assert unicode_of(host) == text


def test_what_is_shown_is_the_same_host():
    """
    There and back.
    """
    assert normal_host(unicode_of("xn--bcher-kva.example")) == "xn--bcher-kva.example"
