"""What speculation would have saved on recorded runs: learned from one part of them, played on the other.

What is known before each message is what a live graph would have known: the runs of the first part, and those of the
second that had been played by then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.checks import nearest, printable
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.replay.method import Method
from langgraph_speculate.replay.oracle import Oracle
from langgraph_speculate.replay.player import Play, Played
from langgraph_speculate.replay.script import Script
from langgraph_speculate.replay.simulation import Process
from langgraph_speculate.replay.stage import Stage
from langgraph_speculate.replay.survey import Advance, Progress, Recordings, Survey, surveyed
from langgraph_speculate.replay.times import Clockwork, Times
from langgraph_speculate.replay.variant import RunTimes, Variant
from langgraph_speculate.traces.effects import READING, WRITING, told_apart
from langgraph_speculate.traces.learner import few_collections
from langgraph_speculate.traces.runs import Run

TOOLS_ALONE = "tools alone"
"""The variant that is played beside one with `model_ahead`."""
_EPOCH_S = 1e6  # between the variants of one replay, so that none remembers what another did to a service


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
        mute: Whether previews were asked about, and nothing can be said: no result of a tool was recorded.
        variants: The first is what was asked about.
    """

    survey: Survey
    clockwork: Clockwork
    method: Method
    first: int
    learned: int
    assumed: bool
    mute: bool
    variants: Sequence[Variant]

    @property
    def tools_alone(self) -> Variant | None:
        """What was asked about without `model_ahead`, where that was asked about."""
        return next((variant for variant in self.variants if variant.name == TOOLS_ALONE), None)


def forecast(
    recordings: Recordings,
    policy: SpeculationPolicy | None,
    *,
    method: Method | None = None,
    model: Times | None = None,
    tools: Sequence[tuple[str, Times]] = (),
    settings: Mapping[str, object] | None = None,
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
        settings: Those that differ from *policy*, such as `{"model_ahead": True}`.
        compare: Further variants by name, as settings that differ from *policy* and *settings*.
        taught: Makes the predictor that learns from the first part.
        progress: Given words and a number of steps (None: unknown); yields what to call after each. None: tells nobody.

    Raises:
        TraceError: There are no runs, too few to learn from some and play others, or none that has one of *tools*.
    """
    method, progress = method or Method(), progress or _silent
    clockwork = Clockwork(model or Times("recorded"), tools, method.seed)
    survey = surveyed(recordings, clockwork, progress)
    first, total = method.first_part(survey)
    both = survey.both if policy is None else frozenset()
    asked = replace(policy if policy is not None else _by_names(survey), **(settings or {}))  # type: ignore[arg-type]
    mute = asked.model_ahead and not survey.known["results"]
    if mute:
        asked = replace(asked, model_ahead=False)
    beside = {TOOLS_ALONE: {"model_ahead": False}} if asked.model_ahead else {}
    known = {f"{name}{ending}" for name in survey.effects for ending in ("", *(_ENDINGS if name in both else ()))}
    _refuse_unknown((name for name, _ in tools), known)

    def runs(part: bool) -> Iterator[Run]:
        for number, run in enumerate(recordings()):
            if first(number, run) is part:
                yield told_apart(run, both)

    def teach(words: str, stage: Stage) -> int:
        learned = 0
        old = max(0, total - method.lessons) if method.lessons else 0
        with progress(words, total - old) as advance:
            for run in islice(runs(True), old, None):
                learned += 1
                for history, calls in run.decisions():
                    stage.predictor.learn(history, calls)
                if (recollection := stage.recollection(run.id)) is not None:
                    recollection.take_in(run)
                advance()
        return learned

    variants: list[Variant] = []
    scripts: list[Script] = []
    now, learned = 0.0, 0
    with few_collections():
        for name, differs in {"": {}, **beside, **(compare or {})}.items():
            varied = replace(asked, **differs)  # type: ignore[arg-type]
            # What one variant sees, another must not know.
            stage = Stage(varied, taught(), known, clockwork, reads_streams=method.streams, now=now + _EPOCH_S)
            learned = teach(f"learning {name}".strip(), stage)
            scripts = scripts or method.sample(runs(False), survey.runs - total)
            if not scripts:
                raise TraceError("no run is left to play; record more, or learn from a smaller share (--train)")
            with progress(f"playing {name}".strip(), len(scripts)) as advance:
                fast = _played(scripts, stage, method.concurrency, True, advance)
            idle = Stage(varied, stage.predictor, known, clockwork, now=stage.simulation.now + _EPOCH_S)
            plain = _played(scripts, idle, method.concurrency, False, _nothing)
            now = idle.simulation.now
            variants.append(_variant(name, scripts, stage, plain, fast, method.seed))
    return Forecast(survey, clockwork, method, total, learned, policy is None, mute, variants)


def _refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """Raise for the first name or glob that no tool of the recordings has."""
    for name in names:
        if name != "*" and not any(fnmatchcase(tool, name) for tool in known):
            raise TraceError(f"--tool-latency {printable(name)}: the traces have no such tool{nearest(name, known)}")


_ENDINGS = (f"_{READING}", f"_{WRITING}")


def _by_names(survey: Survey) -> SpeculationPolicy:
    """Every tool declared that only reads by its name, or by what its calls say."""
    entries = {
        f"{name}_{READING}" if len(counts) > 1 else name: ToolPolicy(read_only=True)
        for name, counts in survey.effects.items()
        if counts[True]
    }
    return SpeculationPolicy(tools=entries)


def _variant(
    name: str, scripts: Sequence[Script], stage: Stage, plain: Sequence[Played], fast: Sequence[Played], seed: int
) -> Variant:
    """What came of a stage that all scripts were played on, next to the plain agent."""
    made = Variant(name, stage.policy, [], stage.collector.snapshot(), seed)
    oracle, limited = Oracle(stage), Oracle(stage, made.width)
    runs = [
        RunTimes(
            plain=one.seconds,
            ahead=ahead.seconds,
            oracle=one.seconds - oracle.saves(script),
            limited=one.seconds - limited.saves(script),
            tools=one.tool_s,
        )
        for script, one, ahead in zip(scripts, plain, fast, strict=True)
    ]
    return replace(made, runs=runs)


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
