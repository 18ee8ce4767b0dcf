"""A message that is being written: put together as LangChain does it, whatever order its pieces come in."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langgraph_speculate.core import Call
from langgraph_speculate.core.draft import Draft, DraftCall, News

Piece = tuple[Any, str | None, str | None, str | None]
"""Index, id, name, arguments."""


def merged(pieces: Sequence[Piece]) -> AIMessageChunk:
    """What LangChain makes of the pieces, each in a chunk of its own."""
    message = AIMessageChunk("")
    for index, id, name, args in pieces:
        chunk: Any = {"index": index, "id": id, "name": name, "args": args, "type": "tool_call_chunk"}
        message += AIMessageChunk("", tool_call_chunks=[chunk])
    return message


def drafted(pieces: Sequence[Piece]) -> tuple[Draft, list[tuple[int, str]]]:
    """The draft, and what it told: number of the call, news."""
    draft, told = Draft(), []
    for piece in pieces:
        for call, news in draft.write(*piece):
            told.append((next(at for at, one in enumerate(draft.calls) if one is call), news.name))
    return draft, told


def calls_of(draft: Draft) -> list[tuple[Any, str, dict[str, Any]]]:
    return [(call.id, call.name, dict(call.closed)) for call in draft.calls if call.complete and not call.void]


# -- against LangChain -----------------------------------------------------------------------------------------------

ARGS: list[dict[str, Any]] = [{}, {"id": 1}, {"id": 12, "q": "a, b}"}, {"q": 'x"\\'}, {"list": [1, {"a": None}]}]
STYLES = ["openai", "anthropic", "whole"]


def proper_pieces(chance: random.Random, style: str) -> list[Piece]:
    """A message as a provider streams it."""
    pieces: list[Piece] = []
    for number in range(chance.randint(1, 4)):
        index, text = number + (style == "anthropic"), json.dumps(chance.choice(ARGS))
        id, name = f"call_{number}", chance.choice(["get", "find"])
        if style == "whole":
            pieces.append((None, id, name, text))
            continue
        text = "" if style == "anthropic" and text == "{}" else text
        cuts = sorted(chance.choices(range(len(text) + 1), k=3))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        pieces += [(index, id, name, ""), *((index, None, None, part) for part in parts)]
    return pieces


def improper_pieces(chance: random.Random) -> list[Piece]:
    """A message as no provider should stream it."""
    mixed = proper_pieces(chance, chance.choice(STYLES))
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(mixed)), chance.randrange(len(mixed))
        index, id, name, text = mixed[at]
        mixed[at] = chance.choice(
            [
                (chance.choice([0, 1, None]), id, name, text),
                (index, chance.choice([None, "", "call_0", "call_1", "other"]), name, text),
                (index, id, chance.choice([None, "", "get", "_more"]), text),
                (index, id, name, chance.choice([None, "", " ", "{", "}", '"', "1", '{"id": 1}'])),
                mixed[other],
            ]
        )
    if chance.random() < 0.3:
        chance.shuffle(mixed)
    return mixed


@pytest.mark.parametrize("seed", range(30))
def test_a_call_that_is_complete_is_one_of_the_message_that_langchain_merges(seed: int):
    """
    With its id, its name and its arguments, however pieces mix, repeat or contradict each other.
    """
    chance = random.Random(seed)
    for _ in range(60):
        pieces = improper_pieces(chance)
        draft, _ = drafted(pieces)
        made = [repr((one["id"] or None, one["name"], one["args"])) for one in merged(pieces).tool_calls]
        for id, name, args in calls_of(draft):
            assert repr((id or None, name, args)) in made, pieces


@pytest.mark.parametrize("seed", range(10))
def test_what_was_complete_and_is_not_so_in_the_end_was_revised(seed: int):
    """
    Each call that was ever told to be complete, with arguments, is in the end what it was then, or void.
    """
    chance = random.Random(seed)
    for _ in range(60):
        draft, told = Draft(), list[tuple[DraftCall, Call]]()
        for piece in improper_pieces(chance):
            told += [(one, one.call()) for one, news in draft.write(*piece) if news is News.COMPLETE and one.closed]
        assert len({id(one) for one, _ in told}) == len(told), "once a call"
        for one, call in told:
            assert one.void or (one.complete and one.call() == call)


@pytest.mark.parametrize("style", STYLES)
def test_every_call_of_a_proper_stream_is_told_once(style: str):
    """
    And nothing is revised; a last call without any arguments is open until the message ends.
    """
    chance = random.Random(1)
    for _ in range(100):
        pieces = proper_pieces(chance, style)
        draft, told = drafted(pieces)
        made = [(one["id"], one["name"], one["args"]) for one in merged(pieces).tool_calls]
        if not draft.calls[-1].complete:
            assert made.pop()[2] == {}
        assert calls_of(draft) == made
        assert sorted(at for at, news in told if news == "COMPLETE") == list(range(len(made)))
        assert "REVISED" not in [news for _, news in told]


# -- one rule each ---------------------------------------------------------------------------------------------------


def test_pieces_of_one_index_are_one_call():
    """
    Also when others come in between.
    """
    pieces: list[Piece] = [
        (0, "a", "get", '{"id": '),
        (1, "b", "find", '{"q": "'),
        (0, None, None, "1}"),
        (1, None, None, 'x"}'),
    ]
    draft, told = drafted(pieces)
    assert calls_of(draft) == [("a", "get", {"id": 1}), ("b", "find", {"q": "x"})]
    assert told == [(0, "NAMED"), (1, "NAMED"), (0, "COMPLETE"), (1, "COMPLETE")]


def test_another_id_begins_another_call_of_the_same_index():
    """
    What follows without an id goes to the first of them, as LangChain has it.
    """
    pieces: list[Piece] = [(0, "a", "get", '{"id"'), (0, "b", "get", '{"id": 2}'), (0, None, None, ": 1}")]
    draft, _ = drafted(pieces)
    assert [(call["id"], call["args"]) for call in merged(pieces).tool_calls] == [("a", {"id": 1}), ("b", {"id": 2})]
    assert calls_of(draft) == [("a", "get", {"id": 1}), ("b", "get", {"id": 2})]


def test_a_piece_without_an_index_is_a_call_of_its_own():
    """
    Two of them never become one.
    """
    draft, told = drafted([(None, "a", "get", '{"id": 1}'), (None, "a", "get", '{"id": 1}'), (None, None, None, "{")])
    assert calls_of(draft) == [("a", "get", {"id": 1})] * 2
    assert len(draft.calls) == 3
    assert [news for _, news in told] == ["NAMED", "COMPLETE"] * 2


def test_an_id_that_comes_later_is_the_calls():
    """
    Neither an empty one nor none takes it away.
    """
    draft, _ = drafted([(0, None, "get", ""), (0, "a", None, '{"id"'), (0, "", None, ": 1}"), (0, None, None, " ")])
    assert calls_of(draft) == [("a", "get", {"id": 1})]


def test_a_call_is_complete_when_its_name_is_told_too():
    """
    Arguments alone are no call.
    """
    draft, told = drafted([(0, "a", None, '{"id": 1}'), (1, "b", "find", ""), (0, None, "get", None)])
    assert told == [(1, "NAMED"), (0, "NAMED"), (0, "COMPLETE")]
    assert calls_of(draft) == [("a", "get", {"id": 1})]


def test_a_name_that_goes_on_after_it_was_told_is_revised():
    """
    `get` that becomes `get_all` is another tool, and the call tells nothing from then on.
    """
    draft, told = drafted([(0, "a", "get", '{"id": 1}'), (0, None, "_all", ""), (0, None, None, '{"id": 2}')])
    assert [news for _, news in told] == ["NAMED", "COMPLETE", "REVISED"]
    assert draft.calls[0].void
    assert draft.current is None
    assert not draft.may_make(Call("get", {"id": 1}))


@pytest.mark.parametrize("more", ['{"id": 2}', "x", "}", ","])
def test_arguments_that_go_on_after_their_end_are_revised(more: str):
    """
    All but white space.
    """
    draft, told = drafted([(0, "a", "get", '{"id": 1}'), (0, None, None, " \n"), (0, None, None, more)])
    assert [news for _, news in told] == ["NAMED", "COMPLETE", "REVISED"]
    assert calls_of(draft) == []


def test_arguments_that_can_be_no_object_are_revised_at_once():
    """
    And nothing that follows is read.
    """
    draft, told = drafted([(0, "a", "get", "["), (0, None, None, '{"id": 1}')])
    assert [news for _, news in told] == ["NAMED", "REVISED"]
    assert draft.calls[0].closed == {}


def test_a_call_without_arguments_is_complete_when_the_next_begins():
    """
    It is taken back if arguments come after all, and complete once more with them.
    """
    begun: list[Piece] = [(0, "a", "get", ""), (1, "b", "find", "")]
    draft, told = drafted(begun)
    assert told == [(0, "NAMED"), (0, "COMPLETE"), (1, "NAMED")]
    assert calls_of(draft) == [("a", "get", {})]
    draft, _ = drafted([*begun, (0, None, None, '{"id": 1')])
    assert not draft.calls[0].complete
    draft, told = drafted([*begun, (0, None, None, '{"id": 1}')])
    assert told[-1] == (0, "COMPLETE")
    assert calls_of(draft) == [("a", "get", {"id": 1})]


def test_the_end_of_no_arguments_is_told_once():
    """
    By the next call or by its own braces, whichever comes first.
    """
    once = [(0, "NAMED"), (0, "COMPLETE"), (1, "NAMED")]
    assert drafted([(0, "a", "get", ""), (1, "b", "find", ""), (0, None, None, "{}")])[1] == once
    assert drafted([(0, "a", "get", "{}"), (1, "b", "find", "")])[1] == once


def test_white_space_in_place_of_arguments_completes_nothing():
    """
    LangChain makes an invalid call of it.
    """
    for pieces in (
        [(0, "a", "get", " "), (1, "b", "find", '{"q": "x"}')],
        [(0, "a", "get", ""), (1, "b", "find", '{"q": "x"}'), (0, None, None, " ")],
    ):
        assert [call["id"] for call in merged(pieces).tool_calls] == ["b"]
        assert calls_of(drafted(pieces)[0]) == [("b", "find", {"q": "x"})]


@pytest.mark.parametrize("index", [[0], {}, "0", 1.5])
def test_an_index_that_langchain_does_not_merge_by_joins_nothing(index: Any):
    """
    Whatever it is; unhashable ones too.
    """
    draft = Draft()
    draft.write(index, "a", "get", '{"id": ')
    draft.write(index, None, None, "1}")
    assert calls_of(draft) == []
    assert len(draft.calls) == 2


# -- what may still come of it ---------------------------------------------------------------------------------------


def writing(text: str) -> DraftCall:
    draft = Draft()
    draft.write(0, "a", "get", text)
    return draft.calls[0]


@pytest.mark.parametrize(
    ("text", "fits", "does_not"),
    [
        ("", [{}, {"id": 1}, {"q": "x"}], []),
        ("{", [{}, {"id": 1}], []),
        ('{"id": ', [{"id": 1}, {"id": "x"}, {"id": None}], [{}, {"q": "x"}]),
        ('{"id": 1', [{"id": 1}, {"id": 17}, {"id": 1.5}], [{"id": 2}, {"id": "1"}, {"id": True}, {"id": [1]}]),
        ('{"id": 1,', [{"id": 1}, {"id": 1, "q": "x"}], [{"id": 17}, {"id": 1.0}, {"id": True}]),
        ('{"id": 1}', [{"id": 1}], [{"id": 1, "q": "x"}, {}]),
        ('{"q": "ab', [{"q": "ab"}, {"q": "abc"}], [{"q": "a"}, {"q": "b"}, {"q": None}, {"q": ["ab"]}]),
        ('{"q": "a\\u00e', [{"q": "aé"}, {"q": "ax"}], [{"q": "x"}]),
        ('{"q": "ab"', [{"q": "ab"}], [{"q": "abc"}]),
        ('{"l": [1', [{"l": [1]}, {"l": [2]}, {"l": (1,)}], [{"l": "["}, {"l": {}}, {"l": 1}]),
        ('{"l": {', [{"l": {}}, {"l": {"a": 1}}], [{"l": []}, {"l": None}]),
        ('{"b": t', [{"b": True}], [{"b": False}, {"b": "t"}, {"b": None}]),
        ('{"b": null', [{"b": None}], [{"b": 0}]),
    ],
)
def test_a_guess_fits_until_what_is_written_contradicts_it(
    text: str, fits: list[dict[str, Any]], does_not: list[dict[str, Any]]
):
    """
    Values are compared by type and sign by sign; a guess of another tool never fits.
    """
    call = writing(text)
    assert [args for args in [*fits, *does_not] if call.may_become(Call("get", args))] == fits
    assert not any(call.may_become(Call("other", args)) for args in fits)


def test_a_message_may_make_what_any_of_its_calls_may_become():
    """
    And nothing before the first has begun.
    """
    draft = Draft()
    draft.say("I will ")
    draft.say("get it.")
    assert not draft.may_make(Call("get"))
    draft.write(0, "a", "get", '{"id": 1}')
    draft.write(1, "b", "find", "")
    assert draft.may_make(Call("get", {"id": 1}))
    assert draft.may_make(Call("find", {"q": "x"}))
    assert not draft.may_make(Call("get", {"id": 2}))
    assert (draft.text, draft.length) == ("I will get it.", 14)


@pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}, b"x", {1, 2}])
def test_guesses_with_values_that_json_does_not_have_raise_nothing(value: Any):
    """
    They fit or they do not.
    """
    for text in ("", '{"a": ', '{"a": 1', '{"a": "x', '{"a": [', '{"a": {', '{"a": 1}', '{"a": "x"}', '{"a": []}'):
        assert writing(text).may_become(Call("get", {"a": value})) in (True, False)
