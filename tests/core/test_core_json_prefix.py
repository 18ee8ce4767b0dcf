"""A JSON object while its text arrives: nothing is decided too early, and all of it in the end."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate.core import json_prefix
from langgraph_speculate.core.draft import text_so_far
from langgraph_speculate.core.json_prefix import JsonPrefix

texts = st.text(max_size=12) | st.sampled_from(['"', "\\", "}", '{"a": 1}', "\u2028", "😀", "\\u0041", ",]"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(texts, values, max_size=5)
layouts = st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}])
randoms = st.builds(random.Random, st.integers(0, 9999))


def in_pieces(text: str, chance: random.Random) -> list[str]:
    """The text cut anywhere, empty pieces included."""
    size = chance.choice([1, 2, 3, 8, 40])
    pieces, at = [], 0
    while at < len(text):
        step = chance.randint(0, size)
        pieces.append(text[at : at + step])
        at += step
    return pieces


def fed(text: str) -> JsonPrefix:
    prefix = JsonPrefix()
    prefix.feed(text)
    return prefix


def whole(text: str) -> Any:
    """What LangChain makes of a whole text, or None: control characters may stand in texts."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


@given(objects, layouts, randoms)
@settings(max_examples=150, deadline=None)
def test_an_object_is_read_the_same_in_whatever_pieces_it_comes(
    made: dict[str, Any], layout: dict[str, Any], chance: random.Random
):
    """
    What is closed is a beginning of what `json.loads` reads, in its order; complete with the last brace, not before.
    """
    text = json.dumps(made, **layout)
    members, prefix, seen = list(made.items()), JsonPrefix(), ""
    for piece in in_pieces(text, chance):
        before = len(prefix.closed), prefix.complete
        news = prefix.feed(piece)
        seen += piece
        assert news is ((len(prefix.closed), prefix.complete) != before)
        assert not prefix.broken
        assert repr(list(prefix.closed.items())) == repr(members[: len(prefix.closed)])
        assert prefix.complete is (seen == text)
        assert seen.endswith(prefix.value_so_far())
        if prefix.open is not None:
            assert prefix.open == members[len(prefix.closed)][0]
        assert (prefix.pieces > 0) <= (prefix.value_so_far() != "")
    assert prefix.open is None
    assert prefix.value_so_far() == ""


@given(objects, layouts)
@settings(max_examples=60, deadline=None)
def test_a_member_is_decided_by_its_own_end_alone(made: dict[str, Any], layout: dict[str, Any]):
    """
    Whatever may follow: no other object begins with the text so far and has another value for what is closed.
    """
    text, prefix = json.dumps(made, **layout), JsonPrefix()
    for at, sign in enumerate(text):
        if not prefix.feed(sign) or prefix.complete:
            continue
        name = list(prefix.closed)[-1]
        for more in ("1", "x", ".5", "e1", '"', "}", " "):  # what would be more of the value
            longer = fed(text[: at + 1] + more)
            assert longer.broken or repr(longer.closed[name]) == repr(made[name])


@given(objects, layouts, randoms)
@settings(max_examples=300, deadline=None)
def test_a_text_that_is_no_object_never_completes_as_one(
    made: dict[str, Any], layout: dict[str, Any], chance: random.Random
):
    """
    Characters lost, doubled or exchanged: it says what `json.loads` says, or not that it is complete.
    """
    signs = list(json.dumps(made, **layout))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(signs) + 1)
        signs[at : at + chance.randint(0, 2)] = chance.choice(
            ["", '"', "\\", "{", "}", "[", "]", ",", ":", "1", "x", "\n"]
        )
    text, prefix = "".join(signs), JsonPrefix()
    for piece in in_pieces(text, chance):
        prefix.feed(piece)
    if prefix.complete and not prefix.broken:
        assert repr(prefix.closed) == repr(whole(text))
    else:
        assert prefix.broken or not isinstance(whole(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        '"text"',
        "12",
        "{,",
        '{"a" 1',
        '{"a":}',
        '{"a":1,}',
        '{"a":1,,',
        "{'a'",
        '{"a":1}}',
        '{"a":1} x',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061"',
        '{"a":tru,',
        '{"a":01}',
        '{"a":1 2}',
        '{"a":[}]}',
        '{"a":"\\x"',
    ],
)
def test_what_is_no_object_or_takes_back_what_it_said_is_broken(text: str):
    """
    Also a member that comes twice: a reader of the first would be wrong about the second.
    """
    for pieces in ([text], list(text)):
        prefix = JsonPrefix()
        told = [prefix.feed(piece) for piece in pieces]
        assert prefix.broken
        assert told[-1]
        assert prefix.feed("}")


@pytest.mark.parametrize("value", ["1", "-1.5e3", "true", "null", "NaN"])
def test_numbers_and_words_are_open_until_a_delimiter(value: str):
    """
    `12` may become `123`.
    """
    prefix = JsonPrefix()
    assert not prefix.feed(f'{{"a": {value}')
    assert (prefix.closed, prefix.open, prefix.value_so_far()) == ({}, "a", value)
    assert prefix.feed(" ,")
    assert repr(prefix.closed) == repr({"a": json.loads(value)})


def test_line_breaks_in_texts_are_taken_as_langchain_takes_them():
    """
    `parse_partial_json` is not strict, and models do write them.
    """
    assert fed('{"a": "one\ntwo\t"}').closed == {"a": "one\ntwo\t"}


def test_braces_and_quotes_in_texts_are_text():
    """
    Also behind backslashes, wherever the pieces are cut.
    """
    text = '{"a": "}\\\\\\"{", "b": {"c": "]}", "d": [[], {}]}}'
    for size in range(1, 9):
        prefix = JsonPrefix()
        for at in range(0, len(text), size):
            prefix.feed(text[at : at + size])
        assert prefix.complete
        assert prefix.closed == {"a": '}\\"{', "b": {"c": "]}", "d": [[], {}]}}


@pytest.mark.parametrize("piece", ["x" * 1000, "[" * 1000, "\\u00e9" * 200, " " * 1000, "1" * 1000])
def test_what_never_ends_is_given_up(piece: str, monkeypatch: pytest.MonkeyPatch):
    """
    After so many characters, whatever they are.
    """
    monkeypatch.setattr(json_prefix, "MAX_CHARACTERS", 10_000)
    prefix = JsonPrefix()
    prefix.feed('{"a": "' if piece[0] in "x\\" else '{"a": ')
    told = [prefix.feed(piece) for _ in range(11)]
    assert prefix.broken
    assert told[-1]


def test_values_nested_beyond_reason_break_it_and_nothing_else():
    """
    No recursion error comes out.
    """
    prefix = fed('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}")
    assert prefix.broken or prefix.complete


@given(
    st.text(max_size=20) | st.lists(st.sampled_from(["😀", "é", "\\", '"', "\n", "a"]), max_size=9).map("".join),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_the_text_so_far_is_always_a_beginning_of_the_text(text: str, ascii_only: bool):
    """
    Half an escape and half a surrogate pair count as not there yet; the rest is there at once.
    """
    written = json.dumps(text, ensure_ascii=ascii_only)[:-1]
    for end in range(1, len(written) + 1):
        so_far = text_so_far(written[:end])
        assert text.startswith(so_far)
        assert len(written[:end]) - len(json.dumps(so_far, ensure_ascii=ascii_only)[:-1]) < 12
    assert text_so_far(written) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('"', ""),
        ('"a\\', "a"),
        ('"a\\u', "a"),
        ('"a\\u00e', "a"),
        ('"a\\u00e9', "aé"),
        ('"\\ud83d', ""),
        ('"\\ud83d\\', ""),
        ('"\\ud83d\\ude0', ""),
        ('"\\ud83d\\ude00', "😀"),
        ('"a\\\\', "a\\"),
        ('"one\n\\"', 'one\n"'),
        ('"\\x', ""),
    ],
)
def test_the_text_so_far_ends_before_what_is_half_an_escape(written: str, text: str):
    assert text_so_far(written) == text
