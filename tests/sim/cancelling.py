"""The cancel sweep: a program is ended at any of its steps, and nothing of it may be left.

A program runs once to count the loop's steps, then again and again, each time ended somewhere else: its task is
cancelled after step k, once or twice in a row, its stream is closed after k chunks, or its k-th model call raises
something that is no `Exception`. Programs in which nothing runs ahead are passed over.

`python -m tests.sim.cancelling --points 15000`, or `--seed N --way cancel --step K` to replay one point.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import multiprocessing
import os
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.progress import Progress

from langgraph_speculate import current_speculation
from langgraph_speculate.core import events
from langgraph_speculate.host import engine
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.threads import THREADS
from langgraph_speculate.observe.audit import audit
from tests.sim import models, tools
from tests.sim.loop import Deadlock, VirtualLoop
from tests.sim.models import Turn
from tests.sim.pair import first_difference
from tests.sim.programs import Ending, Program
from tests.sim.quiet import quiet
from tests.sim.side import Side, run_side
from tests.sim.world import WORLDS, drawn
from tests.sim.zoo import program_of

WAYS = ("cancel", "twice", "aclose", "raise")
"""How a program is ended."""
SHARES = {"cancel": 16, "twice": 3, "aclose": 3, "raise": 3}
"""Points of a program that a sample takes of each way; where a way has fewer, cancelling makes up for it."""
PER_PROGRAM = sum(SHARES.values())
CLEANUP_S = 0.003
"""Virtual seconds that tools of every other program need to clean up."""
LINGER_S = 600.0
"""Virtual seconds for which the loop goes on after the end, to see what still comes."""
_PROGRAMS = 4  # of one portion
_STRIDE = 101  # from seed to seed: shapes and predictors both change
_SEEDS = 64  # of one portion, most of which it never needs


class Struck(BaseException):
    """What a model raises that is no `Exception`, as `KeyboardInterrupt` is none."""


class _CleaningUp:
    """In place of asyncio, for tools that clean up when they are cancelled, which takes a while."""

    @staticmethod
    async def sleep(seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(CLEANUP_S)
            raise


@dataclass(frozen=True)
class Point:
    """Where a program is ended.

    Attributes:
        seed: The program.
        way: How, one of `WAYS`.
        step: After which step of the loop, chunk or model call, from 1.
    """

    seed: int
    way: str
    step: int

    @property
    def command(self) -> str:
        """What replays it."""
        return f"PYTHONHASHSEED=0 python -m tests.sim.cancelling --seed {self.seed} --way {self.way} --step {self.step}"


@dataclass(frozen=True)
class Leak:
    """Something that was left, or came too late.

    Attributes:
        rule: Which promise.
        detail: What broke it.
    """

    rule: str
    detail: str


@dataclass(frozen=True)
class Effect:
    """Something a body did, or that it started.

    Attributes:
        what: The entry in the world's log.
        late: The run was over.
        early: The body runs as a speculation.
        thread: The virtual thread, or None on the loop.
    """

    what: Any
    late: bool
    early: bool
    thread: str | None


class _Log(list[Any]):
    """A list that notes for each entry whose it is and when it came."""

    def __init__(self, witness: SweepWitness) -> None:
        super().__init__()
        self.effects: list[Effect] = []
        self._witness = witness

    def append(self, what: Any) -> None:
        holder = self._witness.loop.baton.holder
        early = current_speculation() is not None
        self.effects.append(Effect(what, self._witness.over, early, holder.name if holder else None))
        super().append(what)


class SweepWitness:
    """Ends a simulation after a step, and looks at what is left of it.

    Args:
        strikes: Numbers of steps after which the task is cancelled.

    Attributes:
        loop: Its loop.
        steps: How many steps it took.
        over: Whether it is over.
        log, bodies: Effects and starts of bodies.
        left, lasting: What was not as it should be when it was over, and long afterwards.
    """

    loop: VirtualLoop

    def __init__(self, strikes: tuple[int, ...] = ()) -> None:
        self.steps = 0
        self.over = False
        self.log, self.bodies = _Log(self), _Log(self)
        self.left: list[Leak] = []
        self.lasting: list[Leak] = []
        self._in_clean_up = False
        self._runs: list[Run] = []
        self._strikes = strikes
        self._users = THREADS._users  # none, or a campaign that has found a leak would find it at every point

    def run(self, *args: Any) -> Run:
        """Make a run, and keep it in sight."""
        run = Run(*args)
        self._runs.append(run)
        return run

    def began(self, loop: VirtualLoop, main: asyncio.Task[Any]) -> None:
        self.loop = loop
        WORLDS().log, WORLDS().bodies = self.log, self.bodies
        if self._strikes:

            def strike(step: int) -> None:
                if step in self._strikes:
                    self._in_clean_up |= any(run._session.closed and _going(run) for run in self._runs)
                    main.cancel()

            loop.after_step = strike

    def ended(self, loop: VirtualLoop) -> None:
        self.steps, self.over, loop.after_step = loop.steps, True, None
        self.left += self._open()
        loop.call_later(LINGER_S, loop.stop)
        loop.run_forever()
        self.lasting += self._open()
        self.left += (unsettled := [*self._unsettled()])
        self.lasting += unsettled

    def _open(self) -> Iterator[Leak]:
        """What still goes on at the end."""
        if users := THREADS._users - self._users:
            yield Leak("threads", f"{users} users of the pool")
        for run in self._runs:
            session = run._session
            if not session.closed:
                yield Leak("run", f"{session.run} is not closed")
            if alive := [f"{s.call.name} {s.state.value}" for s in session.table]:
                yield Leak("speculation", f"alive after the end: {alive}")
            table = session.table
            if table.issued != table.committed + table.discarded.total() + len(alive):
                yield Leak("ledger", f"{table.issued} issued, {table.committed} committed, {dict(table.discarded)}")
            if going := _going(run):
                yield Leak("task", CLEAN_UP_CANCELLED if self._in_clean_up else f"{going} early bodies still run")

    def _unsettled(self) -> Iterator[Leak]:
        """What is not settled long after the end, when every body that can end has ended."""
        for run in self._runs:
            if run._session.view.epochs._writing and not self.loop.baton.alive:
                yield Leak("write", f"still under way: {dict(run._session.view.epochs._writing)}")
            if run._driver.runner._attempts and not self.loop.baton.alive:
                yield Leak("attempt", f"{len(run._driver.runner._attempts)} are still known")


def _going(run: Run) -> int:
    """How many early bodies of a run are tasks that are not done."""
    tasks = [attempt.task for attempt in run._driver.runner._attempts.values()]
    return sum(task is not None and not task.done() for task in tasks)


CLEAN_UP_CANCELLED = "early bodies still clean up, because the run's end was cancelled while it waited for them"


# -- one point -------------------------------------------------------------------------------------------------------


@dataclass
class Sweep:
    """A program that can be ended anywhere.

    Attributes:
        program: The program, run to its end.
        whole: Its plain side.
        full: Its speculating side.
        points: Everywhere it can be ended, by way.
    """

    program: Program
    whole: Side
    full: Side
    points: dict[str, list[Point]]
    _plain: dict[str, tuple[set[Leak], Iterator[Point]]] = field(default_factory=dict)

    @property
    def launched(self) -> int:
        """Speculative starts of the whole run."""
        return sum(isinstance(event, events.Launched) for event in self.full.happened)

    def plain_leaves(self, way: str, leak: Leak) -> bool:
        """Whether the plain graph leaves it too, ended like this at one step or another."""
        known, rest = self._plain.setdefault(way, (set(), self._plain_points(way)))
        while leak not in known and (point := next(rest, None)) is not None:
            heard, side, witness = _ended(self, point, False)
            found = (*heard, *_unfinished(side), *_late(self.program, self.whole, witness))
            known.update(leak for leak in found if leak.rule in _SHARED)
        return leak in known

    def _plain_points(self, way: str) -> Iterator[Point]:
        points = self.points[way]
        if way in ("cancel", "twice"):
            witness = SweepWitness()
            run_side(self.program, False, witness=witness)
            points = [Point(self.program.seed, way, step) for step in range(1, witness.steps + 1)]
        return iter(random.Random(0).sample(points, len(points)))

    @property
    def told(self) -> list[list[Any]]:
        """What the default predictor has learned from."""
        return [seen.messages for seen in self.whole.visits.values()]


def sweep_of(seed: int) -> Sweep:
    """A program, ready to be ended at every step."""
    program = program_of(seed)
    if program.ending.kind != "limit":  # without that one it would hang
        program = replace(program, ending=Ending())
    return sweep_over(program)


def sweep_over(program: Program) -> Sweep:
    """`sweep_of` for a program that is no seed's."""
    whole = run_side(program, False)
    witness = SweepWitness()
    full = run_side(program, True, told=[seen.messages for seen in whole.visits.values()], witness=witness)
    counts = {"cancel": witness.steps}
    if len(program.visits) == 1:  # or what ends one visit would leave the others
        visit = program.visits[0]
        counts |= {"aclose": len(full.visits[visit.tag].chunks), "raise": len(visit.script)}
        if program.ending.kind == "normal":  # `wait_for` does not wait any more when it is cancelled again
            counts["twice"] = witness.steps
    points = {way: [Point(program.seed, way, step) for step in range(1, counts.get(way, 0) + 1)] for way in WAYS}
    return Sweep(program, whole, full, points)


def sampled(sweep: Sweep, count: int = PER_PROGRAM) -> list[Point]:
    """Some points of a program, of all ways."""
    chance = random.Random(drawn(sweep.program.seed, "points"))
    chosen: list[Point] = []
    for way in ("aclose", "raise", "twice"):
        chosen += chance.sample(sweep.points[way], min(SHARES[way], len(sweep.points[way])))
    steps = sweep.points["cancel"]
    return [*chosen, *chance.sample(steps, min(len(steps), count - len(chosen)))][:count]


def ended_at(sweep: Sweep, point: Point, known: Collection[str] | None = None) -> tuple[list[Leak], Side, SweepWitness]:
    """Run a program up to a point, and tell what was left.

    Args:
        sweep: The program.
        point: Where to end it.
        known: Leaks that are left out; None for those that are reported already.
    """
    try:
        heard, side, witness = _ended(sweep, point, True)
    except Deadlock as error:
        return [Leak("deadlock", str(error))], sweep.full, SweepWitness()
    others = [name for name in side.ran.unfinished if name != _OURS]
    # LangGraph does not wait for its own tasks when it is cancelled in its clean-up; the run in one ends with it.
    left = witness.lasting if others else witness.left
    found = [*left, *heard, *_left(sweep.program, sweep.whole, side, witness, point)]
    found = [leak for leak in found if leak.detail not in (KNOWN if known is None else known)]
    if point.way == "twice" and sweep.program.shape == "subgraph":
        # Cancelled twice, LangGraph leaves the inner graph running, and its real and early calls with it.
        found = [leak for leak in found if leak.rule != "late body"]
    return [leak for leak in found if leak.rule not in _SHARED or not _is_plain(sweep, point, leak)], side, witness


def _is_plain(sweep: Sweep, point: Point, leak: Leak) -> bool:
    """Whether the plain graph leaves it too.

    Of parallel calls that are cancelled LangGraph waits for the clean-up of the first only. Which that is depends on
    what each waits for just then, so the plain graph does not leave the same at the same points.
    """
    if leak.detail in _GATHERED and sweep.program.parallel and sweep.program.seed % 2:
        return True
    return any(sweep.points[way] and sweep.plain_leaves(way, leak) for way in (point.way, "twice"))


_OURS = "Attempt._as_task"
_GATHERED = ("unfinished: ToolNode._arun_one", "unfinished: StructuredTool._arun")
_SHARED = ("task", "warning", "complaint", "late effect")
"""What LangGraph and LangChain may leave themselves."""
KNOWN = {
    CLEAN_UP_CANCELLED: "`wind_down` is left at the first cancellation; the bodies are cancelled, but not done",
    "coroutine 'ahandle_event' was never awaited": (
        "LangChain makes what it will tell handlers off the loop before it awaits those on the loop, "
        "and is cancelled while ours waits its 5 ms for a predictor's thread"
    ),
}
"""What is reported and not fixed yet, each with its cause."""


def _ended(sweep: Sweep, point: Point, speculative: bool) -> tuple[list[Leak], Side, SweepWitness]:
    """One side of a program, ended at a point, and what was heard meanwhile."""
    program = sweep.program
    strikes: tuple[int, ...] = ()
    if point.way in ("cancel", "twice"):
        strikes = (point.step,) if point.way == "cancel" else (point.step, point.step + 1)
    elif point.way == "aclose":
        program = replace(program, ending=Ending("break", point.step))
    else:
        visit = program.visits[0]
        script = list(visit.script)
        script[point.step - 1] = Turn((), script[point.step - 1].pace_s, fails=True)
        program = replace(program, visits=(replace(visit, script=tuple(script)),))
    witness = SweepWitness(strikes)
    failure = Struck if point.way == "raise" else models.ModelFailure
    # `wait_for` does not wait for the clean-up of what it stops, if it is cancelled meanwhile
    around = _CleaningUp if program.seed % 2 and program.ending.kind != "limit" else asyncio
    with (
        _listening() as heard,
        patch.object(engine, "Run", witness.run),
        patch.object(models, "ModelFailure", failure),
        patch.object(tools, "asyncio", around),
    ):
        side = run_side(program, speculative, told=sweep.told, witness=witness)
        heard += [Leak("complaint", text) for text in _forgotten(side.ran.loop)]
    return heard, side, witness


def _left(program: Program, whole: Side, side: Side, witness: SweepWitness, point: Point) -> Iterator[Leak]:
    yield from _unfinished(side)
    if side.ran.hung and "stall" not in program.tools and "hang" not in program.faults.values():
        yield Leak("thread", f"still waits: {side.ran.hung}")
    if side.ran.error is not None and not isinstance(side.ran.error, asyncio.CancelledError | Struck):
        yield Leak("error", repr(side.ran.error))
    for violation in audit(side.happened):
        yield Leak("audit", str(violation))
    yield from _late(program, whole, witness)
    for effect in witness.bodies.effects:
        if effect.early and effect.what.tool not in program.may_run_early:
            yield Leak("gate", f"{effect.what.tool} ran early")
    if not program.racy:
        yield from _different(whole, side, point)


def _unfinished(side: Side) -> Iterator[Leak]:
    for name in sorted({*side.ran.unfinished} - {_OURS}):  # those the witness knows better
        yield Leak("task", f"unfinished: {name}")


def _different(whole: Side, side: Side, point: Point) -> Iterator[Leak]:
    """Whether a run that was ended did what the whole plain run does, up to some point."""
    for user, log in side.logs().items():
        expected = whole.logs().get(user, [])
        if log != expected[: len(log)]:
            yield Leak("L2", f"{log} is not how {expected} begins")
    for tag, seen in side.visits.items() if point.way in ("cancel", "twice") else ():
        plain = whole.visits[tag]
        if seen.error is None and seen.state is not None and seen.state != plain.state:
            yield Leak("L1", f"{tag}: {first_difference(plain.state, seen.state)}")
        if seen.error not in (None, plain.error) and not seen.error.startswith("asyncio.exceptions.CancelledError"):
            yield Leak("L4", f"{tag}: {seen.error} instead of {plain.error}")


def _late(program: Program, whole: Side, witness: SweepWitness) -> Iterator[Leak]:
    """Effects after the end.

    A body in a thread cannot be stopped, neither here nor in the plain graph: what a real call's thread was doing when
    the run ended may still come, if the plain graph does it too.
    """
    possible = Counter(whole.world.log)
    for effect in witness.log.effects:
        if effect.early:
            yield Leak("effect", f"an early body did {effect.what}")
        possible[effect.what] -= 1
        if effect.late and (effect.thread is None or (possible[effect.what] < 0 and not program.racy)):
            yield Leak("late effect", f"{effect.what} in {effect.thread or 'a task'}")
    for effect in witness.bodies.effects:
        if effect.late and (effect.early or effect.thread is None):
            yield Leak("late body", f"{'early' if effect.early else 'real'} {effect.what.tool}({effect.what.args})")


def _forgotten(loop: VirtualLoop) -> list[str]:
    """What asyncio complains about, once everything the run left to the garbage collector is collected."""
    gc.collect(0)  # all that is younger than the run, because nothing is collected during one
    return list(loop.complaints)


@contextmanager
def _listening() -> Iterator[list[Leak]]:
    """Log records that tell of an error of ours, and warnings; garbage waits for `_forgotten` meanwhile."""
    heard: list[Leak] = []
    handler = _Handler(heard)
    gc.collect(0)
    gc.disable()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught, _unraisable(heard):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", category=RuntimeWarning)
            warnings.filterwarnings("always", category=ResourceWarning)
            yield heard
    finally:
        gc.enable()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(handler)
    heard += [Leak("warning", str(one.message)) for one in caught]


_LOGGERS = ("langgraph_speculate", "langchain_core", "asyncio")
_FORESEEN = ("the predictor failed", "so it is not run ahead any more", "nothing runs ahead", "the predictor does not")
"""Warnings that are meant: some predictors of the zoo fail on purpose, some tools reach for what they may not have."""


class _Handler(logging.Handler):
    def __init__(self, heard: list[Leak]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not any(known in text for known in _FORESEEN):
            self._heard.append(Leak("log", f"{record.name}: {text}"))


@contextmanager
def _unraisable(heard: list[Leak]) -> Iterator[None]:
    def hook(what: Any) -> None:
        heard.append(Leak("unraisable", f"{what.err_msg}: {what.exc_value!r} in {what.object!r}"))

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before


# -- many points -----------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of some points.

    Attributes:
        points, ways: How many, and of which way.
        programs, shapes: Programs ended, and their shapes.
        steps: Of all these programs, run to their end.
        launched: Speculative starts in the runs that were ended.
        running: Points at which a speculation was alive when the program was ended.
        threads: Bodies of real calls in threads that began after the end, which cannot be stopped.
        leaks: (seed, way, step, shape, rule, detail).
        wall_s: Real seconds.
    """

    points: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    programs: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    launched: int = 0
    running: int = 0
    threads: int = 0
    leaks: list[tuple[int, str, int, str, str, str]] = field(default_factory=list)
    wall_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in what came of other points."""
        for name in ("points", "programs", "steps", "launched", "running", "threads"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.ways.update(other.ways)
        self.shapes.update(other.shapes)
        self.leaks += other.leaks

    def end(self, sweep: Sweep, point: Point) -> None:
        """End a program at a point, and take in what came of it."""
        leaks, side, witness = ended_at(sweep, point)
        self.points += 1
        self.ways[point.way] += 1
        self.launched += sum(isinstance(event, events.Launched) for event in side.happened)
        self.running += any(isinstance(e, events.Discarded) and e.reason == "run_ended" for e in side.happened)
        self.threads += sum(effect.late for effect in witness.bodies.effects)
        self.leaks += [
            (point.seed, point.way, point.step, sweep.program.shape, leak.rule, leak.detail) for leak in leaks
        ]


def portion(first: int, number: int, points: int) -> Tally:
    """End some programs at *points* points in all, in this process.

    Args:
        first: The campaign's first seed.
        number: Which portion; each has seeds of its own.
        points: How many points.
    """
    tally = Tally()
    with quiet():
        for index in range(_SEEDS):
            sweep = sweep_of(first + _STRIDE * (number * _SEEDS + index))
            if not sweep.launched:
                continue
            tally.programs += 1
            tally.shapes[sweep.program.shape] += 1
            tally.steps += len(sweep.points["cancel"])
            for point in sampled(sweep, min(PER_PROGRAM, points - tally.points)):
                tally.end(sweep, point)
            if tally.points >= points:
                break
    return tally


def campaign(first: int, points: int, jobs: int = 2, report: Callable[[Tally], Any] | None = None) -> Tally:
    """End programs at *points* points, from the seed *first* on, in *jobs* processes.

    Args:
        first: The first seed.
        points: How many points.
        jobs: Processes; one stays in this process.
        report: Called with the tally so far, now and then.
    """
    size = PER_PROGRAM * _PROGRAMS
    work = [(first, number, min(size, points - at)) for number, at in enumerate(range(0, points, size))]
    total, began = Tally(), time.perf_counter()
    for tally in _done(work, jobs):
        total.add(tally)
        total.wall_s = time.perf_counter() - began
        if report is not None:
            report(total)
    return total


def _done(work: list[tuple[int, int, int]], jobs: int) -> Iterator[Tally]:
    if jobs <= 1:
        yield from (portion(*one) for one in work)
        return
    os.environ.setdefault("PYTHONHASHSEED", "0")
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_portion, work)


def _portion(one: tuple[int, int, int]) -> Tally:
    return portion(*one)


# -- the command line ------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign or replay one point; 1 when something was left."""
    given = _parser().parse_args(arguments)
    if given.seed is not None:
        return _replay(Point(given.seed, given.way, given.step))
    console = Console(stderr=True)
    with Progress(console=console, disable=given.json) as progress:
        bar = progress.add_task("points", total=given.points)
        report = partial(_report, progress, bar)
        tally = campaign(given.first_seed, given.points, given.jobs, report)
    if given.json:
        print(json.dumps(tally.__dict__, indent=1))
    else:
        _show(Console(), tally)
    return 1 if tally.leaks or not tally.launched else 0


def _report(progress: Progress, bar: Any, tally: Tally) -> None:
    progress.update(bar, completed=tally.points, description=f"points, {len(tally.leaks)} leaks")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.cancelling", description=__doc__)
    parser.add_argument("--points", type=int, default=15_000, help="how many points to end programs at")
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first program")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="replay a point of this program")
    parser.add_argument("--way", choices=WAYS, default="cancel", help="with --seed: how it is ended")
    parser.add_argument("--step", type=int, default=1, help="with --seed: after which step, chunk or model call")
    parser.add_argument("--json", action="store_true", help="print the tally as JSON")
    return parser


def _replay(point: Point) -> int:
    sweep = sweep_of(point.seed)
    with quiet():
        leaks, side, _witness = ended_at(sweep, point)
    Console().print(sweep.program)
    for event in side.happened:
        print(f"{event.at:10.4f}  {event}")
    for leak in leaks:
        print(f"{leak.rule}: {leak.detail}")
    print("ok" if not leaks else f"{len(leaks)} leaks")
    return 1 if leaks else 0


def _show(console: Console, tally: Tally) -> None:
    console.print("shapes:", dict(tally.shapes.most_common()))
    console.print("ways:", dict(tally.ways), "leaks:", dict(Counter(rule for *_, rule, _ in tally.leaks)))
    console.print(
        f"{tally.points} points of {tally.programs} programs with {tally.steps} steps in {tally.wall_s:.1f} s; "
        f"{tally.launched} early starts, {tally.running} points with early bodies or results at the end, "
        f"{tally.threads} late bodies in threads"
    )
    shown: set[tuple[int, str, int]] = set()
    for seed, way, step, shape, rule, detail in tally.leaks[:60]:
        console.print(f"[red]{rule}[/] {shape}: ", end="")
        print(detail)
        if (seed, way, step) not in shown:
            shown.add((seed, way, step))
            print(f"    {Point(seed, way, step).command}")


if __name__ == "__main__":
    sys.exit(main())
