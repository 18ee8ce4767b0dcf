"""Warm-ups: the owner's function of a tool that is likely to be called, beside the model, and never in its way."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    START_INPUT,
    WAYS,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
)
from conftest import speculating_threads
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config, get_stream_writer
from langgraph.types import interrupt

from langgraph_speculate import SpeculationMiddleware, ToolPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History, WarmUp, events
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.observers import at_once

GHOSTS = {"max_ghost_per_run": 1}
SCRIPT = [ask(("search", {"q": "a"})), AIMessage("done")]


class Names:
    """Knows which tool comes first, and nothing of its arguments."""

    bounded = True

    def __init__(self, answer: Any = None) -> None:
        self._answer = {"search": 0.9} if answer is None else answer

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return []

    def names(self, history: History) -> Mapping[str, float]:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return {} if history.calls else self._answer

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


class Pool:
    """The owner's: what warm-ups fill.

    Attributes:
        told: What each warm-up was told.
        ended: How many ended, well or not.
    """

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.ended = 0
        self.threads: list[str] = []

    def fill(self, told: WarmUp) -> None:
        self.threads.append(threading.current_thread().name)
        self.told.append(told)
        self.ended += 1

    async def afill(self, told: WarmUp) -> None:
        self.threads.append(threading.current_thread().name)
        await asyncio.sleep(0)
        self.told.append(told)
        self.ended += 1


def until(there: Callable[[], Any], way: str) -> Callable[[int], Awaitable[None] | None]:
    """The model answers once something is there."""

    def during(_turn: int) -> None:
        end = time.monotonic() + 5
        while not there() and time.monotonic() < end:
            time.sleep(0.001)

    async def aduring(_turn: int) -> None:
        end = time.monotonic() + 5
        while not there() and time.monotonic() < end:
            await asyncio.sleep(0.001)

    return aduring if way in ASYNC_WAYS else during


def search_tool(log: list[str] | None = None) -> BaseTool:
    def search(q: str) -> str:
        "Search."
        if log is not None:
            log.append(q)
        return f"found {q}"

    return make_tool("search", search, "both")


def warmed(
    warm: Callable[..., Any],
    way: str = "invoke",
    *,
    there: Callable[[], Any] = lambda: True,
    predictor: Any = None,
    script: Sequence[Any] = SCRIPT,
    observers: Sequence[Any] = (),
    tool: BaseTool | None = None,
    **policy: Any,
) -> Any:
    """A wrapped agent whose search can be warmed up; its model answers once something is there."""
    model = ScriptedModel(script=list(script), during=until(there, way))
    graph = agent_graph(model, [tool or search_tool()])
    entry = ToolPolicy(read_only=True, warm=warm, **policy.pop("entry", {}))
    settings = {"tools": {"search": entry}, **policy}
    return speculate(graph, settings, predictor=predictor or Names(), observers=observers)


def count(seen: Sequence[Any], kind: type[events.Event]) -> int:
    return sum(isinstance(event, kind) for event in seen)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "warm" in record.getMessage()]


# -- it happens, in time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "native"), [*((way, False) for way in WAYS), *((way, True) for way in ASYNC_WAYS)])
def test_a_likely_tool_is_warmed_up_while_the_model_thinks(way: str, native: bool) -> None:
    """
    Once, beside the model, and counted apart from what ran ahead: sync functions in a thread, async ones on the run's
    loop.
    """
    pool = Pool()
    graph = warmed(pool.afill if native else pool.fill, way, there=lambda: pool.ended)
    answer = drive(graph, way)
    stats = speculation_of(graph).stats()

    assert pool.told == [WarmUp("search")]
    assert pool.threads[0].startswith("speculate-") is not native
    assert (stats.warmed, stats.warm_used, stats.warm_wasted_s) == (1, 1, 0.0)
    assert (stats.launched, stats.hits, stats.wasted) == (0, 0, 0)
    assert stats.by_tool["search"].warmed == 1
    assert "found a" in repr(answer)


def test_inside_create_agent_tools_are_warmed_up_too() -> None:
    """
    The middleware drives the same engine.
    """
    pool = Pool()
    policy = {"tools": {"search": ToolPolicy(read_only=True, warm=pool.fill)}}
    middleware = SpeculationMiddleware(policy, predictor=Names())
    model = ScriptedModel(script=SCRIPT, during=until(lambda: pool.ended, "invoke"))
    create_agent(model, [search_tool()], middleware=[middleware]).invoke(START_INPUT)

    assert middleware.speculation.stats().warm_used == 1


def test_the_shipped_predictor_warms_up_what_it_cannot_guess() -> None:
    """
    It has seen which tool comes, and arguments that nothing in the run foretells.
    """
    pool, runs = Pool(), 6
    unforeseen = iter("qwxzkvjyp" * 9)
    script = [lambda _messages: ask(("search", {"q": 9 * next(unforeseen)})), AIMessage("done")]
    model = ScriptedModel(script=script)
    entry = ToolPolicy(read_only=True, warm=pool.fill)
    graph = speculate(agent_graph(model, [search_tool()]), {"tools": {"search": entry}})
    for _ in range(runs):
        drive(graph, "invoke")

    assert 0 < speculation_of(graph).stats().warm_used < runs


def test_a_name_that_the_model_has_written_is_reason_enough() -> None:
    """
    While it writes the arguments the tool is made ready, though nobody foresaw it.
    """
    pool, seen = Pool(), list[Any]()
    graph = warmed(pool.fill, predictor=Names({}), observers=[at_once(seen.append)])
    drive(graph, "stream", stream_mode="messages")

    (began,) = [event for event in seen if isinstance(event, events.WarmUpBegan)]
    assert (began.tool, began.probability) == ("search", 1.0)


class Guesses:
    """Has three calls of the tool in mind."""

    bounded = True

    def __init__(self) -> None:
        chances = (("a", 0.4), ("b", 0.3), ("c", 0.1))
        self.made = [Candidate(Call("search", {"q": [q]}), chance) for q, chance in chances]

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [] if history.calls else self.made

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


def test_candidates_tell_of_their_tools() -> None:
    """
    Where a predictor names none, its candidates are added up by tool. The function is told of them, best first and in
    copies, but not of what the gate does not let run ahead.
    """
    guesses, pool, seen = Guesses(), Pool(), list[Any]()

    def spoil(told: WarmUp) -> None:
        for args in told.args:
            args["q"].append("spoiled")
        pool.fill(told)

    def search(q: list[str]) -> str:
        "Search."
        return f"found {q}"

    graph = warmed(
        spoil,
        there=lambda: pool.ended,
        predictor=guesses,
        script=[ask(("search", {"q": ["d"]})), AIMessage("done")],
        tool=make_tool("search", search),
        entry={"eagerness": "conservative"},
        guards=[lambda call: call.args.get("q") != ["b"]],
        observers=[at_once(seen.append)],
    )
    drive(graph, "invoke")

    assert [event.probability for event in seen if isinstance(event, events.WarmUpBegan)] == [pytest.approx(0.8)]
    assert [args["q"] for args in pool.told[0].args] == [["a", "spoiled"], ["c", "spoiled"]]
    assert [guess.call.args["q"] for guess in guesses.made] == [["a"], ["b"], ["c"]]


def test_how_long_it_took_is_remembered_for_later_runs() -> None:
    """
    That is what it is expected to save.
    """
    pool = Pool()
    graph = warmed(pool.fill, there=lambda: graph.speculation_engine.warm_times.mean("search"))
    drive(graph, "invoke")

    assert graph.speculation_engine.warm_times.mean("search") > 0.0


@pytest.mark.parametrize("kind", ["nothing", "keyword", "object", "partial"])
def test_functions_of_many_kinds_will_do(kind: str) -> None:
    """
    What takes nothing is called with nothing.
    """
    pool = Pool()

    class Callable_:
        def __call__(self, told: WarmUp) -> None:
            pool.fill(told)

    def nothing() -> None:
        pool.fill(WarmUp("nobody"))

    def keyword(*, size: int = 1) -> None:
        pool.fill(WarmUp(f"size {size}"))

    functions: dict[str, tuple[Callable[..., Any], WarmUp]] = {
        "nothing": (nothing, WarmUp("nobody")),
        "keyword": (keyword, WarmUp("size 1")),
        "object": (Callable_(), WarmUp("search")),
        "partial": (functools.partial(pool.fill), WarmUp("search")),
    }
    warm, told = functions[kind]
    drive(warmed(warm, there=lambda: pool.ended), "invoke")

    assert pool.told == [told]


# -- off the record ---------------------------------------------------------------------------------------------------


def test_it_sees_the_caller_and_writes_to_nobody() -> None:
    """
    As an attempt it sees the caller's `configurable` and the context variables that are passed on; what it writes to
    the stream is no output.
    """
    user: ContextVar[str] = ContextVar("user")
    seen: list[Any] = []

    def warm() -> None:
        get_stream_writer()("warm")
        seen.append((get_config()["configurable"]["tenant"], user.get()))

    token = user.set("ada")
    try:
        graph = warmed(warm, "stream", there=lambda: seen, propagate_context=[user])
        chunks = drive(graph, "stream", config={"configurable": {"tenant": "acme"}}, stream_mode="custom")
    finally:
        user.reset(token)

    assert (seen, chunks) == ([("acme", "ada")], [])


def test_one_that_trips_a_wire_is_not_called_again(caplog: pytest.LogCaptureFixture) -> None:
    """
    Even if it swallows that; its tool goes on running ahead.
    """
    called: list[int] = []

    def warm() -> None:
        try:
            interrupt("?")
        except BaseException:  # noqa: BLE001 - it is what functions do
            called.append(1)

    graph = warmed(warm, there=lambda: called)
    drive(graph, "invoke")
    drive(graph, "invoke")

    assert called == [1]
    assert warnings_of(caplog) == [
        "speculation: warm of 'search' uses what belongs to one node's task; calls go on without it"
    ]
    assert speculation_of(graph).explain()[0].allowed


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["raises", "exits", "awaitable"])
def test_errors_are_logged_once_and_never_shown(kind: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    The run goes on as the plain one.
    """
    called: list[int] = []

    def warm() -> Any:
        called.append(1)
        if kind == "awaitable":
            return asyncio.sleep(0)
        raise (ValueError("no session") if kind == "raises" else SystemExit(3))

    seen = list[Any]()
    graph = warmed(
        warm,
        way,
        there=lambda: count(seen, events.WarmUpWasted) == count(seen, events.WarmUpBegan),
        observers=[at_once(seen.append)],
    )
    wrapped = drive(graph, way) + drive(graph, way)
    plain = agent_graph(ScriptedModel(script=list(SCRIPT)), [search_tool()])

    assert canonical(wrapped) == canonical(drive(plain, way) + drive(plain, way))
    assert (len(called), len(warnings_of(caplog))) == (2, 1)
    assert speculation_of(graph).stats().warm_used == 0


def test_an_async_function_is_left_out_of_sync_runs(caplog: pytest.LogCaptureFixture) -> None:
    """
    It has no loop to run on; told once.
    """
    pool = Pool()
    graph = warmed(pool.afill)
    drive(graph, "invoke")
    drive(graph, "invoke")

    assert (pool.told, speculation_of(graph).stats().warmed) == ([], 0)
    assert warnings_of(caplog) == ["speculation: warm of 'search' is async, so sync runs go without it"]


@pytest.mark.parametrize("answer", [ValueError("no"), {"search": float("nan")}, {"search": 7}, {7: 0.9}, ["search"], 3])
def test_what_a_predictor_says_of_names_is_not_trusted(answer: Any) -> None:
    """
    Rubbish and errors warm nothing up, and break nothing.
    """
    pool = Pool()
    graph = warmed(pool.fill, predictor=Names(answer))

    assert "found a" in repr(drive(graph, "invoke"))
    assert pool.told == []


def test_a_predictor_on_a_thread_of_its_own_is_asked_there() -> None:
    """
    One that may take long cannot hold up the run with names either.
    """
    pool, threads = Pool(), list[str]()

    class Slow(Names):
        bounded = False

        def names(self, history: History) -> Mapping[str, float]:
            threads.append(threading.current_thread().name)
            return super().names(history)

    drive(warmed(pool.fill, predictor=Slow(), there=lambda: pool.ended), "invoke")

    assert set(threads) == {"speculate-predictor"}
    assert len(pool.told) == 1


@pytest.mark.parametrize("level", ["off", "shadow"])
def test_nothing_is_warmed_up_where_nothing_may_run_ahead(level: str) -> None:
    """
    In shadow calls are only predicted.
    """
    pool = Pool()
    drive(warmed(pool.fill, level=level), "invoke")

    assert pool.told == []


def test_a_service_that_has_too_much_to_do_is_not_warmed_up() -> None:
    """
    A connection more is no help to it.
    """

    class TooMany(Exception):
        status_code = 429

    def search(q: str) -> str:
        if len(pool.told) == 1:
            raise TooMany
        return "found"

    pool = Pool()
    # The second run cannot wait for what must not come, but leaves it time.
    graph = warmed(pool.fill, there=lambda: time.sleep(0.05) or pool.told, tool=make_tool("search", search, "sync"))
    with pytest.raises(TooMany):
        drive(graph, "invoke")
    with pytest.raises(TooMany):
        drive(graph, "invoke")

    assert len(pool.told) == 1


@pytest.mark.parametrize(
    ("entry", "limits", "warmups"),
    [
        ({"slots": 1}, {}, 0),
        ({"slots": 2}, {}, 1),
        ({"rate": "9/second"}, {"rate_share": 0.0}, 0),
        ({"rate": "10/second"}, {"rate_share": 0.1}, 1),
    ],
)
def test_a_warm_up_asks_its_service_like_an_early_call(
    entry: dict[str, Any], limits: dict[str, Any], warmups: int
) -> None:
    """
    A slot while it runs, and one call of the rate.
    """
    pool = Pool()
    drive(warmed(pool.fill, there=lambda: pool.ended or not warmups, entry=entry, limits=limits), "invoke")

    assert len(pool.told) == warmups


def test_a_warm_up_that_is_told_to_come_later_is_a_reason_to_leave_its_service_alone() -> None:
    """
    Whoever heard it.
    """

    class TooMany(Exception):
        status_code = 503

    def warm() -> None:
        seen.append("warm")
        raise TooMany

    seen: list[str] = []
    graph = warmed(warm, there=lambda: seen)
    drive(graph, "invoke")

    assert speculation_of(graph).stats().switched == {"tool off": 1}


@pytest.mark.parametrize("level", ["declared", "open_world"])
def test_tools_that_leave_the_trust_boundary_are_warmed_up_at_their_level_only(level: str) -> None:
    """
    To open a connection to a third party is to contact it.
    """
    pool = Pool()
    entry = {"open_world": True, "disclosure": "declared"}
    graph = warmed(pool.fill, there=lambda: pool.ended or level == "declared", level=level, entry=entry, limits=GHOSTS)
    drive(graph, "invoke")

    assert len(pool.told) == (level == "open_world")


def test_guards_that_cannot_tell_without_arguments_say_no() -> None:
    """
    A guard is asked about a call without arguments, and about each guess that the function would be told of.
    """
    pool = Pool()
    drive(warmed(pool.fill, guards=[lambda call: call.args["q"] == "a"]), "invoke")

    assert pool.told == []


# -- nothing is left behind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_run_does_not_wait_for_a_function_that_hangs(way: str, world: World) -> None:
    """
    A thread cannot be stopped, so it is abandoned; it ends with its function.
    """
    started: list[int] = []

    def hang() -> None:
        started.append(1)
        world.release.wait(20)

    graph = warmed(hang, way, there=lambda: started)
    drive(graph, way)
    stats = speculation_of(graph).stats()

    assert (stats.warmed, stats.warm_used) == (1, 1)
    assert any(thread.name == "speculate-worker" for thread in speculating_threads())


@pytest.mark.parametrize("way", ASYNC_WAYS)
@pytest.mark.parametrize("script", [SCRIPT, [AIMessage("done")]], ids=["called", "not_called"])
def test_an_async_function_is_cancelled_with_its_run(
    way: str, script: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """
    It has cleaned up when the run is over, and nothing is logged about that.
    """
    happened: list[str] = []

    async def hang() -> None:
        happened.append("began")
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0)
            happened.append("ended")

    graph = warmed(hang, way, there=lambda: happened, script=script)
    drive(graph, way)
    stats = speculation_of(graph).stats()

    assert happened == ["began", "ended"]
    assert (stats.warm_used, stats.warm_wasted_s > 0) == ((1, False) if len(script) == 2 else (0, True))
    assert warnings_of(caplog) == []


def test_an_async_function_that_takes_too_long_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    """
    After `attempt_timeout_s`.
    """
    happened: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.sleep(20)
        finally:
            happened.append("stopped")

    graph = warmed(hang, "ainvoke", there=lambda: happened, limits={"attempt_timeout_s": 0.02})
    drive(graph, "ainvoke")

    assert happened == ["stopped"]
    assert speculation_of(graph).stats().warm_used == 0


def test_the_log_of_a_run_with_warm_ups_passes_the_audit() -> None:
    """
    They are records among the others, in their order.
    """
    pool, seen = Pool(), list[Any]()
    graph = warmed(pool.fill, there=lambda: pool.ended, observers=[at_once(seen.append)])
    drive(graph, "invoke")

    kinds = [type(event).__name__ for event in sorted(seen, key=lambda event: event.number)]
    assert [kind for kind in kinds if kind.startswith("WarmUp")] == ["WarmUpBegan", "WarmUpEnded", "WarmUpUsed"]
    assert audit(seen) == []
