"""Whatever breaks on our side or the user's, the run is the plain graph's, and each cause is told once."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from agents import (
    ASYNC_WAYS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    hand_written_graph,
    make_tool,
    notebook,
    outcome,
    tool_node_graph,
)
from langchain_core.messages import AIMessage
from pydantic import BaseModel, BeforeValidator, ConfigDict

from langgraph_speculate import Limits, SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.observe.observers import at_once


class Bad:
    """A predictor that misbehaves in one way.

    Args:
        predict, learn: What its verbs do.
        bounded: What it says of itself.
    """

    def __init__(self, predict: Any = None, learn: Any = None, bounded: bool = False) -> None:
        self.bounded = bounded
        self._predict, self._learn = predict, learn

    def predict(self, history: History, *, k: int) -> Any:
        return self._predict() if self._predict is not None else []

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        if self._learn is not None:
            self._learn()


def _raise(error: BaseException) -> Any:
    raise error


class _Hostile(dict[str, Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("do not look at me")

    keys = items = values = __getitem__ = __iter__  # type: ignore[assignment]


RUBBISH: dict[str, Any] = {
    "none": lambda: None,
    "number": lambda: 7,
    "text": lambda: "find",
    "strings": lambda: ["find", "read"],
    "nothings": lambda: [None, None],
    "dicts": lambda: [{"name": "find"}],
    "nan": lambda: [Candidate(Call("find", {"query": "a"}), math.nan)],
    "infinite": lambda: [Candidate(Call("find", {"query": "a"}), math.inf)],
    "negative": lambda: [Candidate(Call("find", {"query": "a"}), -1.0)],
    "probability_text": lambda: [Candidate(Call("find", {"query": "a"}), "0.9")],  # type: ignore[arg-type]
    "no_call": lambda: [Candidate(None, 0.9)],  # type: ignore[arg-type]
    "args_list": lambda: [Candidate(Call("find", ["a"]), 0.9)],  # type: ignore[arg-type]
    "args_hostile": lambda: [Candidate(Call("find", _Hostile(query="a")), 0.9)],
    "args_keys": lambda: [Candidate(Call("find", {1: 2, None: 3}), 0.9)],  # type: ignore[dict-item]
    "args_object": lambda: [Candidate(Call("find", {"query": object()}), 0.9)],
    "args_cycle": lambda: [Candidate(Call("find", _cycle()), 0.9)],
    "args_deep": lambda: [Candidate(Call("find", {"query": _deep()}), 0.9)],
    "args_huge": lambda: [Candidate(Call("find", {"query": "x" * 5_000_000}), 0.9)],
    "name_number": lambda: [Candidate(Call(7, {}), 0.9)],  # type: ignore[arg-type]
    "name_unhashable": lambda: [Candidate(Call(["find"], {}), 0.9)],  # type: ignore[arg-type]
    "unknown_tool": lambda: [Candidate(Call("nothing", {}), 0.9)],
    "source_none": lambda: [Candidate(Call("find", {"query": "a"}), 0.9, None)],  # type: ignore[arg-type]
    "surrogates": lambda: [Candidate(Call("find", {"query": "\ud800"}), 0.9)],
    "extra_arguments": lambda: [Candidate(Call("find", {"query": "zz", "more": 1}), 0.9)],
    "missing_arguments": lambda: [Candidate(Call("find", {}), 0.9)],
    "same_ten_times": lambda: [Candidate(Call("read", {"id": 1}), 0.9)] * 10,
    "raises": lambda: _raise(ValueError("no idea")),
    "stops": lambda: _raise(StopIteration()),
    "flood": lambda: [Candidate(Call("read", {"id": number}), 0.9) for number in range(10_000)],
}


def _cycle() -> dict[str, Any]:
    args: dict[str, Any] = {}
    args["query"] = args
    return args


def _deep() -> Any:
    value: Any = 1
    for _ in range(5000):
        value = [value]
    return value


def _plain(way: str) -> Any:
    world = World()
    return canonical(drive(agent_graph(ScriptedModel(script=SHORT), notebook(world, "both")), way)[-1])


SHORT = [ask(("read", {"id": 1})), ask(("write", {"id": 1, "text": "x"})), AIMessage("done")]


@pytest.mark.parametrize(("way", "bounded"), [("invoke", True), ("ainvoke", False)])
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_predictor_that_answers_rubbish_changes_nothing(
    rubbish: str, way: str, bounded: bool, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Whatever it answers: the plain graph's state, at most one warning, and never more launched than a turn allows.
    """
    caplog.set_level(logging.WARNING, "langgraph_speculate")
    graph = speculate(
        agent_graph(ScriptedModel(script=SHORT), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Bad(RUBBISH[rubbish], bounded=bounded),
    )
    for _ in range(2):
        world.notes[1] = "one"
        assert canonical(drive(graph, way)[-1]) == _plain(way)
    assert world.count("write") == 2
    assert speculation_of(graph).stats().launched <= 3 * 6
    messages = [record.getMessage() for record in caplog.records if record.name == "langgraph_speculate"]
    assert len(messages) <= 1, messages
    assert "internal error" not in "".join(messages)


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
def test_no_more_candidates_are_taken_than_were_asked_for(bounded: bool, world: World) -> None:
    """
    A predictor that answers with an endless iterator is read as far as needed: memory and time are bounded.
    """
    taken: list[int] = []

    def many() -> Any:
        for number in range(100_000):  # stands for an iterator without an end
            taken.append(number)
            yield Candidate(Call("read", {"id": number}), 0.9)

    graph = speculate(
        agent_graph(ScriptedModel(script=SHORT, pace_s=0.005), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Bad(many, bounded=bounded),
    )
    graph.invoke(START_INPUT)
    assert len(taken) < 1000


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_that_cannot_learn_is_told_of_once(
    way: str, bounded: bool, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """
    `learn` raises at every turn: one warning, the runs as they were.
    """
    caplog.set_level(logging.WARNING, "langgraph_speculate")
    graph = speculate(
        agent_graph(ScriptedModel(script=SHORT, pace_s=0.005), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Bad(learn=lambda: _raise(KeyError("lost")), bounded=bounded),
    )
    drive(graph, way)
    drive(graph, way)
    deadline = time.monotonic() + 5
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.002)
    assert [record.getMessage().count("failed to learn") for record in caplog.records] == [1]


@pytest.mark.parametrize("verb", ["predict", "learn"])
@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_that_hangs_holds_up_nobody(way: str, verb: str, world: World) -> None:
    """
    A predictor on a thread of its own hangs: runs go on at once, one after the other.
    """
    bad = Bad(**{verb: lambda: world.release.wait(30)})
    graph = speculate(agent_graph(ScriptedModel(script=SHORT), notebook(world, "both")), NOTEBOOK_POLICY, predictor=bad)
    started = time.monotonic()
    for _ in range(5):
        world.notes[1] = "one"
        assert canonical(drive(graph, way)[-1]) == _plain(way)
    assert time.monotonic() - started < 5


def test_a_hanging_predictor_does_not_grow_memory_without_bound(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """
    What it would have seen is dropped beyond a backlog, with one warning, and threads stay one.
    """
    caplog.set_level(logging.WARNING, "langgraph_speculate")
    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("done")]), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Bad(lambda: world.release.wait(30)),
    )
    for _ in range(200):
        graph.invoke(START_INPUT)
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("speculate-")]
    assert len(names) == 1
    assert [record.getMessage().count("does not keep up") for record in caplog.records] == [1]


def test_predictions_that_come_too_late_start_nothing(world: World) -> None:
    """
    An answer after the model's message is final is ignored.
    """
    answer = threading.Event()
    answered = threading.Event()

    def predict() -> Any:
        answer.wait(5)
        answered.set()
        return [Candidate(Call("read", {"id": 1}), 0.9)]

    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("done")]), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Bad(predict),
    )
    graph.invoke(START_INPUT)
    answer.set()
    assert answered.wait(5)
    for thread in threading.enumerate():
        if thread.name.startswith("speculate-"):
            thread.join(5)
    assert world.log == []
    assert speculation_of(graph).stats().launched == 0


# -- tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("error", [ValueError("early"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_a_body_that_raises_only_early_is_run_again(flavour: str, error: BaseException, world: World) -> None:
    """
    An early failure is never shown: the real call runs and answers.
    """

    def flaky(id: int) -> str:
        world.begin("flaky")
        if world.count("flaky") == 1:
            raise error
        return "fine"

    script = [ask(("flaky", {"id": 1})), AIMessage("done")]
    way = "ainvoke" if flavour == "async" else "invoke"
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.01), [make_tool("flaky", flaky, flavour)]),
        {"tools": {"flaky": True}},
        predictor=Oracle(script),
    )
    assert drive(graph, way)[-1]["messages"][-2].content == "fine"
    assert speculation_of(graph).stats().discarded == {"failed": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("build", [agent_graph, tool_node_graph, hand_written_graph])
def test_a_tool_that_always_raises_raises_as_in_the_plain_graph(build: Any, way: str) -> None:
    """
    Same type, text, cause and notes; the body's traceback is the real call's.
    """

    def broken(id: int) -> str:
        error = ValueError(f"broken {id}")
        error.add_note("look here")
        raise error from KeyError("why")

    script = [ask(("broken", {"id": 1})), AIMessage("done")]
    plain = build(ScriptedModel(script=script), [make_tool("broken", broken, "both")])
    wrapped = speculate(
        build(ScriptedModel(script=script, pace_s=0.005), [make_tool("broken", broken, "both")]),
        {"tools": {"broken": True}},
        predictor=Oracle(script),
    )
    assert outcome(lambda: drive(wrapped, way)) == outcome(lambda: drive(plain, way))
    with pytest.raises(ValueError, match="broken 1") as caught:
        drive(wrapped, way)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__notes__[0] == "look here"


@pytest.mark.parametrize("native", [True, False], ids=["task", "thread"])
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_body_that_hangs_only_early_is_given_up_after_its_timeout(way: str, native: bool, world: World) -> None:
    """
    The real call waits for `attempt_timeout_s` at most, then runs itself.
    """
    _gives_up(way, native, world)


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_body_that_hangs_only_early_is_given_up_in_a_sync_run(way: str, world: World) -> None:
    """
    As under async runs.
    """
    _gives_up(way, False, world)


def _gives_up(way: str, native: bool, world: World) -> None:
    from langchain_core.tools import StructuredTool

    def slow(id: int) -> str:
        "Hang the first time."
        world.begin("slow")
        if world.count("slow") == 1:
            world.release.wait(20)
        return "fine"

    async def aslow(id: int) -> str:
        "Hang the first time."
        world.begin("slow")
        if world.count("slow") == 1:
            await asyncio.sleep(20)
        return "fine"

    made = (
        StructuredTool.from_function(coroutine=aslow, name="slow")
        if native
        else StructuredTool.from_function(func=slow, name="slow")
    )
    script = [ask(("slow", {"id": 1})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.005), [made]),
        SpeculationPolicy(tools={"slow": True}, limits=Limits(attempt_timeout_s=0.1)),
        predictor=Oracle(script),
    )
    started = time.monotonic()
    result = drive(graph, way)[-1]
    assert time.monotonic() - started < 5
    assert "fine" in str(result) or result  # streams end with the answer
    assert world.count("slow") == 2
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.wasted) == (0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_results_that_are_too_large_are_dropped_and_read_again(way: str) -> None:
    """
    A result above `max_result_bytes` is not kept; the real call returns it in full.
    """

    def big(size: int) -> Any:
        return "x" * size

    script = [ask(("big", {"size": 5000}), ("big", {"size": 10})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.005), [make_tool("big", big, "both")]),
        {"tools": {"big": True}, "limits": {"max_result_bytes": 1000}},
        predictor=Oracle(script),
    )
    assert "x" * 5000 in str(drive(graph, way))
    stats = speculation_of(graph).stats()
    assert (stats.hits, dict(stats.discarded)) == (1, {"too_large": 1})


class _NoSize:
    def __len__(self) -> int:
        raise RuntimeError("no size")


class _NoSizeText(str):
    def __len__(self) -> int:
        raise RuntimeError("no size")


class _NoItems(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("no items")


def _loop() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(_loop(), id="loop"),
        pytest.param({1: _loop()}, id="loop_in_dict"),
        pytest.param(_NoSize(), id="object_without_size"),
        pytest.param(_NoSizeText("text"), id="text_without_size"),
        pytest.param(["a", _NoSizeText("b")], id="nested_text_without_size"),
        pytest.param(_NoItems(), id="list_without_items"),
    ],
)
def test_results_that_cannot_be_measured_break_nothing(value: Any, way: str) -> None:
    """
    A result in a cycle, or one whose size raises: the call is answered, nothing is left hanging, no thread dies.
    """
    script = [ask(("odd", {"id": 1})), AIMessage("done")]
    ends: list[str] = []
    graph = speculate(
        agent_graph(
            ScriptedModel(script=script, pace_s=0.005),
            [make_tool("odd", _only_id(value), "both", response_format="content_and_artifact")],
        ),
        {"tools": {"odd": True}},
        predictor=Oracle(script),
        observers=[at_once(lambda event: ends.append(type(event).__name__))],
    )
    for _ in range(2):
        assert "content='text'" in str(drive(graph, way))
    gc.collect()
    assert ends.count("Finished") == ends.count("Launched") == 2


def _only_id(value: Any) -> Any:
    def odd(id: int) -> Any:
        return "text", value

    return odd


class _Lazy(Mapping[str, Any]):
    """Arguments that cannot be read any more, such as rows of a closed session."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("closed")

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        raise RuntimeError("closed")


class _LazyArgs(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    id: Annotated[Any, BeforeValidator(lambda value: _Lazy())]


class _NoFormat(str):
    def __format__(self, spec: str) -> str:
        raise RuntimeError("no format")


class _NoFormatArgs(BaseModel):
    id: Annotated[Any, BeforeValidator(lambda value: _NoFormat(value))]


@pytest.mark.parametrize("schema", [_LazyArgs, _NoFormatArgs])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("read_only", [True, False])
def test_real_arguments_that_cannot_be_compared_reach_the_tool(read_only: bool, way: str, schema: Any) -> None:
    """
    A validator makes something of the arguments whose look raises: the real call gets it as in the plain graph.
    """

    def take(id: Any) -> str:
        return type(id).__name__

    script = [ask(("take", {"id": "1"})), AIMessage("done")]
    entry = {"read_only": True} if read_only else {"writes": ["thing:{id}"]}
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.01), [make_tool("take", take, "both", args_schema=schema)]),
        {"tools": {"take": entry}},
        predictor=Oracle(script),
    )
    assert "content='_" in str(drive(graph, way))


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"max_in_flight": 0}, 0),
        ({"max_per_turn": 1}, 5),
        ({"max_per_run": 2}, 2),
        ({"max_wasted_per_run": 0}, 0),
        ({"max_wasted_per_run": 1}, 5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", WAYS)
def test_budgets_are_never_exceeded(way: str, limits: dict[str, int], most: int, world: World) -> None:
    """
    However many guesses there are, launches stay within each budget and the answer is the plain graph's.
    """
    graph = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01), notebook(world, "both")),
        {**NOTEBOOK_POLICY, "limits": limits},
        predictor=Oracle(NOTEBOOK_SCRIPT, also=[("read", {"id": number}) for number in range(50, 56)]),
    )
    drive(graph, way)
    stats = speculation_of(graph).stats()
    assert stats.launched <= most
    assert sum(stats.denied.values()) > 0
    if "max_wasted_per_run" in limits:
        assert stats.wasted <= limits["max_wasted_per_run"]


# -- observers -------------------------------------------------------------------------------------------------------


@pytest.mark.observers_raise
@pytest.mark.parametrize("way", WAYS)
def test_an_observer_that_raises_is_taken_off_and_breaks_nothing(
    way: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Logged once; the others go on seeing every event.
    """
    seen: list[Any] = []

    def broken(event: Any) -> None:
        raise RuntimeError("observer")

    graph = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
        observers=[broken, seen.append],
    )
    drive(graph, way)
    drive(graph, way)
    assert speculation_of(graph).flush()
    assert len([record for record in caplog.records if "observer" in record.getMessage()]) == 1
    assert sum(type(event).__name__ == "RunClosed" for event in seen) == 2
    assert speculation_of(graph).stats().hits == 2 * NOTEBOOK_HITS


def test_an_observer_may_look_at_the_statistics_and_take_itself_off(world: World) -> None:
    """
    Calling back into the handle from an observer does not deadlock.
    """
    seen: list[Any] = []

    def look(event: Any) -> None:
        seen.append(speculation_of(graph).stats())
        speculation_of(graph).explain()
        off()

    graph = speculate(
        agent_graph(ScriptedModel(script=SHORT, pace_s=0.01), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Oracle(SHORT),
    )
    off = speculation_of(graph).events(look)
    done = threading.Event()
    threading.Thread(target=lambda: (graph.invoke(START_INPUT), done.set()), daemon=True).start()
    assert done.wait(10)
    assert speculation_of(graph).flush()
    assert len(seen) == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_ledger_adds_up_in_every_event_stream(way: str, world: World) -> None:
    """
    Every launch ends exactly once, as a hit or a discard; events carry no arguments and no results.
    """
    seen: list[Any] = []
    graph = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT, also=[("read", {"id": 424242})]),
        observers=[at_once(seen.append)],
    )
    drive(graph, way)
    kinds = [type(event).__name__ for event in seen]
    launched = {event.id for event in seen if type(event).__name__ == "Launched"}
    hits = [event.id for event in seen if type(event).__name__ == "CallSettled" and event.id]
    lost = [event.id for event in seen if type(event).__name__ == "Discarded"]
    assert sorted([*hits, *lost]) == sorted(launched)
    assert kinds.count("RunClosed") == 1
    assert "424242" not in repr(seen)
