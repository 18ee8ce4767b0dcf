"""Which record of a result is meant: each way of telling has a test that fails without it."""

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.predict.indexes import result_index
from langgraph_speculate.predict.mentions import BESIDE, NEAR, PLAIN, Mentions
from tests.lessons import best, history_of, taught


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
