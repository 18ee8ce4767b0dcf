"""T23, for patterns on disk: the roads by which a word of somebody's could reach a key of what is written down.

Structure is written at once, words once five threads of five partitions had them. Each road here is tried with few
threads (or with a word that its user said), and nothing of the secret may be in what the predictor hands over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import ScriptedModel, ask, drive, make_tool, sync_only_graph, tool_node_graph
from langchain_core.messages import AIMessage

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.predict import PartitionedPredictor, default_predictor
from langgraph_speculate.predict.ledger import Evidence
from langgraph_speculate.predict.said import Said

Step = tuple[str, dict[str, Any], Any]  # a tool, its arguments, and its result


def _run(said: str, *steps: Step) -> Iterator[tuple[list[dict[str, Any]], list[Call]]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": said}]
    for number, (name, args, result) in enumerate(steps):
        yield list(messages), [Call(name, args)]
        content = result if isinstance(result, str) else json.dumps(result)
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [{"id": str(number), "name": name, "args": args}]},
            {"role": "tool", "tool_call_id": str(number), "content": content},
        ]
    yield messages, []


def _learn(predictor: PartitionedPredictor, threads: Iterable[Origin], said: str, *steps: Step) -> None:
    for origin in threads:
        for messages, calls in _run(said, *steps):
            history = History.from_messages(messages, origin=origin)
            predictor.predict(history, k=5)
            predictor.learn(history, calls)


def _written(predictor: PartitionedPredictor) -> str:
    return repr(predictor.take())


def _threads(count: int, partition: str = "") -> list[Origin]:
    return [Origin(partition, f"{partition}-{number}") for number in range(count)]


def _tenants(count: int) -> list[Origin]:
    return [Origin(f"tenant-{number}", f"thread-{number}") for number in range(count)]


@pytest.mark.parametrize("secret", ["иванов", "张伟", "Ελένη", "groß", "josÉ"])
def test_identifiers_in_any_alphabet_are_told_by_their_shape_alone(secret: str) -> None:
    """
    Shapes knew the letters of western Europe only, and told others as they are.
    """
    predictor = default_predictor()
    for token in (f"{secret}_9", f"a_{secret}_9"):
        _learn(predictor, _threads(3), f"I am {token}", ("find", {"id": token}, f"name: {token}\n{token}"))
    written = _written(predictor)
    assert not [letter for letter in secret if not letter.isascii() and letter in written]
    assert "id:a_9" in written


ROADS: dict[str, tuple[Step, ...]] = {
    "keys in arguments": (("find", {"wants": {"oncology": True}}, "ok"),),
    "keys in results": (
        ("find", {"all": True}, {"oncology": {"id": "W7-1"}}),
        ("open", {"id": "W7-1"}, "ok"),
    ),
    "keys with dots": (
        ("find", {"all": True}, {"ann.oncology": {"id": "W7-1"}}),
        ("open", {"id": "W7-1"}, "ok"),
    ),
    "labels": (("find", {"all": True}, "oncology: W7-1"), ("open", {"id": "W7-1"}, "ok")),
    "commands": (("bash", {"command": "oncology -l"}, "ok"), ("open", {"all": True}, "ok")),
    "templates": (
        ("find", {"all": True}, {"ids": ["W7-1", "W7-2"]}),
        ("open", {"path": "oncology/W7-1"}, "ok"),
        ("open", {"path": "oncology/W7-2"}, "ok"),
    ),
    "lists in arguments": (("find", {"wards": [["oncology"], {"a": [{"b": "oncology"}]}]}, "ok"),),
}


@pytest.mark.parametrize("road", ROADS)
def test_a_word_of_few_threads_reaches_no_key(road: str) -> None:
    """
    Three threads; and, as a control, twenty.
    """
    for threads, is_there in ((3, False), (20, True)):
        predictor = default_predictor()
        _learn(predictor, _threads(threads), "Hello", *ROADS[road])
        assert ("oncology" in _written(predictor)) == is_there


def test_commands_of_private_tools_are_in_no_context() -> None:
    """
    They were: in those of other tools' arguments.
    """
    predictor = default_predictor()
    predictor.private = lambda tool: tool == "bash"
    steps = ("bash", {"command": "oncology -l"}, "ok"), ("open", {"id": "W7-1"}, "ok")
    _learn(predictor, _threads(20), "It is W7-1", *steps)
    written = _written(predictor)
    assert "oncology" not in written
    assert "'open'" in written


def test_the_end_of_a_command_is_not_taken_for_a_mark() -> None:
    """
    `pin4100` is not `pin41`, however many have called that.
    """
    predictor = default_predictor()
    _learn(predictor, _threads(9), "Hello", ("bash", {"command": "pin41 -l"}, "ok"))
    _learn(predictor, _threads(1, "other"), "Hello", ("bash", {"command": "pin4100 -l"}, "ok"))
    written = _written(predictor)
    assert "pin41" in written
    assert "pin4100" not in written


FORMS = [
    ("from jfk.", "JFK"),
    ("I pay 1,234 for it", 1234),
    ("I pay $1,234.00 for it", 1234.0),
    ("my number is (555) 010-4477", "5550104477"),
    ("my number is 5550104477", "+1 555-010-4477"),
    ("on May 5th", "2024-05-05"),
    ("I am JANE  smith", "Smith, Jane"),
    ("I am jane smith", "Dear Ms Smith, thank you"),
    ("ＪＡＮＥ", "jane"),
    ("Weststrasse", "WESTSTRAßE"),
    ("it is **!?", "**!?"),
]


@pytest.mark.parametrize(("said", "value"), FORMS)
def test_what_users_say_is_known_again_in_other_forms(said: str, value: Any) -> None:
    """
    Twenty users say it, so that nobody's run is evidence.
    """
    predictor = default_predictor()
    _learn(predictor, _tenants(20), said, ("find", {"nested": {"deep": [value]}, "plain": value}, "ok"))
    taken = predictor.take()
    assert taken
    assert not [key for sums in taken.values() for key in sums if key[0] in ("value", "call") and key[-1]]


def test_a_turn_of_any_length_is_heard() -> None:
    """
    Beyond a limit all counts as said, rather than nothing.
    """
    long = History.from_messages([{"role": "user", "content": "x " * 150_000}])
    assert "economy" in Said(long)
    assert "economy" not in Said(History())


def test_names_that_a_model_made_up_are_not_written_down(tmp_path: Path) -> None:
    """
    A model that calls `book_for_jane`, or gives `book` an argument `jane`: the graph has neither.
    """
    script = [
        ask(("book_for_jane", {"id": "7"})),
        ask(("look", {"jane": "7"})),
        ask(("look", {"id": "7"}), ("look", {"jane": "x", "id": "7"})),
        AIMessage("done"),
    ]
    tool = make_tool("look", lambda id: f"about {id}", "both")
    for wanted, named in ((script, False), (script[2:], False), ([ask(("look", {"id": "7"})), script[3]], True)):
        path = tmp_path / f"{len(wanted)}{named}.db"
        graph = speculate(tool_node_graph(ScriptedModel(script=wanted), [tool]), patterns=path)
        for thread in range(8):
            drive(graph, "invoke", config={"configurable": {"thread_id": f"t{thread}"}})
        speculation_of(graph).close()
        assert "jane" not in repr(SqlitePatterns(path).load(""))
        assert (("shape", "look", "id") in SqlitePatterns(path).load("")) == named


def test_a_conversation_without_an_id_is_one_thread_in_all_its_runs(tmp_path: Path) -> None:
    """
    A client that sends the whole conversation along, twelve times: what it holds has turned up once.
    """
    path = tmp_path / "patterns.db"
    tool = make_tool("look", lambda id: f"about {id}", "both")
    graph = speculate(
        sync_only_graph(ScriptedModel(script=[ask(("look", {"id": "jane"})), AIMessage("done")]), [tool]), patterns=path
    )
    messages: list[Any] = [("user", "Hello, it is me")]
    for _ in range(12):
        drive(graph, "invoke", {"messages": messages})
        messages += [("assistant", "done"), ("user", "And again")]
    speculation_of(graph).close()
    assert "jane" not in repr(SqlitePatterns(path).load(""))


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_what_was_forgotten_is_no_evidence() -> None:
    """
    Four others and one who is forgotten are not five.
    """
    predictor, step = default_predictor(), ("find", {"ward": "oncology"}, "ok")
    _learn(predictor, _tenants(4), "Hello", step)
    for origin in _tenants(4)[:1]:
        predictor.forget(origin.partition)
    _learn(predictor, [Origin("new", "new")], "Hello", step)
    assert "oncology" not in _written(predictor)
    _learn(predictor, [Origin("newer", "newer")], "Hello", step)
    assert "oncology" in _written(predictor)


def test_evidence_of_one_tenants_many_threads_does_not_pile_up() -> None:
    """
    10,000 threads of one partition are remembered as five.
    """
    evidence = Evidence()
    for number in range(10_000):
        assert not evidence.see(("find", "economy"), Origin("acme", f"thread-{number}"))
    [seen] = evidence._seen.values()
    assert sum(map(len, seen.values())) == 5


def test_as_many_partitions_with_threads_of_one_name_are_not_enough() -> None:
    evidence = Evidence()
    for number in range(100):
        assert not evidence.see(("find", "economy"), Origin(f"tenant-{number}", "main"))
