"""Which record of a result is meant: each way of telling has a test that fails without it."""

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.predict.conditions import condition_of
from langgraph_speculate.predict.indexes import result_index
from langgraph_speculate.predict.mentions import BESIDE, NEAR, PLAIN, Mentions
from langgraph_speculate.predict.sources import Source, words_of_source
from langgraph_speculate.predict.words import patterns_in
from tests.lessons import best, history_of, taught


def rows(number, at, field, right, wrong):
    records = [{"id": f"j{number}{place}", field: right if place == at else wrong} for place in range(5)]
    return history_of("Look into it", ("list", {}, {"jobs": records})), f"j{number}{at}"


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("status", "failed", "ok"),
        ("state", "NOT_READY", "READY"),
        ("is_default", True, False),
        ("archived", False, True),
    ],
)
def test_the_record_that_is_in_a_certain_state_is_meant(field, right, wrong):
    """
    Of many records the one that alone has the word, or the flag, that the right ones had.
    """
    lessons = [rows(number, number % 5, field, right, wrong) for number in range(1, 7)]
    predictor = taught((history, Call("get", {"id": record})) for history, record in lessons)
    for at in range(5):
        history, record = rows(9, at, field, right, wrong)
        assert best(predictor, history) == ("get", {"id": record})


def test_the_last_of_very_many_is_found():
    """
    The end of a list is known for itself where the list is too long for all of it to be looked at.
    """

    def step(number, count):
        ids = [f"b{number}{place}" for place in range(count)]
        return history_of("Go", ("list", {}, {"builds": [{"id": one} for one in ids]})), ids[-1]

    lessons = [step(number, 20 + number) for number in range(1, 5)]
    predictor = taught((history, Call("get", {"id": last})) for history, last in lessons)
    history, last = step(9, 40)
    assert best(predictor, history) == ("get", {"id": last})


def test_the_word_of_a_condition_waits_until_many_had_it():
    """
    A flag's name is the name of a field, and a word may be somebody's: neither is written for one thread alone.
    """
    for value, wrong in (("widowed", "single"), (True, False)):
        lessons = [rows(number, number % 5, "marital", value, wrong) for number in range(1, 9)]
        predictor = taught((history, Call("get", {"id": record})) for history, record in lessons)
        assert not any("widowed" in part or "marital" in part for key in predictor.take()[""] for part in key)


def test_conditions_are_told_in_words():
    """
    People read which records are meant, and what is filled into a text is no condition.
    """
    key = ("pick", "get", "id", "?failed", "json", "list", ".jobs.*.id", "list", "new 0 of 1")
    assert "id in the result of list, where failed" in patterns_in({key: (9.0, 9.0)})[0].text
    assert condition_of("?{}") is None


def test_halves_are_told_in_words():
    """
    People read which part of a text is meant; the name of its field is a field's name still.
    """
    key = ("pick", "get", "day", "{}", "json", "list", ".jobs.*.at|T1", "list", "new 0 of 1")
    assert "day of jobs.*.at in the result of list" in patterns_in({key: (9.0, 9.0)})[0].text
    whole, day = (words_of_source(Source("json", "list", f".jobs.*.at{half}")) for half in ("", "|T1"))
    assert day == whole
    assert ("list", "müller|x") in words_of_source(Source("json", "list", ".müller|x.at"))


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("What about project {}?", ["Amber", "Birch", "Cedar", "Delta", "Ember"]),
        ("what about the {} project", ["amber", "birch", "cedar", "delta", "ember"]),
        ("Is {} late?", ["HAT039", "HAT142", "HAT001", "HAT770", "HAT555"]),
        ("I mean number {}.", [4_711, 5_200, 9_913, 3_140, 2_718]),
        ("please ask {} about it", ["Ann Li", "Raj Brown", "Ivan Kim", "Olga Ruiz", "Eva Rossi"]),
    ],
    ids=["name", "word", "code", "number", "full name"],
)
def test_the_record_that_was_named_is_meant(said, names):
    """
    The id beside the name that the user said is taken, wherever it stands in the list.
    """

    def step(number, at):
        records = [{"id": f"p{number}{place}", "name": name} for place, name in enumerate(names)]
        return history_of(said.format(names[at]), ("list", {}, {"records": records})), f"p{number}{at}"

    lessons = [step(number, number * 2 % 5) for number in range(1, 6)]
    predictor = taught((history, Call("get", {"id": record})) for history, record in lessons)
    for at in range(5):
        history, record = step(9, at)
        assert best(predictor, history) == ("get", {"id": record})


def marks_of(said, *records, args=None):
    call = history_of(("list", args or {}, {"records": list(records)})).calls[0]
    return Mentions((said,)).marks(result_index(call).items[".records.*.id"], {call.id: call})


def test_what_stands_in_every_record_tells_none_from_the_others():
    """
    A word of the user's that all records of a result hold says nothing about which of them is meant.
    """
    records = [{"id": f"p{at}", "kind": "project"} for at in range(3)]
    assert marks_of("Which project?", *records) is None
    assert marks_of("Which project?", *records, args={"owner": "project"}) is None
    assert marks_of("Which, HAT039?", *records, args={"owner": "HAT039"}) == [NEAR] * 3
    records[1]["name"] = "Amber"
    assert marks_of("Which, Amber?", *records) == [PLAIN, BESIDE, PLAIN]
