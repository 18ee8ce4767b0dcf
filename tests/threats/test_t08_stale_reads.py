"""T8: something is written after it was read ahead and before the model asked for it: the agent is told what was true.

The library promises that every value a call answers with was current at some instant between the start of the real call
and its answer, as far as the writes are made by the graph's own tools: of this run or of any other run of the graph.
Writers outside of the graph are bounded by `ttl_s` only (documented).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import pytest
from agents import EAGERLY, WAYS, Fixed, ScriptedModel, ask, hand_written_graph, make_tool, tool_node_graph
from attacks import answers, beside_each_other, final, holding
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.observe.observers import at_once

NOTES = 2


class Timeline(BaseCallbackHandler):
    """What each note held from when on, and when each real call of `read` began and what it answered, in ticks."""

    run_inline = True
    raise_error = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tick = 0
        self.held: dict[int, list[tuple[int, str]]] = {note: [(0, "old")] for note in range(NOTES)}
        self.reads: list[tuple[int, int, int, str]] = []
        self._open: dict[Any, tuple[int, int]] = {}

    def tick(self) -> int:
        with self._lock:
            self._tick += 1
            return self._tick

    def write(self, note: int, text: str) -> None:
        with self._lock:
            self._tick += 1
            self.held[note].append((self._tick, text))

    def now(self, note: int) -> str:
        return self.held[note][-1][1]

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: Any, inputs: Any = None, **_: Any) -> None:
        if serialized["name"] == "read":
            self._open[run_id] = inputs["note"], self.tick()

    def on_tool_end(self, output: Any, *, run_id: Any, **_: Any) -> None:
        if run_id in self._open:
            note, began = self._open.pop(run_id)
            self.reads.append((note, began, self.tick(), output.content))

    def stale(self) -> list[tuple[int, int, int, str]]:
        """Answers that were not current at any instant of their call."""
        return [read for read in self.reads if not self._was_current(*read)]

    def _was_current(self, note: int, began: int, ended: int, text: str) -> bool:
        held = self.held[note]
        ends = [until for until, _ in held[1:]] + [ended + 1]
        spans = zip(held, ends, strict=True)
        return any(text == value and since <= ended and end > began for (since, value), end in spans)


def _tools(times: Timeline, draw: random.Random) -> list[BaseTool]:
    """Both take their time; the write lands at its start, in its middle or at its end."""

    def read(note: int) -> str:
        "Read a note."
        early = draw.random() < 0.5
        text = times.now(note) if early else ""
        time.sleep(draw.random() * 0.002)
        return text or times.now(note)

    async def aread(note: int) -> str:
        "Read a note."
        early = draw.random() < 0.5
        text = times.now(note) if early else ""
        await asyncio.sleep(draw.random() * 0.002)
        return text or times.now(note)

    def write(note: int, text: str) -> str:
        "Write a note."
        before = draw.choice([0.0, 0.5, 1.0])
        time.sleep(before * 0.002)
        times.write(note, text)
        time.sleep((1 - before) * 0.002)
        return "written"

    async def awrite(note: int, text: str) -> str:
        "Write a note."
        before = draw.choice([0.0, 0.5, 1.0])
        await asyncio.sleep(before * 0.002)
        times.write(note, text)
        await asyncio.sleep((1 - before) * 0.002)
        return "written"

    both = []
    for name, sync, native in (("read", read, aread), ("write", write, awrite)):
        tool = make_tool(name, sync, "both")
        tool.coroutine = native  # type: ignore[attr-defined]
        both.append(tool)
    return both


READS = {**EAGERLY, "reads": ["note:{note}"]}
HONEST: dict[str, Any] = {
    "templates": {"read": READS, "write": {"writes": ["note:{note}"]}},
    "kept for the run": {"read": READS | {"scope": "run"}, "write": {"writes": ["note:{note}"]}},
    "given again": {"read": READS | {"read_through": True}, "write": {"writes": ["note:{note}"]}},
    "nothing said about the writer": {"read": {**EAGERLY}},
}
LYING = {"read": READS | {"scope": "run"}, "write": {"writes": ["something else"]}}


def _script(draw: random.Random, run: int) -> list[Any]:
    turns = []
    for turn in range(3):
        calls: list[tuple[str, dict[str, Any]]] = [("read", {"note": draw.randrange(NOTES)}) for _ in range(2)]
        if draw.random() < 0.6:
            calls.append(("write", {"note": draw.randrange(NOTES), "text": f"{run}.{turn}"}))
        draw.shuffle(calls)
        turns.append(ask(*calls, prefix=f"{run}-{turn}"))
    return [*turns, AIMessage("done")]


def _storm(way: str, tools: dict[str, Any], seed: int, runs: int = 16) -> tuple[Timeline, Any]:
    """Runs of one user beside each other, each with a script of its own, all reading ahead all the time."""
    draw, times = random.Random(seed), Timeline()
    scripts = [_script(draw, run) for run in range(runs)]
    build = draw.choice([tool_node_graph, hand_written_graph])

    def answer(turn: int) -> Any:
        return lambda messages: scripts[int(messages[0].content)][turn]

    model = ScriptedModel(script=[answer(turn) for turn in range(4)], pace_s=0.002)
    guesses = [("read", {"note": note}) for note in range(NOTES)]
    graph = speculate(
        build(model, _tools(times, draw)),
        # The handler raises if anything is wrong with it, and rejects nothing.
        {"tools": tools, "limits": {"max_per_run": 100, "max_wasted_per_run": 100}, "approval_gated": []},
        predictor=Fixed(*guesses),
    )
    config = {"callbacks": [times]}
    beside_each_other(graph, way, [({"messages": [("user", str(run))]}, config) for run in range(runs)])
    return times, speculation_of(graph).stats()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("declared", HONEST)
def test_every_answer_was_current_while_its_call_ran(declared: str, way: str) -> None:
    """
    16 runs beside each other on two notes, reads and writes that overlap in every order: once more where threads that
    were starved left too little to look at.
    """
    launched = hits = spoilt = 0
    for seed in range(5):
        times, stats = _storm(way, HONEST[declared], seed)
        assert not times.stale()
        assert len(times.reads) == 16 * 6
        launched, hits = launched + stats.launched, hits + stats.hits
        spoilt += stats.discarded.get("stale", 0) + stats.denied.get("pending_write", 0)
        # Where nothing is said about the writer, every write by anybody spoils every read.
        if launched >= 16 and spoilt and (hits or declared == "nothing said about the writer"):
            return
    pytest.fail(f"{launched} launched, {hits} hits, {spoilt} spoilt by writes")


@pytest.mark.parametrize("way", WAYS)
def test_a_writer_that_says_it_writes_something_else_is_caught_by_the_same_check(way: str) -> None:
    """
    The control: without the writes' epochs the storm does serve what is no longer true.
    """
    assert any(_storm(way, LYING, seed)[0].stale() for seed in range(10))


@pytest.mark.parametrize(("ttl_s", "expected"), [(10, "old"), (0, "new")])
@pytest.mark.parametrize("way", WAYS)
def test_a_write_from_outside_is_seen_only_where_results_are_not_kept(way: str, ttl_s: int, expected: str) -> None:
    """
    The residual risk as documented: an external write within `ttl_s` is not seen; `ttl_s = 0` closes that window.
    """
    times, seen = Timeline(), list[Any]()
    finished = holding(way, lambda: not ttl_s or any(type(event).__name__ == "Finished" for event in seen))

    def answer(messages: Any) -> AIMessage:  # made after `finished`: somebody writes, then the model asks
        times.write(0, "new")
        return ask(("read", {"note": 0}))

    model = ScriptedModel(script=[answer, AIMessage("done")], during=finished)
    graph = speculate(
        tool_node_graph(model, _tools(times, random.Random(1))),
        {"tools": {"read": READS | {"ttl_s": ttl_s}, "write": False}},
        predictor=Fixed(("read", {"note": 0})),
        observers=[at_once(seen.append)],
    )
    assert answers(final(graph, way)) == [expected]
    assert speculation_of(graph).stats().hits == (1 if ttl_s else 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("written", [True, "+1", " 1 ", 1.0], ids=repr)
def test_a_write_in_another_spelling_makes_a_read_stale(written: Any, way: str) -> None:
    """
    One tool takes the shelf as a number, the other as a flag or a text; what was read before the write is not told
    after it.
    """
    held, seen = {"text": "old"}, list[str]()

    def read(shelf: int) -> str:
        "Read a shelf."
        seen.append(held["text"])
        return held["text"]

    def write(shelf: Any) -> str:
        "Write to a shelf."
        held["text"] = "new"
        return "written"

    script = [ask(("write", {"shelf": written})), ask(("read", {"shelf": 1}), prefix="d"), AIMessage("done")]
    graph = speculate(
        tool_node_graph(
            ScriptedModel(script=script, during=holding(way, lambda: bool(seen))),
            [make_tool("read", read, "both"), make_tool("write", write, "both")],
        ),
        {
            "tools": {
                "read": {**EAGERLY, "reads": ["shelf:{shelf}"], "scope": "run", "ttl_s": 60},
                "write": {"writes": ["shelf:{shelf}"]},
            }
        },
        predictor=Fixed(("read", {"shelf": 1})),
    )
    assert answers(final(graph, way)) == ["written", "new"]
    assert seen[0] == "old"
