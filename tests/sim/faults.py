"""Faults in early bodies and in what speculation stands on: the run must be the plain one, and not much slower.

A faulty tool behaves in real calls and misbehaves where it runs ahead, which `current_speculation()` tells it. Whatever
it answers then is wrong, or comes after something that forbids its use, so equality with the plain side shows that no
such answer is ever adopted. A wrong answer that an early body gives in good order is its answer, by definition;
`deviate` checks that one the other way round: it is shown exactly as often as the history says.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.types import Command, Send, interrupt

from langgraph_speculate import current_speculation, speculate
from langgraph_speculate.core import Call, Candidate, History, events
from langgraph_speculate.core.session import Session
from langgraph_speculate.host import clock, injection
from langgraph_speculate.host.compat import tools as compat_tools
from langgraph_speculate.host.runner import _GRACE_S
from langgraph_speculate.observe.observers import at_once
from tests.sim import side, tools
from tests.sim.graphs import Form
from tests.sim.loop import Deadlock, VirtualLoop, active, sleep
from tests.sim.models import Ask, Turn
from tests.sim.pair import Mismatch, _always, _differences, _slower
from tests.sim.programs import Program, Visit
from tests.sim.side import Side, run_side
from tests.sim.tools import HUGE
from tests.sim.world import HANG_S, WORLDS, Job
from tests.sim.zoo import program_of

KINDS = (
    "raises",
    "raises_base",
    "hangs",
    "is_late",
    "wrong_type",
    "huge",
    "differs",
    "ignores_cancel",
    "stops_loop",
)
"""What an early body does wrong."""
PHASES = ("issue", "first_await", "mid_run", "end", "before_commit", "after_run")
"""When: before it waits for anything; right after; halfway; at its end, which the model does not know of yet; at its
end, for which a real call waits by then; when the run is over."""
FLAVOURS = ("async", "sync")
BODY_S = 0.08
JOINED_S = 0.15
PACE_S = 0.1  # of the model, between the two
TIMEOUT_S = 1.0
UNWANTED = 3
"""What the faulty tool is run ahead for although nobody asks for it, where it is to outlive the run."""
WRONG = "an answer that must never be used"
DEVIATES = "an answer of its own"
REACHED: list[str] = []
"""Faults that occurred."""
_FINE = object()


class Broken(BaseException):
    """What an early body raises that is no `Exception`."""


# -- the faulty tool -------------------------------------------------------------------------------------------------


def _fault(job: Job, phase: str) -> str | None:
    """What goes wrong in this body at this moment."""
    assert (current_speculation() is not None) == (job.fault is not None)
    kind, _, when = (job.fault or "@").partition("@")
    if phase != when or (when == "after_run") != (job.args["id"] == UNWANTED):
        return None
    REACHED.append(kind)
    return kind


def _answer(kind: str, job: Job) -> Any:
    """What is wrong in either flavour: an error, or an answer."""
    if kind == "raises":
        raise ValueError(WRONG)
    if kind == "raises_base":
        raise (Broken, SystemExit, KeyboardInterrupt)[job.world.seed % 3](WRONG)
    if kind == "wrong_type":
        message = ToolMessage(WRONG, tool_call_id="none")
        return (Command(update={"messages": [message]}), message, Send("model", {}))[job.world.seed % 3]
    if kind == "deviates":
        return DEVIATES
    if kind == "huge":
        return WRONG * HUGE
    if kind == "differs":  # a clean answer would be its answer; this one comes after something forbidden
        try:
            interrupt(WRONG)
        except BaseException:  # noqa: BLE001 - that is the point
            return WRONG
    return _FINE


def _stop(job: Job) -> None:
    loop = active()
    if job.world.seed % 2:
        loop.call_soon_threadsafe(loop.stop)
    else:
        loop.close()  # raises: it runs


def _times(job: Job, phase: str) -> float:
    """Seconds between the middle of a body and its ends."""
    if job.fault is None:
        return BODY_S / 2
    return (JOINED_S if job.fault.endswith("@before_commit") else BODY_S) / 2


def _sync(id: int, config: RunnableConfig) -> Any:
    "Reads an item, if nobody asks too early."
    job = WORLDS().begin("faulty_sync", {"id": id}, config)
    if job.fault is not None and id == UNWANTED:
        sleep(100.0)
        return _sync_at(job, "after_run")
    for phase, seconds in (("issue", 0.0), ("first_await", _times(job, "")), ("mid_run", _times(job, ""))):
        if (answer := _sync_at(job, phase)) is not _FINE:
            return answer
        sleep(seconds)
    for phase in ("end", "before_commit"):
        if (answer := _sync_at(job, phase)) is not _FINE:
            return answer
    return job.world.read(f"{job.user}/item:{id}")


def _sync_at(job: Job, phase: str) -> Any:
    kind = _fault(job, phase)
    if kind in ("hangs", "ignores_cancel", "is_late"):  # a thread ignores it anyway
        sleep({"hangs": HANG_S, "ignores_cancel": 20.0, "is_late": 5.0}[kind])
        return WRONG
    if kind == "stops_loop":
        _stop(job)
        return WRONG if phase == "after_run" else _FINE
    return _FINE if kind is None else _answer(kind, job)


async def _async(id: int, config: RunnableConfig) -> Any:
    "Reads an item, if nobody asks too early."
    job = WORLDS().begin("faulty_async", {"id": id}, config)
    if job.fault is not None and id == UNWANTED:
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:
            return await _async_at(job, "after_run")
    for phase, seconds in (("issue", 0.0), ("first_await", _times(job, "")), ("mid_run", _times(job, ""))):
        if (answer := await _async_at(job, phase)) is not _FINE:
            return answer
        await asyncio.sleep(seconds)
    for phase in ("end", "before_commit"):
        if (answer := await _async_at(job, phase)) is not _FINE:
            return answer
    return job.world.read(f"{job.user}/item:{id}")


async def _async_at(job: Job, phase: str) -> Any:
    kind = _fault(job, phase)
    if kind in ("hangs", "is_late"):
        await asyncio.sleep(HANG_S if kind == "hangs" else 5.0)
        return WRONG
    if kind == "ignores_cancel":
        until = active().now + 20.0
        while active().now < until:
            try:
                await asyncio.sleep(until - active().now)
            except asyncio.CancelledError:
                continue
        return WRONG
    if kind == "stops_loop":
        _stop(job)
        return WRONG if phase == "after_run" else _FINE
    return _FINE if kind is None else _answer(kind, job)


_POLICY = {"read_only": True, "reads": ["item:{id}"], "scope": "run"}
for _name, _bodies in {"faulty_sync": {"func": _sync}, "faulty_async": {"coroutine": _async}}.items():
    tools._SPECIAL[_name] = (  # type: ignore[index]
        lambda name=_name, bodies=_bodies: StructuredTool.from_function(**bodies, name=name, description=name),
        _POLICY,
    )


def faulty_program(kind: str, phase: str, flavour: str, seed: int) -> Program:
    """Two calls of the faulty tool, with a write and another read between them."""
    name = f"faulty_{flavour}"
    script = (
        Turn((Ask(name, {"id": 1}), Ask("get_note", {"id": 1})), PACE_S),
        Turn((Ask("set_item", {"id": 1, "text": "mine"}),), PACE_S),
        Turn((Ask(name, {"id": 1}),), PACE_S),
        Turn((Ask(name, {"id": 2}),), PACE_S),
        Turn((), PACE_S),
    )
    form = Form(
        ("agent", "tool_node", "hand_written")[seed % 3],
        ((name, flavour), ("get_note", ("async", "sync")[seed % 2]), ("set_item", flavour)),
    )
    limits = {"attempt_timeout_s": TIMEOUT_S, "max_result_bytes": HUGE}
    modes = ((), ("values",), ("updates", "custom"))[seed // 3 % 3]
    return Program(
        seed,
        "faulty",
        form,
        (Visit("u1", "u1", script),),
        modes=modes,
        parallel=True,
        limits=limits,
        faults={name: f"{kind}@{phase}"},
        queue_wait_s=(0.0, 0.001)[seed % 2],
    )


class _Also:
    """Guesses one more call than another predictor."""

    bounded = True

    def __init__(self, predictor: Any, call: Call) -> None:
        self._predictor = predictor
        self._call = call

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(self._call, 0.8, "also"), *self._predictor.predict(history, k=k)][:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


@dataclass
class Outcome:
    """What came of one fault.

    Attributes:
        broken: Promises that were not kept.
        reached: How often the fault occurred.
        launched, hits: Speculative starts and adoptions.
        heard: Warnings, by text.
        longer_s: Virtual seconds that the run took longer than plain, if it did.
    """

    broken: list[Mismatch] = field(default_factory=list)
    reached: int = 0
    launched: int = 0
    hits: int = 0
    heard: Counter[str] = field(default_factory=Counter)
    longer_s: float = 0.0


def inject(kind: str, phase: str, flavour: str, seed: int, jumps: str = "") -> Outcome:
    """Run the faulty program on both sides and compare.

    Args:
        kind, phase: One of `KINDS`, and of `PHASES`.
        flavour: Which body the tool has.
        seed: Decides the graph, streams and details.
        jumps: One of `CLOCKS`, if the clock jumps as well.
    """
    program = faulty_program(kind, phase, flavour, seed)
    REACHED.clear()
    stack = ExitStack()
    if phase == "after_run":
        real = side.predictor_of
        also = Call(f"faulty_{flavour}", {"id": UNWANTED})
        stack.enter_context(patch.object(side, "predictor_of", lambda *args: _Also(real(*args), also)))
    with stack:
        outcome, plain, early = _both(program, _Jumping(CLOCKS[jumps], seed) if jumps else None)
    if early is None:
        return outcome
    outcome.reached = len(REACHED)
    if jumps:  # virtual time does not, so nothing about times can be compared
        outcome.broken += _differences(program, plain, early)
        return outcome
    lingers = flavour == "async" and (
        kind == "ignores_cancel" or (phase == "after_run" and kind in ("hangs", "is_late"))
    )
    for mismatch in _always(program, plain, early):
        unstoppable = {"tasks": lingers, "threads": flavour == "sync" and kind == "hangs"}
        if mismatch.clause != "leak" or not unstoppable.get(mismatch.where):
            outcome.broken.append(mismatch)
    if lingers:  # the end of a run waits for tasks that clean up, so long
        plain.visits["u1"].ended += _GRACE_S
    outcome.broken += [*_differences(program, plain, early), *_slower(program, plain, early)]
    if WRONG in repr([early.visits["u1"].state, early.visits["u1"].chunks, early.visits["u1"].events]):
        outcome.broken.append(Mismatch("adopted", "u1", "a wrong answer is shown"))
    return outcome


def deviate(flavour: str, seed: int) -> Outcome:
    """Let early bodies answer otherwise than real ones, in good order, and count what is shown."""
    program = faulty_program("deviates", "end", flavour, seed)
    REACHED.clear()
    outcome, plain, early = _both(program)
    if early is None:
        return outcome
    outcome.reached = len(REACHED)
    shown = sum(DEVIATES in str(call.output) for call in early.visits["u1"].calls)
    adopted = {
        e.id for e in early.happened if isinstance(e, events.CallSettled) and e.id and e.tool.startswith("faulty")
    }
    if shown != len(adopted) or not shown:
        outcome.broken.append(Mismatch("adopted", "u1", f"{shown} shown, {len(adopted)} adopted"))
    if early.logs() != plain.logs():
        outcome.broken.append(Mismatch("L2", "effects", f"{early.logs()}, plain {plain.logs()}"))
    outcome.broken += _slower(program, plain, early)
    return outcome


def _both(program: Program, witness: Any = None) -> tuple[Outcome, Side, Side | None]:
    outcome = Outcome()
    plain = run_side(program, False)
    try:
        with _hearing(outcome.heard):
            told = [seen.messages for seen in plain.visits.values()]
            early = run_side(program, True, told=told, witness=witness)
    except Deadlock as error:
        outcome.broken.append(Mismatch("deadlock", "", str(error)))
        return outcome, plain, None
    except BaseException as error:  # noqa: BLE001 - it got through to the user
        outcome.broken.append(Mismatch("L4", "", f"the run raised {error!r}"))
        return outcome, plain, None
    outcome.launched = sum(isinstance(event, events.Launched) for event in early.happened)
    outcome.hits = sum(isinstance(event, events.CallSettled) and event.id is not None for event in early.happened)
    outcome.longer_s = max(0.0, *(early.visits[tag].ended - plain.visits[tag].ended for tag in plain.visits))
    return outcome, plain, early


@contextmanager
def _hearing(heard: Counter[str]) -> Iterator[None]:
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.update([record.getMessage()])  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in ("langgraph_speculate", "langchain_core", "asyncio")]
    propagate = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, before in zip(loggers, propagate, strict=True):
            logger.removeHandler(handler)
            logger.propagate = before


# -- what speculation stands on --------------------------------------------------------------------------------------

SHAPES = (
    "reads",
    "reads_and_writes",
    "duplicates",
    "declared_state",
    "telling",
    "sync_tools",
    "fanned_out",
    "handled_errors",
    "unhandled_error",
    "resumed",
)
INFRASTRUCTURE: dict[str, Callable[[int], Any]] = {}
"""Faults by name: context managers, open while the speculating side runs."""


def _infrastructure(make: Callable[[int], Iterator[None]]) -> Callable[[int], Iterator[None]]:
    INFRASTRUCTURE[make.__name__.removeprefix("_")] = contextmanager(make)
    return make


class _Predictor:
    """Answers with what a function makes; learning does the same."""

    def __init__(self, predict: Callable[[], Any], bounded: bool) -> None:
        self.bounded = bounded
        self._predict = predict

    def predict(self, history: History, *, k: int) -> Any:
        return self._predict()

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        self._predict()


@contextmanager
def _predicting(predict: Callable[[], Any], bounded: bool) -> Iterator[None]:
    with patch.object(side, "predictor_of", lambda *_args: _Predictor(predict, bounded)):
        yield


def _fails(error: BaseException | None = None) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise error or RuntimeError("broken")

    return fail


@_infrastructure
def _predictor_raises(seed: int) -> Iterator[None]:
    with _predicting(_fails(), bounded=bool(seed % 2)):
        yield


@_infrastructure
def _predictor_raises_base(seed: int) -> Iterator[None]:
    with _predicting(_fails(Broken()), bounded=bool(seed % 2)):
        yield


@_infrastructure
def _predictor_hangs(seed: int) -> Iterator[None]:
    with _predicting(lambda: sleep(HANG_S), bounded=False):
        yield


class _Odd:
    """Arguments, numbers and iterators of which every look raises."""

    __iter__ = __float__ = __lt__ = __eq__ = __hash__ = __len__ = keys = _fails()  # type: ignore[assignment]


def _garbage(seed: int) -> Any:
    call = Call("get_item", {"id": 1})
    return [
        None,
        7,
        [None, "get_item", 3, call],
        [Candidate(call, math.nan, "x"), Candidate(call, 7.0, "x"), Candidate(call, 0.9, None)],  # type: ignore[arg-type]
        (Candidate(Call("get_item", {"id": n}), 0.9, "x") for n in iter(int, 1)),
        [Candidate(Call("get_item", _Odd()), 0.9, "x"), Candidate(Call(_Odd(), {}), 0.9, "x")],  # type: ignore[arg-type]
        [Candidate(Call("get_item", {"id": _Odd()}), 0.9, "x"), Candidate(Call("get_item", {_Odd: 1}), 0.9, "x")],  # type: ignore[dict-item]
        [Candidate(Call("", {"": [[[]]] * 1000}), 1.0, ""), Candidate(Call("no_such_tool"), 1.0, "x")],
        _Odd(),
    ][seed % 9]


@_infrastructure
def _predictor_answers_garbage(seed: int) -> Iterator[None]:
    with _predicting(lambda: _garbage(seed), bounded=bool(seed % 2)):
        yield


@_infrastructure
def _predictor_answers_after_the_run(seed: int) -> Iterator[None]:
    real = side.predictor_of

    def predictor_of(*args: Any) -> Any:
        guess = real(*args)
        guess.bounded, guess._slow_s = False, 50.0
        return guess

    with patch.object(side, "predictor_of", predictor_of):
        yield


@_infrastructure
def _pool_is_full(seed: int) -> Iterator[None]:
    with patch.object(VirtualLoop, "submit", lambda self, job: False):
        yield


@_infrastructure
def _pool_is_full_now_and_then(seed: int) -> Iterator[None]:
    real, turns = VirtualLoop.submit, iter(range(seed, 10_000))
    with patch.object(VirtualLoop, "submit", lambda self, job: next(turns) % 2 == 0 and real(self, job)):
        yield


@_infrastructure
def _no_thread_for_the_predictor(seed: int) -> Iterator[None]:
    real = side.predictor_of

    def predictor_of(*args: Any) -> Any:
        guess = real(*args)
        guess.bounded = False
        return guess

    with (
        patch.object(side, "predictor_of", predictor_of),
        patch.object(VirtualLoop, "start_daemon", _fails(RuntimeError("can't start new thread"))),
    ):
        yield


@_infrastructure
def _observer_raises(seed: int) -> Iterator[None]:
    def wrapped(graph: Any, policy: Any, *, predictor: Any, observers: Any) -> Any:
        return speculate(graph, policy, predictor=predictor, observers=[at_once(_fails()), *observers])

    with patch.object(side, "speculate", wrapped):
        yield


@_infrastructure
def _guard_raises(seed: int) -> Iterator[None]:
    asked = iter(range(10_000))

    def guard(call: Any) -> bool:
        if next(asked) % (1 + seed % 3) == 0:
            raise RuntimeError("no idea")
        return True

    def wrapped(graph: Any, policy: Any, **settings: Any) -> Any:
        return speculate(graph, {**policy, "guards": [guard]}, **settings)

    with patch.object(side, "speculate", wrapped):
        yield


@_infrastructure
def _deepcopy_fails(seed: int) -> Iterator[None]:
    broken = SimpleNamespace(deepcopy=_fails(TypeError("cannot copy a lock")), copy=copy.copy)
    with patch.object(injection, "copy", broken), patch.object(compat_tools, "copy", broken):
        yield


def _core_raises(method: str) -> None:
    def make(seed: int) -> Iterator[None]:
        real, calls = getattr(Session, method), iter(range(10_000))

        def now_and_then(self: Session, *args: Any, **kwargs: Any) -> Any:
            if next(calls) == seed % 3:
                raise RuntimeError(f"{method} is broken")
            return real(self, *args, **kwargs)

        with patch.object(Session, method, now_and_then):
            yield

    make.__name__ = f"core_raises_in_{method}"
    _infrastructure(make)


for _method in ("begin_turn", "predicted", "end_turn", "resolve", "claim", "begin_call", "finish", "settle", "close"):
    _core_raises(_method)


class _Jumping:
    """A witness that lets the library's clock jump."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._every = 7 + seed % 13

    def began(self, loop: VirtualLoop, main: Any) -> None:
        offset, real = 0.0, clock.now

        def now() -> float:
            return real() + offset

        def jump(step: int) -> None:
            nonlocal offset
            if step % self._every == 0:
                offset += self._seconds

        clock.now, loop.after_step = now, jump

    def ended(self, loop: VirtualLoop) -> None:
        loop.after_step = None


CLOCKS = {
    "clock_jumps_forwards": 1_000.0,
    "clock_jumps_backwards": -1_000.0,
    "clock_creeps_backwards": -0.011,
}


def disturb(name: str, seed: int) -> Outcome:
    """Run a program of the zoo with something broken below it."""
    guess = "ahead" if name == "predictor_answers_after_the_run" else "perfect"
    program = replace(infrastructure_program(seed), predictor=guess)
    witness = _Jumping(CLOCKS[name], seed) if name in CLOCKS else None
    with INFRASTRUCTURE[name](seed) if name in INFRASTRUCTURE else nullcontext():
        outcome, plain, early = _both(program, witness)
    if early is None:
        return outcome
    broken = [*_always(program, plain, early), *_differences(program, plain, early)]
    if name not in CLOCKS:
        broken += _slower(program, plain, early)
    outcome.broken = [mismatch for mismatch in broken if mismatch.clause not in _EXPECTED.get(name, ())]
    return outcome


_EXPECTED = {
    # Audits say that time ran backwards, and by it a call starts before it is written.
    "clock_jumps_backwards": ("audit", "moment"),
    "clock_creeps_backwards": ("audit", "moment"),
    "predictor_hangs": ("leak",),  # its daemon thread cannot be stopped
    "clock_jumps_forwards": ("stale",),  # judged in virtual time, which does not jump
    **{name: ("audit",) for name in INFRASTRUCTURE if name.startswith("core_raises")},  # a history with a hole
}


def infrastructure_program(seed: int) -> Program:
    """A program whose plain outcome is one, of one of `SHAPES` in turn."""
    seeds = _seeds(SHAPES[seed % len(SHAPES)])
    return program_of(seeds[seed // len(SHAPES) % len(seeds)])


@cache
def _seeds(shape: str) -> list[int]:
    return [seed for seed in range(400) if (program := program_of(seed)).shape == shape and not program.racy]
