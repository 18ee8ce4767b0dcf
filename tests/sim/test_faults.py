"""Faults in early bodies and below speculation, in every run of the tests; and what is known to be wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import replace
from typing import Any

import pytest
from agents import START_INPUT, Fixed, ScriptedModel, agent_graph, ask
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard
from langgraph_speculate.host.threads import THREADS
from langgraph_speculate.host.waiting import Waiting
from tests.sim.cancelling import ended_at, sweep_over
from tests.sim.faults import (
    CLOCKS,
    FLAVOURS,
    INFRASTRUCTURE,
    KINDS,
    PHASES,
    deviate,
    disturb,
    infrastructure_program,
    inject,
)
from tests.sim.quiet import quiet

# For tools without arguments, until the branch has "Ask pydantic for its fields by their new name alone".
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:langgraph_speculate")
SEEDS = range(3)
INFRASTRUCTURE_SEEDS = range(10)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_wrong_in_early_bodies_stays_there(kind: str, phase: str, flavour: str) -> None:
    """
    State, effects, streams and errors are the plain graph's, and it takes no longer than the promise allows.
    """
    for seed in SEEDS:
        outcome = inject(kind, phase, flavour, seed)
        assert outcome.broken == []
        assert outcome.reached >= 1
        assert max(outcome.heard.values(), default=0) <= 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_answer_in_good_order_is_shown_as_often_as_it_was_adopted(flavour: str) -> None:
    for seed in SEEDS:
        assert deviate(flavour, seed).broken == []


@pytest.mark.parametrize("name", [*INFRASTRUCTURE, *CLOCKS])
def test_what_breaks_below_speculation_leaves_the_plain_run(name: str) -> None:
    """
    The result is the plain graph's, and there is no more than one warning a cause.
    """
    for seed in INFRASTRUCTURE_SEEDS:
        outcome = disturb(name, seed)
        assert outcome.broken == [], seed
        assert max(outcome.heard.values(), default=0) <= 1, outcome.heard
        causes = {text.partition(":")[0] + text.partition(":")[2][:40] for text in outcome.heard}
        assert len(causes) <= (2 if name.startswith("predictor") else 1)  # such a one fails to learn, too


@pytest.mark.parametrize("jumps", list(CLOCKS))
def test_a_clock_that_jumps_while_an_early_body_hangs_changes_no_result(jumps: str) -> None:
    for flavour in FLAVOURS:
        for seed in SEEDS:
            assert inject("hangs", "mid_run", flavour, seed, jumps).broken == []


# -- bugs that are reported and not fixed yet ------------------------------------------------------------------------


def test_a_predictor_that_panics_does_not_end_the_run() -> None:
    """
    Extensions written in Rust raise `PanicException`, which is no `Exception`.
    """
    assert disturb("predictor_raises_base", 1).broken == []


def test_rubbish_of_a_predictor_is_no_error_of_ours() -> None:
    assert not [text for text in disturb("predictor_answers_garbage", 5).heard if "internal error" in text]


def test_a_clock_that_jumped_back_does_not_make_a_real_call_wait_longer() -> None:
    """
    A monotonic clock does not, by contract; where it does anyway, a call behind a hung thread waits for the difference.
    """
    assert inject("hangs", "mid_run", "sync", 0, "clock_jumps_backwards").longer_s < 10


class _Tidy:
    """A tool that takes its time to clean up when it is stopped, and tells where it is."""

    def __init__(self) -> None:
        self.begun, self.cleaning, self.cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.tool = StructuredTool.from_function(coroutine=self.look, name="look")

    async def look(self, id: int) -> str:
        "Look something up."
        self.begun.set()
        try:
            await asyncio.sleep(20)
        finally:
            self.cleaning.set()
            await asyncio.sleep(0.005)  # less than what the end of a run waits
            self.cleaned.set()
        return "never"


async def test_a_body_that_was_stopped_cleans_up_in_peace() -> None:
    """
    The message rules it out, and then the run ends: it is not interrupted a second time.
    """
    tidy = _Tidy()

    async def until_begun(_turn: int) -> None:
        await asyncio.wait_for(tidy.begun.wait(), 10)

    graph = agent_graph(ScriptedModel(script=[AIMessage("done")], during=until_begun), [tidy.tool])
    policy = {"tools": {"look": {"read_only": True, "on_mispredict": "cancel"}}}
    await speculate(graph, policy, predictor=Fixed(("look", {"id": 1}))).ainvoke(START_INPUT)
    assert tidy.cleaning.is_set()
    assert tidy.cleaned.is_set()


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="wind_down is left at the first cancellation")
async def test_a_run_cancelled_while_it_ends_still_waits_for_the_clean_up_of_early_bodies() -> None:
    tidy = _Tidy()
    graph = agent_graph(ScriptedModel(script=[AIMessage("done")], pace_s=0.01), [tidy.tool])
    wrapped = speculate(graph, {"tools": {"look": True}}, predictor=Fixed(("look", {"id": 1})))
    task = asyncio.create_task(wrapped.ainvoke(START_INPUT))
    await tidy.cleaning.wait()
    task.cancel()
    await asyncio.wait({task})
    in_time = tidy.cleaned.is_set()
    await tidy.cleaned.wait()
    assert in_time


class _Once:
    """A predictor on its own thread."""

    bounded = False

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked = 0
        self._error = error

    def predict(self, history: Any, *, k: int) -> list[Any]:
        self.asked += 1
        error, self._error = self._error, None
        if error is not None:
            raise error
        return []

    def learn(self, history: Any, calls: Any) -> None:
        return None


def _look(id: int) -> str:
    "Look something up."
    return f"item {id}"


def _looking(predictor: Any) -> Any:
    script = [ask(("look", {"id": 1})), AIMessage("done")]
    tool = StructuredTool.from_function(func=_look, name="look")
    return speculate(agent_graph(ScriptedModel(script=script), [tool]), {"tools": {"look": True}}, predictor=predictor)


def test_a_predictor_is_asked_again_once_there_are_threads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_daemon(work: Any, name: str) -> None:
        raise RuntimeError("can't start new thread")

    predictor = _Once()
    graph = _looking(predictor)
    with monkeypatch.context() as broken:
        broken.setattr("langgraph_speculate.host.worker.start_daemon", start_daemon)
        graph.invoke(START_INPUT)
    for _ in range(3):
        graph.invoke(START_INPUT)
    assert predictor.asked


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_predictor_that_panicked_once_is_asked_again() -> None:
    predictor = _Once(KeyboardInterrupt())
    graph = _looking(predictor)
    for _ in range(3):
        graph.invoke(START_INPUT)
    assert predictor.asked > 1


def test_a_run_cancelled_while_a_predictor_takes_its_time_leaves_no_coroutine() -> None:
    """
    With a handler of the user's that is not called on the loop, and a predictor on a thread of its own.
    """
    sweep = sweep_over(replace(infrastructure_program(0), predictor="slow", inline=False))
    with quiet():
        leaks = [leak for point in sweep.points["cancel"] for leak in ended_at(sweep, point, known=())[0]]
    assert leaks == []


# -- the loop is gone ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("native", [True, False], ids=["task", "thread"])
def test_a_loop_that_is_closed_between_launch_and_use_breaks_nothing_else(
    native: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Closing the handle raises nothing, the pool is given back, and the next run on another loop is the plain one.
    """
    started: list[int] = []

    async def alook(id: int) -> str:
        "Look something up."
        started.append(id)
        await asyncio.sleep(0.2)
        return f"item {id}"

    async def main(graph: Any) -> Any:
        return await graph.ainvoke(START_INPUT)

    script = [ask(("look", {"id": 1})), AIMessage("done")]
    tool = StructuredTool.from_function(
        func=None if native else _look, coroutine=alook if native else None, name="look", description="look"
    )
    graph = agent_graph(ScriptedModel(script=script, pace_s=0.05), [tool])
    wrapped = speculate(graph, {"tools": {"look": True}}, predictor=Fixed(("look", {"id": 1})))
    users = THREADS._users
    loop = asyncio.new_event_loop()
    task = loop.create_task(main(wrapped))
    loop.call_later(0.03, loop.stop)
    loop.run_forever()
    loop.close()
    speculation_of(wrapped).close()
    stats = speculation_of(wrapped).stats()
    assert stats.launched == stats.wasted == 1 or not native
    assert THREADS._users == users
    again = speculate(graph, {"tools": {"look": True}}, predictor=Fixed(("look", {"id": 1})))
    assert [m.content for m in asyncio.run(main(again))["messages"]] == [
        m.content for m in asyncio.run(main(graph))["messages"]
    ]
    assert speculation_of(again).stats().hits == 1
    assert not [record for record in caplog.records if record.name == "langgraph_speculate"]
    logging.getLogger("asyncio").disabled = True  # the task that was abandoned is told of when it is collected
    del task
    gc.collect()
    logging.getLogger("asyncio").disabled = False


# -- the checks can fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "lenient"),
    [("differs", Discard.TAINTED), ("huge", Discard.TOO_LARGE), ("raises", Discard.FAILED)],
)
def test_a_library_that_adopts_what_it_must_not_is_noticed(
    kind: str, lenient: Discard, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session._rejection

    def rejection(self: Session, *args: Any) -> Discard | None:
        found = real(self, *args)
        return None if found is lenient else found

    monkeypatch.setattr(Session, "_rejection", rejection)
    assert inject(kind, "before_commit", "async", 0).broken


def test_a_library_that_waits_for_ever_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Waiting, "_patience", lambda self, speculation: 100.0)
    assert inject("hangs", "mid_run", "sync", 0).broken
