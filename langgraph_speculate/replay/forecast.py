"""What speculation would have saved on recorded runs: learned from one part of them, played on the other.

What is known before each message is what a live graph would have known: the runs of the first part, and those of the
second that had been played by then.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import forbids
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.errors import TraceError
from langgraph_speculate.host.toolbox import TASK
from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.replay.player import Play, Played
from langgraph_speculate.replay.script import Script, Step
from langgraph_speculate.replay.simulation import Process
from langgraph_speculate.replay.stage import Stage
from langgraph_speculate.replay.times import Clockwork, Times
from langgraph_speculate.traces.effects import READING, WRITING, is_read_only, told_apart
from langgraph_speculate.traces.mine import few_collections
from langgraph_speculate.traces.runs import Run

Recordings = Callable[[], Iterable[Run]]
"""Reads the runs, each time anew: they may be more than memory holds."""
Advance = Callable[[], None]
Progress = Callable[[str, int | None], AbstractContextManager[Advance]]

_EPOCH_S = 1e6  # between the variants of one replay, so that none remembers what another did to a service


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to replay.

    Attributes:
        train: Share of the tasks (or of the runs) to learn from first, in [0, 1).
        by: What keeps the parts separate: each `"task"` is in one of them, or those of the first part came before
            those of the second in `"time"`.
        runs: The most runs to play; of more, that many are drawn. 0 for all.
        lessons: The most runs to learn from first; of more, the latest: what is old fades anyway. 0 for all.
        concurrency: Runs side by side, which matters where services have slots or rates.
        seed: Draws the parts, the sample, the times and the intervals.
        streams: Whether the model streams.
    """

    train: float = 0.7
    by: str = "task"
    runs: int = 2_000
    lessons: int = 20_000
    concurrency: int = 1
    seed: int = 0
    streams: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.train < 1:
            raise ValueError(f"train must be at least 0 and less than 1, got {self.train}")
        if self.by not in ("task", "time"):
            raise ValueError(f"by must be 'task' or 'time', got {self.by!r}")
        if self.runs < 0 or self.lessons < 0 or self.concurrency < 1:
            raise ValueError("runs and lessons must be at least 0, and concurrency at least 1")


@dataclass(frozen=True, slots=True)
class RunTimes:
    """One run, in seconds.

    Attributes:
        plain: Without speculation.
        ahead: With it.
        oracle: With every call that may run ahead started where the message before it ends: perfect one-step
            prediction.
        tools: That the plain run waits for its tools.
    """

    plain: float
    ahead: float
    oracle: float
    tools: float


@dataclass(frozen=True)
class Variant:
    """What came of one policy.

    Attributes:
        name: What sets it apart.
        policy: The policy.
        runs: The times of each run played.
        stats: What happened, added up.
    """

    name: str
    policy: SpeculationPolicy
    runs: Sequence[RunTimes]
    stats: Stats

    def total(self, name: str) -> float:
        """Seconds of all runs, by a field of `RunTimes`."""
        return float(sum(getattr(run, name) for run in self.runs))

    @property
    def saved_share(self) -> float:
        """Share of the plain time that is saved."""
        plain = self.total("plain")
        return 1 - self.total("ahead") / plain if plain else 0.0


@dataclass
class Survey:
    """What the recordings hold, found by going through them once.

    Attributes:
        runs, calls: How many.
        tasks: How many runs work on each.
        effects: For each tool, how many of its calls only read (True), and how many do not.
        timed: Steps and calls whose times were recorded.
        steps: Messages of the model.
    """

    runs: int = 0
    calls: int = 0
    steps: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    effects: dict[str, Counter[bool]] = field(default_factory=dict)
    timed: Counter[str] = field(default_factory=Counter)

    def see(self, run: Run, script: Script) -> None:
        """Take in one run."""
        self.runs += 1
        self.tasks[run.task] += 1
        for step in script.steps:
            self.steps += step.timed
            self.timed["steps"] += step.timed and step.seconds is not None
            for made in step.calls:
                self.calls += 1
                self.timed["calls"] += made.seconds is not None
                self.effects.setdefault(made.call.name, Counter())[is_read_only(made.call)] += 1

    @property
    def both(self) -> frozenset[str]:
        """Tools that read with some arguments and write with others, such as a shell."""
        return frozenset(name for name, counts in self.effects.items() if len(counts) > 1)


@dataclass(frozen=True)
class Forecast:
    """What a replay found.

    Attributes:
        survey: What the recordings hold.
        clockwork: How long everything took.
        method: How it was replayed.
        first: Runs of the part to learn from; those of the other part are played.
        learned: Runs of it that it really learned from.
        assumed: Whether tools counted as reading by their names, because there was no policy.
        variants: The first is what was asked about.
    """

    survey: Survey
    clockwork: Clockwork
    method: Method
    first: int
    learned: int
    assumed: bool
    variants: Sequence[Variant]


def forecast(
    recordings: Recordings,
    policy: SpeculationPolicy | None,
    *,
    method: Method | None = None,
    model: Times | None = None,
    tools: Sequence[tuple[str, Times]] = (),
    compare: Mapping[str, Mapping[str, object]] | None = None,
    taught: Callable[[], Predictor] = default_predictor,
    progress: Progress | None = None,
) -> Forecast:
    """Replay recordings.

    Args:
        recordings: The runs; read a few times.
        policy: What may run ahead. None: tools that only read, by their names.
        method: How to replay.
        model: How long the model's messages take; None: as recorded.
        tools: How long tools take, by name or glob; as recorded where none matches.
        compare: Further variants by name, as settings that differ from *policy*.
        taught: Makes the predictor that learns from the first part.
        progress: Given words and a number of steps (None: unknown); yields what to call after each. None: tells nobody.

    Raises:
        TraceError: There are no runs, or too few to learn from some and play others.
    """
    method, progress = method or Method(), progress or _silent
    clockwork = Clockwork(model or Times("recorded"), tools, method.seed)
    survey = _surveyed(recordings, clockwork, progress)
    first = _first_part(survey, method)
    both = survey.both if policy is None else frozenset()
    settings = policy if policy is not None else _by_names(survey)
    known = {f"{name}{ending}" for name in survey.effects for ending in ("", *(_ENDINGS if name in both else ()))}

    def runs(part: bool) -> Iterator[Run]:
        for number, run in enumerate(recordings()):
            if first(number, run) is part:
                yield told_apart(run, both)

    total = sum(1 for _ in runs(True))

    def teach(words: str) -> tuple[Predictor, int]:
        predictor, learned = taught(), 0
        old = max(0, total - method.lessons) if method.lessons else 0
        with progress(words, total - old) as advance:
            for run in islice(runs(True), old, None):
                learned += 1
                for history, calls in run.decisions():
                    predictor.learn(history, calls)
                advance()
        return predictor, learned

    variants: list[Variant] = []
    scripts: list[Script] = []
    now, learned = 0.0, 0
    with few_collections():
        for name, differs in {"": {}, **(compare or {})}.items():
            predictor, learned = teach(f"learning {name}".strip())  # what one variant sees, another must not know
            scripts = scripts or _sample(runs(False), survey.runs - total, method)
            if not scripts:
                raise TraceError("no run is left to play; record more, or learn from a smaller share (--train)")
            asked = replace(settings, **differs)  # type: ignore[arg-type]
            with progress(f"playing {name}".strip(), len(scripts)) as advance:
                variant, now = _play(name, asked, predictor, known, scripts, clockwork, method, now, advance)
            variants.append(variant)
    return Forecast(survey, clockwork, method, total, learned, policy is None, variants)


_ENDINGS = (f"_{READING}", f"_{WRITING}")


def _by_names(survey: Survey) -> SpeculationPolicy:
    """Every tool declared that only reads by its name, or by what its calls say."""
    entries = {
        f"{name}_{READING}" if len(counts) > 1 else name: ToolPolicy(read_only=True)
        for name, counts in survey.effects.items()
        if counts[True]
    }
    return SpeculationPolicy(tools=entries)


def _surveyed(recordings: Recordings, clockwork: Clockwork, progress: Progress) -> Survey:
    survey = Survey()
    with progress("reading", None) as advance:
        for run in recordings():
            script = Script.of(run)
            survey.see(run, script)
            clockwork.learn([script])
            advance()
    if not survey.runs:
        raise TraceError("the traces hold no run")
    return survey


def _first_part(survey: Survey, method: Method) -> Callable[[int, Run], bool]:
    """Says of each run, by its number and itself, whether it is learned from."""
    if method.by == "time":
        until = round(survey.runs * method.train)
        return lambda number, run: number < until
    tasks = sorted(survey.tasks)
    random.Random(method.seed).shuffle(tasks)  # nosec B311
    chosen = set(tasks[: round(len(tasks) * method.train)])
    return lambda number, run: run.task in chosen


def _sample(runs: Iterable[Run], count: int, method: Method) -> list[Script]:
    """The scripts to play, in the order in which they were recorded."""
    wanted = set(range(count))
    if method.runs and count > method.runs:
        wanted = set(random.Random(method.seed).sample(range(count), method.runs))  # nosec B311
    return [Script.of(run) for number, run in enumerate(runs) if number in wanted]


def _play(
    name: str,
    policy: SpeculationPolicy,
    predictor: Predictor,
    tools: Iterable[str],
    scripts: Sequence[Script],
    clockwork: Clockwork,
    method: Method,
    now: float,
    advance: Advance,
) -> tuple[Variant, float]:
    """Play all scripts under one policy, the plain agent first; returns what came of it, and when it ended."""
    names = frozenset(tools)
    both: list[list[Played]] = []
    for ahead in (False, True):
        stage = Stage(policy, predictor, names, clockwork, reads_streams=method.streams, now=now + _EPOCH_S)
        both.append(_played(scripts, stage, method.concurrency, ahead, advance if ahead else _nothing))
        now = stage.simulation.now
    oracle = _Oracle(policy, stage, clockwork)
    runs = [
        RunTimes(plain.seconds, fast.seconds, plain.seconds - oracle.saves(script), plain.tool_s)
        for script, plain, fast in zip(scripts, *both, strict=True)
    ]
    return Variant(name, policy, runs, stage.collector.snapshot()), now


def _played(scripts: Sequence[Script], stage: Stage, concurrency: int, ahead: bool, advance: Advance) -> list[Played]:
    """Play all scripts on one stage, so many side by side."""
    played = [Played()] * len(scripts)
    waiting = iter(enumerate(scripts))

    def worker() -> Process:
        for at, script in waiting:
            play = Play(script, stage, ahead=ahead)
            yield from play.process()
            played[at] = play.played
            advance()

    for _ in range(concurrency):
        stage.simulation.start(worker())
    stage.simulation.run()
    return played


def _nothing() -> None:
    """No progress to tell."""


@contextmanager
def _silent(what: str, total: int | None) -> Iterator[Advance]:
    yield _nothing


class _Oracle:
    """Perfect one-step prediction: every call that may run ahead starts with the model's message that asks for it."""

    def __init__(self, policy: SpeculationPolicy, stage: Stage, clockwork: Clockwork) -> None:
        self._stage = stage
        self._clockwork = clockwork
        self._view = RunView(policy.level, None, Epochs())

    def saves(self, script: Script) -> float:
        """Seconds saved in a run."""
        return sum(self._saves(step, script, at) for at, step in enumerate(script.steps) if step.calls)

    def _saves(self, step: Step, script: Script, at: int) -> float:
        lead = self._clockwork.of_step(step, script, at)
        bodies, waits = [0.0], [0.0]
        for made in step.calls:
            seconds = self._clockwork.of_call(made.call, script, made.seconds)
            may = forbids(self._stage.facts(made.call.name), TASK, self._view, made.id) is None
            bodies.append(seconds)
            waits.append(max(0.0, seconds - lead) if may else seconds)
        return max(bodies) - max(waits)
