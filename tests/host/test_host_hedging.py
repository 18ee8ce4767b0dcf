"""Hedging in real graphs: an early body that hangs is overtaken by a second one, and only the winner is ever seen."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from agents import ASYNC_WAYS, WAYS, Oracle, ScriptedModel, Seen, ask, canonical, drive, tool_node_graph
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_config, get_stream_writer

from langgraph_speculate import current_speculation, speculate, speculation_of
from langgraph_speculate.host.compat.configs import RUN_KEY

SCRIPT = [ask(("read", {"ids": [1, 2]})), AIMessage("done")]
FLAVOURS = ("sync", "async")


class Bodies:
    """The bodies of one tool, in the order of their start; what the n-th one does is up to the test.

    Attributes:
        early: Whether each ran ahead.
        release: Lets those go that hang.
        cancelled: Which ones were.
    """

    def __init__(self, *acts: str) -> None:
        self.acts = acts
        self.early: list[bool] = []
        self.ids: list[list[int]] = []
        self.release = threading.Event()
        self.cancelled: list[int] = []

    def begin(self, ids: list[int]) -> tuple[int, str]:
        number = len(self.early)
        self.early.append(current_speculation() is not None)
        self.ids.append([*ids])
        ids.append(99)  # whatever a body does to its arguments is its own business
        return number, self.acts[min(number, len(self.acts) - 1)]

    def end(self, number: int, act: str) -> str:
        if act == "fails":
            raise ValueError(f"body {number}")
        if act == "trips":
            get_config()["configurable"][RUN_KEY].close()
        return f"read by {number}"

    def hangs(self, act: str) -> bool:
        """The first one may end once there is a second."""
        if act == "waits":
            return len(self.early) < 2 and not self.release.is_set()
        return act == "hangs" and not self.release.is_set()

    def have_begun(self, turn: int) -> Any:
        """For `ScriptedModel.during`: the model asks for what runs already."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            while not self.early:
                time.sleep(0.001)
            return None
        return self._have_begun()

    async def _have_begun(self) -> None:
        while not self.early:
            await asyncio.sleep(0.001)

    def tool(self, flavour: str) -> BaseTool:
        def read(ids: list[int]) -> str:
            "Read."
            number, act = self.begin(ids)
            get_stream_writer()({"body": number})
            dispatch_custom_event("read", {"body": number})
            while self.hangs(act):
                time.sleep(0.001)
            return self.end(number, act)

        async def aread(ids: list[int]) -> str:
            "Read."
            number, act = self.begin(ids)
            get_stream_writer()({"body": number})
            await adispatch_custom_event("read", {"body": number})
            try:
                while self.hangs(act):
                    await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            return self.end(number, act)

        if flavour == "async":
            return StructuredTool.from_function(coroutine=aread, name="read")
        return StructuredTool.from_function(read, name="read")


def wrapped(bodies: Bodies, flavour: str, hedges: bool = True, **settings: Any) -> Any:
    """An agent that foresees its call, of a tool that has always taken a hundredth of a second."""
    limits = settings.pop("limits", {})
    graph = speculate(
        tool_node_graph(ScriptedModel(script=SCRIPT, during=bodies.have_begun), [bodies.tool(flavour)]),
        {"tools": {"read": {"read_only": True, **settings}}, "limits": limits},
        predictor=Oracle(SCRIPT),
    )
    for _ in range(19 if hedges else 9):
        graph.speculation_engine.economy.latencies.took("read", 0.01 if hedges else 0.05)
    return graph


def ways(test: Any) -> Any:
    """In all ways that a tool of that flavour can be called."""
    both = [(way, flavour) for way in WAYS for flavour in FLAVOURS if flavour == "sync" or way in ASYNC_WAYS]
    return pytest.mark.parametrize(("way", "flavour"), both)(test)


def answered(graph: Any, way: str, **how: Any) -> str:
    extra = {"stream_mode": "values"} if "stream" in way else {}
    messages = drive(graph, way, **extra, **how)[-1]["messages"]
    (answer,) = (message.content for message in messages if isinstance(message, ToolMessage))
    return str(answer)


@pytest.mark.parametrize("on_mispredict", ["drain", "cancel"])
@ways
def test_a_second_body_answers_for_one_that_hangs(way: str, flavour: str, on_mispredict: str) -> None:
    """
    Both run ahead; the real call itself has no third.
    """
    bodies = Bodies("hangs", "ends")
    graph = wrapped(bodies, flavour, on_mispredict=on_mispredict)
    try:
        assert answered(graph, way) == "read by 1"
    finally:
        bodies.release.set()
    assert bodies.early == [True, True]
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.joined, stats.hedged, stats.hedge_wins, stats.misses) == (1, 1, 1, 1, 0)
    assert stats.discarded == {"hedged": 1}


@ways
def test_the_first_body_may_still_win(way: str, flavour: str) -> None:
    """
    It ends as soon as there is a second one, which hangs.
    """
    bodies = Bodies("waits", "hangs")
    graph = wrapped(bodies, flavour)
    try:
        assert answered(graph, way) == "read by 0"
    finally:
        bodies.release.set()
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.hedged, stats.hedge_wins, stats.discarded) == (1, 1, 0, {"hedged": 1})


@pytest.mark.parametrize("acts", [("hangs", "ends"), ("waits", "hangs")], ids=["second wins", "first wins"])
@ways
def test_only_what_the_winner_wrote_is_seen(way: str, flavour: str, acts: tuple[str, str]) -> None:
    """
    Once, and where the plain graph has it.
    """
    if "stream" not in way:
        pytest.skip("nothing is streamed")
    winner = 1 if acts[1] == "ends" else 0
    shown = []
    for graph in (tool_node_graph(ScriptedModel(script=SCRIPT), [Bodies("ends").tool(flavour)]), None):
        bodies, seen = Bodies(*acts), Seen()
        graph = graph or wrapped(bodies, flavour)
        try:
            chunks = canonical(drive(graph, way, config={"callbacks": [seen]}, stream_mode=["updates", "custom"]))
        finally:
            bodies.release.set()
        shown.append(repr([chunks, seen.events]))
    expected = shown[0].replace("read by 0", f"read by {winner}").replace("'body': 0", f"'body': {winner}")
    assert shown[1] == expected


@pytest.mark.parametrize(
    ("acts", "answer"),
    [
        (("waits", "fails"), "read by 0"),
        (("waits", "trips"), "read by 0"),
        (("fails", "ends"), "read by 1"),
    ],
    ids=["second fails", "second is tainted", "first fails"],
)
@ways
def test_one_that_fails_is_never_the_answer(way: str, flavour: str, acts: tuple[str, str], answer: str) -> None:
    """
    Whichever of them it is, and whether it raises or reaches for what it may not have.
    """

    class Staged(Bodies):
        ended = -1

        def hangs(self, act: str) -> bool:
            """The good one ends after the other, which ends once both run."""
            other = {"waits": 1, "ends": 0}.get(act)
            return len(self.early) < 2 if other is None else self.ended != other and not self.release.is_set()

        def end(self, number: int, act: str) -> str:
            self.ended = number
            return super().end(number, act)

    bodies = Staged(*acts)
    graph = wrapped(bodies, flavour)
    try:
        assert answered(graph, way) == answer
    finally:
        bodies.release.set()
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.hedged, stats.misses) == (1, 1, 0)


@ways
def test_if_both_fail_the_real_call_runs(way: str, flavour: str) -> None:
    """
    Third and last.
    """
    bodies = Bodies("waits", "fails", "ends")
    bodies.end = lambda number, act: Bodies.end(bodies, number, "fails" if number < 2 else act)  # type: ignore[method-assign]
    graph = wrapped(bodies, flavour)
    assert answered(graph, way) == "read by 2"
    assert bodies.early == [True, True, False]
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.misses, stats.hedged, stats.discarded) == (0, 1, 1, {"failed": 2})


@ways
def test_if_both_hang_the_real_call_runs_when_it_would_have(way: str, flavour: str) -> None:
    """
    The deadline is that of the first one.
    """
    bodies = Bodies("hangs", "hangs", "ends")
    graph = wrapped(bodies, flavour, on_mispredict="cancel")
    try:
        assert answered(graph, way) == "read by 2"
    finally:
        bodies.release.set()
    assert bodies.early == [True, True, False]
    assert speculation_of(graph).stats().discarded == {"overrun": 2}


@pytest.mark.parametrize(
    "settings", [{"limits": {"max_in_flight": 1}}, {"run_limit": 5}, {"cost": 1e-9}, {"hedges": False}], ids=str
)
@ways
def test_where_a_second_body_is_not_to_be_had_the_real_call_waits(
    way: str, flavour: str, settings: dict[str, Any]
) -> None:
    """
    No room, calls that are counted or paid for, or too few of them seen to know what is slow.
    """
    bodies = Bodies("hangs")
    graph = wrapped(bodies, flavour, **settings)
    threading.Timer(0.1, bodies.release.set).start()
    assert answered(graph, way) == "read by 0"
    assert bodies.early == [True]
    assert speculation_of(graph).stats().hedged == 0


@ways
def test_the_second_body_gets_arguments_of_its_own(way: str, flavour: str) -> None:
    """
    The first one may have changed its own by then.
    """
    bodies = Bodies("hangs", "ends")
    try:
        answered(wrapped(bodies, flavour), way)
    finally:
        bodies.release.set()
    assert bodies.ids == [[1, 2], [1, 2]]


@pytest.mark.parametrize("on_mispredict", ["drain", "cancel"])
async def test_a_cancelled_real_call_leaves_neither_body_behind(on_mispredict: str) -> None:
    """
    However they are discarded, the end of the run stops both.
    """
    bodies = Bodies("hangs", "hangs")
    graph = wrapped(bodies, "async", on_mispredict=on_mispredict, limits={"attempt_timeout_s": 30.0})
    graph.speculation_engine.economy.latencies.took("read", 9.0)  # no deadline before that
    graph.speculation_engine.economy.latencies.hedge_after = lambda tool: 0.01  # type: ignore[method-assign]
    before = asyncio.all_tasks()
    run = asyncio.ensure_future(graph.ainvoke({"messages": [("user", "go")]}))
    while len(bodies.early) < 2:
        await asyncio.sleep(0.001)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(bodies.cancelled) == [0, 1]
    assert asyncio.all_tasks() == before
    stats = speculation_of(graph).stats()
    assert (stats.discarded, stats.hedged) == ({"abandoned": 2}, 1)


async def test_a_loser_that_is_cancelled_is_stopped_before_the_run_goes_on() -> None:
    """
    `on_mispredict = "cancel"` holds for the first body as for the second.
    """
    for acts, loser in ((("hangs", "ends"), 0), (("waits", "hangs"), 1)):
        bodies = Bodies(*acts)
        await wrapped(bodies, "async", on_mispredict="cancel").ainvoke({"messages": [("user", "go")]})
        assert bodies.cancelled == [loser]
