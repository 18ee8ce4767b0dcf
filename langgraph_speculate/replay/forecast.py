"""What speculation would have saved on recorded runs: learned from one part of them, played on the other.

What is known before each message is what a live graph would have known: the runs of the first part, and those of the
second that had been played by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy
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
    survey = surveyed(recordings, clockwork, progress)
    first, total = method.first_part(survey)
    both = survey.both if policy is None else frozenset()
    settings = policy if policy is not None else _by_names(survey)
    known = {f"{name}{ending}" for name in survey.effects for ending in ("", *(_ENDINGS if name in both else ()))}

    def runs(part: bool) -> Iterator[Run]:
        for number, run in enumerate(recordings()):
            if first(number, run) is part:
                yield told_apart(run, both)

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
            scripts = scripts or method.sample(runs(False), survey.runs - total)
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
    oracle = Oracle(stage)
    runs = [
        RunTimes(plain.seconds, fast.seconds, plain.seconds - oracle.saves(script), plain.tool_s)
        for script, plain, fast in zip(scripts, *both, strict=True)
    ]
    return Variant(name, policy, runs, stage.collector.snapshot(), method.seed), now


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
