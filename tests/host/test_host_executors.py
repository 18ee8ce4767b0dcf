"""Sync bodies in an executor of the owner's: what goes there, what stays, and what happens if something fails."""

from __future__ import annotations

import asyncio
import dataclasses
import decimal
import multiprocessing
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import away
import pytest
from agents import (
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    State,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    tool_node_graph,
)
from conftest import speculating_threads
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.host.attempt import in_process
from langgraph_speculate.host.executors import address_of
from langgraph_speculate.host.parcels import Parcel, Reply, carry_out, is_plain
from langgraph_speculate.observe.observers import at_once

LIMITS = {"attempt_timeout_s": 20.0}


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(carry_out, _parcel(away.where)).result(60)  # imports take their time
        yield pool


def _parcel(tool: BaseTool, id: str = "1") -> Parcel:
    return Parcel(id, tool.name, f"away:{tool.name}", (), {"id": 7}, {}, ())


class Bodies:
    """Waits until bodies that run ahead have ended: what the model does in the meantime."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: events.Event) -> None:
        self.events.append(event)

    def _all_ended(self) -> bool:
        launched = sum(isinstance(event, events.Launched) for event in self.events)
        over = {event.id for event in self.events if isinstance(event, events.Finished | events.Discarded)}
        return launched <= len(over)

    def wait(self, _turn: int) -> None:
        until = time.monotonic() + 30
        while not self._all_ended() and time.monotonic() < until:
            time.sleep(0.002)

    async def await_(self, _turn: int) -> None:
        until = time.monotonic() + 30
        while not self._all_ended() and time.monotonic() < until:
            await asyncio.sleep(0.002)


@dataclass
class Ran:
    """How one agent run went."""

    answer: Any
    stats: Any
    bodies: Bodies


def run_one(
    tool: BaseTool,
    executor: Executor | None,
    *,
    way: str = "invoke",
    during: Callable[[int], Awaitable[None] | None] | None = None,
    config: Any = None,
    calls: int = 1,
    observers: Sequence[Any] = (),
    entry: dict[str, Any] | None = None,
    **policy: Any,
) -> Ran:
    """Run an agent that calls a tool in each of its first *calls* messages, foreseen each time."""
    bodies = Bodies()
    script = [*(ask((tool.name, {"id": 7 + number})) for number in range(calls)), AIMessage("done")]
    waiting = bodies.await_ if way in ("ainvoke", "astream") else bodies.wait
    graph = agent_graph(ScriptedModel(script=script, during=during or waiting), [tool])
    settings = {"tools": {tool.name: {"read_only": True, **(entry or {})}}, "limits": LIMITS, **policy}
    wrapped = speculate(
        graph, settings, predictor=Oracle(script), observers=[at_once(bodies), *observers], executor=executor
    )
    chunks = drive(wrapped, way, START_INPUT, config)
    return Ran(chunks, speculation_of(wrapped).stats(), bodies)


def answer_of(ran: Ran) -> str:
    return str(ran.answer[0]["messages"][2].content)


# -- what goes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_body_runs_in_a_process_of_the_pool(processes: ProcessPoolExecutor, way: str) -> None:
    """
    Its result is adopted as any other, and its sandbox is as good as one here.
    """
    ran = run_one(away.where, processes, way=way)

    assert (ran.stats.launched, ran.stats.ready) == (1, 1)
    assert f'"process": {os.getpid()}' not in repr(ran.answer)
    assert '"ahead": true' in repr(ran.answer)


def test_a_pool_of_threads_will_do() -> None:
    """
    Any executor of `concurrent.futures` is one.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="owners") as threads:
        ran = run_one(away.where, threads)

    assert ran.stats.ready == 1
    assert '"thread": "owners_0"' in answer_of(ran)


def test_inside_create_agent_bodies_go_too() -> None:
    """
    The middleware takes the same argument.
    """
    script = [ask(("where", {"id": 7})), AIMessage("done")]
    bodies = Bodies()
    with ThreadPoolExecutor(1, thread_name_prefix="owners") as threads:
        middleware = SpeculationMiddleware(
            {"tools": {"where": True}}, predictor=Oracle(script), observers=[at_once(bodies)], executor=threads
        )
        model = ScriptedModel(script=script, during=bodies.wait)
        answer = create_agent(model, [away.where], middleware=[middleware]).invoke(START_INPUT)

    assert '"thread": "owners_0"' in str(answer["messages"][2].content)


def test_a_body_sees_what_its_caller_configured(processes: ProcessPoolExecutor) -> None:
    """
    What a tool may see of `configurable` goes along, or its result would be another one's.
    """
    ran = run_one(away.whose, processes, config={"configurable": {"user": "ada"}})

    assert (ran.stats.ready, answer_of(ran)) == (1, "ada")


def test_results_are_copies() -> None:
    """
    What a tool still holds on to is not what the graph gets, in a pool of threads neither.
    """
    held: list[Reply] = []

    def keep(future: Future[Any], parcel: Parcel) -> None:
        held.append(carry_out(parcel))
        future.set_result(held[0])

    ran = run_one(away.listing, Handled(keep))
    ran.answer[0]["messages"][2].artifact["rows"].append(4)

    assert ran.stats.ready == 1
    assert held[0].value == ("three", {"rows": [1, 2, 3]})


# -- what stays -------------------------------------------------------------------------------------------------------


class Counting(ThreadPoolExecutor):
    """Counts what comes."""

    def __init__(self) -> None:
        super().__init__(1)
        self.sent: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.sent.append(args)
        return super().submit(fn, *args, **kwargs)


def _closure() -> BaseTool:
    secret = 3
    return StructuredTool.from_function(lambda id: f"closure {id + secret}", name="closure", description="Add.")


class Own(BaseTool):
    """A tool that is a class."""

    name: str = "own"
    description: str = "Look up."

    def _run(self, id: int) -> str:
        return f"own {id}"


STAYING = [*away.MUST_STAY, _closure(), Own()]


@pytest.mark.parametrize("tool", STAYING, ids=lambda tool: tool.name)
def test_a_body_that_depends_on_its_process_stays(tool: BaseTool) -> None:
    """
    Closures, classes, what a run fills in, variables of a module: another process has none of these, or others. Such
    bodies run ahead in threads, as without an executor.
    """
    with Counting() as counting:
        ran = run_one(tool, counting, propagate_context=[away.LANGUAGE])

    assert counting.sent == []
    assert (ran.stats.launched, ran.stats.ready) == (1, 1)


def test_context_variables_that_are_passed_on_keep_a_body_here() -> None:
    """
    A variable has no value in another process.
    """
    language: ContextVar[str] = ContextVar("language")
    token = language.set("de")
    try:
        with Counting() as counting:
            ran = run_one(away.where, counting, propagate_context=[language])
    finally:
        language.reset(token)

    assert (counting.sent, ran.stats.ready) == ([], 1)


def test_a_run_that_calculates_in_its_own_way_keeps_its_bodies_here() -> None:
    """
    Another process would calculate with the default decimal context.
    """
    with Counting() as counting, decimal.localcontext() as context:
        context.prec = 6
        ran = run_one(away.where, counting)

    assert (counting.sent, ran.stats.ready) == ([], 1)


def test_a_tool_that_may_see_the_runs_context_stays_with_it() -> None:
    """
    LangGraph's runtime context is an object of this process.
    """
    with Counting() as counting:
        ran = run_one(away.where, counting, entry={"uses": ["context"]})

    assert (counting.sent, ran.stats.ready) == ([], 1)


class Tenants(State):
    tenant: str


def test_a_tool_that_reads_the_graphs_state_stays_with_it() -> None:
    """
    What is watched here could not be watched elsewhere, be it plain data.
    """
    script, bodies = [ask(("stateful", {"id": 7})), AIMessage("done")], Bodies()
    graph = tool_node_graph(ScriptedModel(script=script, during=bodies.wait), [away.stateful], state=Tenants)
    settings = {"tools": {"stateful": {"read_only": True, "reads_state": ["tenant"]}}}
    with Counting() as counting:
        wrapped = speculate(graph, settings, predictor=Oracle(script), observers=[at_once(bodies)], executor=counting)
        wrapped.invoke({**START_INPUT, "tenant": "acme"})

    assert (counting.sent, speculation_of(wrapped).stats().ready) == ([], 1)


def test_arguments_and_configs_that_are_no_plain_data_keep_a_body_here() -> None:
    """
    Nobody's classes are looked up in a worker.
    """
    with Counting() as counting:
        ran = run_one(away.where, counting, config={"configurable": {"client": threading.Lock()}})

    assert (counting.sent, ran.stats.ready) == ([], 1)


def test_what_is_sent_is_plain_data() -> None:
    """
    An address, arguments and the caller's own part of the config; never the graph, the run or its callbacks.
    """
    with Counting() as counting:
        run_one(away.where, counting, config={"configurable": {"user": "ada"}, "tags": ["t"]})
    ((parcel,),) = counting.sent

    assert (parcel.address, parcel.named) == ("away:where", {"id": 7})
    assert is_plain([parcel.positional, parcel.named, parcel.config, list(parcel.hosts)])
    given = {key: value for key, value in parcel.config["configurable"].items() if value is not None}
    assert given == {"user": "ada"}


def test_two_parcels_are_never_alike() -> None:
    """
    An executor that takes equal tasks for one (Dask's does) would answer with what was read earlier.
    """
    with Counting() as counting:
        run_one(away.where, counting)
        run_one(away.where, counting)

    assert counting.sent[0] != counting.sent[1]


def test_something_else_than_an_executor_is_refused() -> None:
    """
    A mistake is told where it is made.
    """
    graph = agent_graph(ScriptedModel(script=[AIMessage("done")]), [])

    with pytest.raises(TypeError, match=r"executor= takes a concurrent\.futures\.Executor, not str"):
        speculate(graph, executor="processes")  # type: ignore[arg-type]


@pytest.mark.parametrize("tool", away.CAN_GO, ids=lambda tool: tool.name)
def test_a_decorated_function_of_a_module_has_an_address(tool: StructuredTool) -> None:
    """
    `@tool` leaves the tool where the function was.
    """
    assert address_of(tool.func) == f"away:{tool.name}"  # type: ignore[arg-type]


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_swallowed_interrupt_taints_in_another_process(processes: ProcessPoolExecutor) -> None:
    """
    What a body may not have it has nowhere, and that it hides this does not help: the real call runs.
    """
    ran = run_one(away.asking, processes, calls=2)

    assert ran.stats.discarded == {"tainted": 1}
    assert (ran.stats.launched, ran.stats.misses, ran.stats.denied["tripped"]) == (1, 2, 1)


@pytest.mark.parametrize("tool", [away.writing, away.emitting, away.opaque], ids=lambda tool: tool.name)
def test_a_tool_whose_result_or_record_cannot_be_sent_is_called_here_from_then_on(
    processes: ProcessPoolExecutor, tool: BaseTool
) -> None:
    """
    What it wrote to streams and callbacks would be lost with the worker, so the real call runs; the next one runs
    ahead here.
    """
    ran = run_one(tool, processes, way="stream", calls=2)
    script = [ask((tool.name, {"id": 7})), ask((tool.name, {"id": 8})), AIMessage("done")]
    plain = drive(agent_graph(ScriptedModel(script=script), [tool]), "stream")

    assert ran.stats.discarded == {"failed": 1}
    assert (ran.stats.launched, ran.stats.hits) == (2, 1)
    assert canonical(ran.answer) == canonical(plain)


def test_an_error_that_cannot_be_sent_leaves_the_pool_whole(processes: ProcessPoolExecutor) -> None:
    """
    An exception that its reader cannot build again breaks a whole pool of processes, so none is sent.
    """
    with pytest.raises(away.Odd):
        run_one(away.raising, processes)

    assert run_one(away.where, processes).stats.ready == 1


def test_a_service_that_is_overloaded_is_left_alone_wherever_that_was_heard(processes: ProcessPoolExecutor) -> None:
    """
    The error stays in its worker; that it was a 429, and for how long to wait, comes back.
    """
    ran = run_one(away.rejected, processes)

    (switch,) = (event for event in ran.bodies.events if isinstance(event, events.Switched))
    assert (switch.name, switch.state, switch.status, switch.pause_s) == ("rejected", "off", 429, 90.0)
    assert answer_of(ran) == "served 7"


def test_a_worker_that_dies_costs_nothing_but_the_guess() -> None:
    """
    The real call runs; and since the pool is broken for good, what comes later runs ahead here.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        ran, later = run_one(away.dying, pool), run_one(away.where, pool)

    assert (answer_of(ran), ran.stats.discarded) == ("alive 7", {"failed": 1})
    assert later.stats.ready == 1
    assert f'"process": {os.getpid()}' in answer_of(later)


def test_a_pool_that_was_shut_down_sends_bodies_back_here() -> None:
    """
    Its owner may do that at any time.
    """
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    ran = run_one(away.where, threads)

    assert ran.stats.ready == 1
    assert "speculate-worker" in answer_of(ran)


class Handled(Executor):
    """An executor by hand: what becomes of a task is up to the test."""

    def __init__(self, handle: Callable[[Future[Any], Parcel], None]) -> None:
        self.futures: list[Future[Any]] = []
        self._handle = handle

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        self._handle(future, *args)
        return future


def test_a_worker_without_the_module_sends_the_body_back_here() -> None:
    """
    On another machine the graph's code may not be there.
    """

    def elsewhere(future: Future[Any], parcel: Parcel) -> None:
        future.set_result(carry_out(dataclasses.replace(parcel, address="no_such_module:where")))

    executor = Handled(elsewhere)
    ran = run_one(away.where, executor, calls=2)

    assert (ran.stats.ready, len(executor.futures)) == (2, 1)
    assert "speculate-worker" in answer_of(ran)


@pytest.mark.parametrize("answer", ["rubbish", None, Reply(failure="Odd", seconds=0.1)])
def test_an_answer_that_is_none_is_not_adopted(answer: Any) -> None:
    """
    Doubt is a miss.
    """
    ran = run_one(away.where, Handled(lambda future, _: future.set_result(answer)))

    assert ran.stats.discarded == {"failed": 1}
    assert '"ahead": false' in answer_of(ran)


def _runs(future: Future[Any], _parcel: Parcel) -> None:
    future.set_running_or_notify_cancel()


def test_an_attempt_that_takes_too_long_is_given_up() -> None:
    """
    After `attempt_timeout_s` nothing of ours waits for it.
    """
    executor = Handled(_runs)
    ran = run_one(away.where, executor, limits={"attempt_timeout_s": 0.05})

    assert ran.stats.discarded == {"failed": 1}
    assert '"ahead": false' in answer_of(ran)
    assert not executor.futures[0].done()  # it is its owner's


class Held(ThreadPoolExecutor):
    """One thread, in which a body begins once it may."""

    def __init__(self) -> None:
        super().__init__(1)
        self.futures: list[Future[Any]] = []
        self.may_begin = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(super().submit(self._begin, fn, *args, **kwargs))
        return self.futures[-1]

    def _begin(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self.may_begin.wait(20)
        return fn(*args, **kwargs)

    def has_begun(self) -> bool:
        return any(future.running() or future.done() for future in self.futures)


@pytest.mark.parametrize("way", WAYS)
def test_a_real_call_joins_a_body_that_runs(way: str) -> None:
    """
    Threads tell that they have taken it up, and it is waited for as in a thread of ours.
    """
    with Held() as threads:

        def matched(event: Any) -> None:
            if isinstance(event, events.Matched):
                threads.may_begin.set()

        during = _until(threads.has_begun, way)
        ran = run_one(away.where, threads, way=way, during=during, observers=[at_once(matched)])

    assert (ran.stats.joined, ran.stats.misses) == (1, 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_real_call_does_not_stand_in_line_where_nobody_sees_the_line(way: str) -> None:
    """
    A pool of processes calls running what only waits for a process. Nothing is known of the tool yet, so the real call
    runs at once; what comes back of the body later ends it, once, and is dropped.
    """
    executor, before = Handled(_runs), in_process()
    ran = run_one(away.where, executor, way=way, during=_until(lambda: executor.futures, way))

    assert (ran.stats.hits, ran.stats.misses, ran.stats.discarded) == (0, 1, {"overrun": 1})
    assert ran.stats.tool_wait_s < LIMITS["attempt_timeout_s"] / 4
    assert speculating_threads_end()
    assert in_process() == before + 1
    executor.futures[0].set_result(Reply("late", seconds=5.0))
    assert in_process() == before
    assert [type(event).__name__ for event in ran.bodies.events if isinstance(event, _ENDS)] == [
        "Discarded",
        "Finished",
        "Wasted",
    ]


_ENDS = (events.Finished, events.Discarded, events.Wasted)


def test_a_real_call_waits_for_as_long_as_its_tool_takes_where_nobody_sees_the_line() -> None:
    """
    Once that is known: a body that began at once will have ended by then.
    """
    sent: list[tuple[Future[Any], Parcel]] = []

    def runs(future: Future[Any], parcel: Parcel) -> None:
        future.set_running_or_notify_cancel()
        sent.append((future, parcel))

    def answer_the_second(event: Any) -> None:
        if isinstance(event, events.Matched) and len(sent) == 2:
            future, parcel = sent[1]
            future.set_result(carry_out(parcel))

    executor = Handled(runs)
    ran = run_one(
        away.where,
        executor,
        calls=2,
        during=lambda turn: _until(lambda: len(sent) > min(turn, 1))(turn),
        observers=[at_once(answer_the_second)],
    )

    assert (ran.stats.misses, ran.stats.joined) == (1, 1)
    assert ran.stats.tool_wait_s < LIMITS["attempt_timeout_s"] / 4


class Stuck(Executor):
    """Takes nothing before it may, as executors with a bounded queue do."""

    def __init__(self) -> None:
        self.may_take = threading.Event()
        self.asked: list[Any] = []
        self.future: Future[Any] = Future()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.asked.append(args)
        self.may_take.wait(20)
        return self.future


@pytest.mark.parametrize("way", WAYS)
def test_a_real_call_does_not_wait_until_a_body_is_taken(way: str) -> None:
    """
    An executor that lets whoever sends wait lets a thread of ours wait. What it takes later never runs.
    """
    executor, before = Stuck(), in_process()
    ran = run_one(away.where, executor, way=way, during=_until(lambda: executor.asked, way))

    assert (ran.stats.hits, ran.stats.misses) == (0, 1)
    assert ran.stats.tool_wait_s < LIMITS["attempt_timeout_s"] / 4
    executor.may_take.set()
    assert speculating_threads_end()
    assert executor.future.cancelled()
    assert in_process() == before
    assert [type(event).__name__ for event in ran.bodies.events if isinstance(event, _ENDS)] == ["Discarded", "Wasted"]


class Wrong(Executor):
    """What it does when something is sent is up to the test."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._act()


def _exits() -> None:
    raise SystemExit


@pytest.mark.parametrize("act", [lambda: None, _exits], ids=["nothing", "exit"])
@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_an_executor_does_not_take_runs_here(way: str, act: Callable[[], Any]) -> None:
    """
    An executor that returns no future, or raises whatever, is none for that body.
    """
    ran = run_one(away.where, Wrong(act), way=way)

    assert ran.stats.ready == 1
    assert "speculate-worker" in repr(ran.answer)


class Broken(Future[Any]):
    """A future that fails whoever asks it."""

    def cancel(self) -> bool:
        raise SystemExit

    def done(self) -> bool:
        raise SystemExit


def test_a_future_that_fails_whoever_asks_it_ends_its_body() -> None:
    """
    The attempt ends, and the real call runs.
    """

    def broken() -> Any:
        future = Broken()
        future.set_result(None)
        return future

    ran = run_one(away.where, Wrong(broken))

    assert ran.stats.discarded == {"failed": 1}
    assert '"ahead": false' in answer_of(ran)


def test_a_real_call_does_not_stand_in_line() -> None:
    """
    A body that has not started when its call arrives is taken back: the pool may be busy with anything.
    """
    executor = Handled(lambda future, parcel: None)
    ran = run_one(away.where, executor, during=_until(lambda: executor.futures))

    assert (ran.stats.hits, ran.stats.misses) == (0, 1)
    assert executor.futures[0].cancelled()
    assert ran.stats.tool_wait_s < LIMITS["attempt_timeout_s"] / 2


def test_how_long_a_body_ran_is_told_without_its_time_in_line() -> None:
    """
    Real calls wait for a body by how long it takes, not by how long the pool was busy.
    """
    ran = run_one(away.where, Handled(lambda future, _: future.set_result(Reply("there", seconds=5.0))))

    assert [event.seconds >= 5.0 for event in ran.bodies.events if isinstance(event, events.Finished)] == [True]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("runs", [True, False], ids=["running", "queued"])
def test_a_run_that_ends_leaves_nothing_of_ours_behind(way: str, runs: bool, world: World) -> None:
    """
    What is queued is cancelled, what runs is its owner's, who alone shuts the executor down. No thread of ours
    waits on.
    """
    executor = Handled(_runs if runs else lambda future, parcel: None)
    script = [AIMessage("done")]
    graph = agent_graph(ScriptedModel(script=script, during=_until(lambda: executor.futures, way)), [away.where])
    guess = Oracle(script, also=[("where", {"id": 7})])
    wrapped = speculate(graph, {"tools": {"where": True}}, predictor=guess, executor=executor)
    drive(wrapped, way)

    assert speculation_of(wrapped).stats().launched == 1
    assert speculating_threads_end()
    assert executor.futures[0].cancelled() is not runs


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_nobody_wants_counts_as_running_until_its_worker_is_done(way: str, world: World) -> None:
    """
    A worker cannot be stopped. Until it is done its service is busy with the body, and so is the slot that it holds.
    """
    executor, bodies = Handled(_runs), Bodies()
    script = [AIMessage("done")]
    graph = agent_graph(ScriptedModel(script=script, during=_until(lambda: executor.futures, way)), [away.where])
    guess = Oracle(script, also=[("where", {"id": 7})])
    wrapped = speculate(
        graph, {"tools": {"where": True}}, predictor=guess, executor=executor, observers=[at_once(bodies)]
    )
    before = in_process()
    drive(wrapped, way)

    assert speculating_threads_end()
    assert in_process() == before + 1
    assert not any(isinstance(event, events.Wasted) for event in bodies.events)
    executor.futures[0].set_result(Reply("there", seconds=5.0))
    assert in_process() == before
    assert [event.seconds >= 5.0 for event in bodies.events if isinstance(event, events.Wasted)] == [True]


def _until(there: Callable[[], Any], way: str = "invoke") -> Callable[[int], Awaitable[None] | None]:
    """The model answers once something is there."""

    def during(_turn: int) -> None:
        until = time.monotonic() + 10
        while not there() and time.monotonic() < until:
            time.sleep(0.001)

    async def aduring(_turn: int) -> None:
        until = time.monotonic() + 10
        while not there() and time.monotonic() < until:
            await asyncio.sleep(0.001)

    return aduring if way in ("ainvoke", "astream") else during


def speculating_threads_end() -> bool:
    until = time.monotonic() + 10
    while speculating_threads() and time.monotonic() < until:
        time.sleep(0.001)
    return not speculating_threads()


@pytest.mark.parametrize("given", [{}, {"page": 1}])
def test_a_worker_sees_that_a_body_changes_its_arguments(given: dict[str, Any]) -> None:
    """
    A real call's message would show the change, and a copy that was sent away cannot.
    """
    changes = not given
    reply = carry_out(Parcel("1", "paged", "away:paged", (), {"filter": given}, {}, ()))

    assert (reply.value, reply.taint is None) == ((None, False) if changes else ("found", True))
