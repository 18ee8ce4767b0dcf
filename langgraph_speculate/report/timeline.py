"""One run as a timeline: what the model, the tools and the speculations did when, each stretch with its story."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from langgraph_speculate.core import events
from langgraph_speculate.core.speculation import HEDGE
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report import previews
from langgraph_speculate.report.remedies import advice, meaning
from langgraph_speculate.report.words import names, percent, seconds

E = TypeVar("E", bound=events.Event)

Kind = Literal["model", "preview", "spent", "wait", "ready", "joined", "vain", "warm", "imagined", "futile", "denied"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LABELS: Mapping[Kind, str] = {
    "model": "model writes",
    "preview": "model started ahead, used",
    "spent": "model started ahead in vain",
    "wait": "agent waits for a tool",
    "ready": "ran ahead, ready in time",
    "joined": "ran ahead, waited for",
    "vain": "ran ahead in vain",
    "warm": "made ready",
    "imagined": "would have run ahead",
    "futile": "would have run in vain",
    "denied": "may not run ahead",
}
MODEL = "model"
_BELOW: frozenset[Kind] = frozenset({"wait", "preview", "spent"})  # other spans of their lane
_LATEST = 1e12  # seconds; a log may say anything
_STAGES: Mapping[str, str] = {
    "begin": "before the model had written anything",
    "text": "when the model had written some text",
    "name": "when the model had written the tool’s name",
    "arguments": "when the model had written some arguments",
    "complete": "when the model had written the whole call",
}


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of a run.

    Attributes:
        kind: What it is, a key of `LABELS`; `denied` has no length.
        lane: `"model"` or the tool's name, as it can be printed.
        began, ended: Seconds on the host's monotonic clock.
        story: What happened and why, in words.
        row: Its place in its lane: spans of one row do not overlap.
    """

    kind: Kind
    lane: str
    began: float
    ended: float
    story: str
    row: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Timeline:
    """One run.

    Attributes:
        run: Its id.
        began, ended: Seconds on the host's monotonic clock.
        lanes: What it shows, the model first.
        spans: In the order they began.
        left_out: Spans beyond those, later in the run.
    """

    run: str
    began: float
    ended: float
    lanes: tuple[str, ...]
    spans: tuple[Span, ...]
    left_out: int = 0

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended - self.began

    def rows(self, lane: str) -> int:
        """How many rows a lane has."""
        return max(span.row for span in self.spans if span.lane == lane) + 1


def timeline(run: str, happened: Iterable[events.Event], most: int = 150) -> Timeline:
    """What happened when in one run.

    Args:
        run: Its id.
        happened: Its events, in whatever order threads handed them out.
        most: Spans to show; later ones are counted only.

    >>> run = {"run": "r"}
    >>> began = events.TurnBegan(**run, at=1.0, number=1, turn="t")
    >>> ended = events.TurnEnded(**run, at=3.0, number=2, turn="t", calls=("get",), foreseen=0)
    >>> print(timeline("r", [began, ended]).spans[0].story)
    The model wrote for 2 s and called get; nothing was expected.
    """
    told = [event for event in happened if abs(event.at) < _LATEST]
    record = _Record(sorted(told, key=lambda event: (event.number, event.at)))
    spans = sorted(record.spans(), key=lambda span: (span.began, KINDS.index(span.kind)))
    shown = _packed(spans[:most])
    lanes = dict.fromkeys([*(span.lane for span in shown if span.lane == MODEL), *(span.lane for span in shown)])
    return Timeline(run, record.began, record.ended, tuple(lanes), shown, max(0, len(spans) - most))


def _packed(spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans, each in the first row of its lane that is free by then; waits and previews below others."""
    free: dict[tuple[str, bool], list[float]] = defaultdict(list)
    placed: list[tuple[Span, bool, int]] = []
    for span in spans:
        below = span.kind in _BELOW
        rows = free[span.lane, below]
        row = next((row for row, until in enumerate(rows) if until <= span.began), len(rows))
        rows[row : row + 1] = [span.ended]
        placed.append((span, below, row))
    return tuple(
        Span(span.kind, span.lane, span.began, span.ended, span.story, row + below * len(free[span.lane, False]))
        for span, below, row in placed
    )


class _Record:
    """The events of one run, by what they tell.

    Args:
        happened: In the order they happened.
    """

    def __init__(self, happened: Sequence[events.Event]) -> None:
        self.began = min((event.at for event in happened), default=0.0)
        self.ended = max((event.at for event in happened), default=0.0)
        self._told: dict[type, list[events.Event]] = defaultdict(list)
        for event in happened:
            self._told[type(event)].append(event)

    def spans(self) -> Iterator[Span]:
        """Everything that took time, and what was not allowed to."""
        yield from self._model()
        yield from self._previews()
        yield from self._waits()
        yield from self._speculations()
        yield from self._imagined()
        yield from self._warm_ups()
        yield from self._denials()

    def _of(self, kind: type[E]) -> list[E]:
        return self._told[kind]  # type: ignore[return-value]

    def _model(self) -> Iterator[Span]:
        ended = {event.turn: event for event in self._of(events.TurnEnded)}
        expected = {event.turn: event.candidates for event in self._of(events.Predicted)}
        refused: dict[str, dict[str, str]] = defaultdict(dict)
        for refusal in self._of(events.Refused):
            refused[refusal.turn].setdefault(refusal.tool, refusal.reason)
        for turn in self._of(events.TurnBegan):
            end = ended.get(turn.turn)
            until = self.ended if end is None else end.at
            said = "did not finish" if end is None else f"called {names(end.calls)}" if end.calls else "called nothing"
            told = _expectation(expected.get(turn.turn, ()), refused[turn.turn])
            yield Span(
                "model", MODEL, turn.at, until, f"The model wrote for {seconds(until - turn.at)} and {said}; {told}."
            )

    def _previews(self) -> Iterator[Span]:
        used = {event.preview: event for event in self._of(events.PreviewUsed)}
        wasted = {event.preview: event for event in self._of(events.PreviewWasted)}
        for began in self._of(events.PreviewBegan):
            taken, lost = used.get(began.preview), wasted.get(began.preview)
            end, until = taken or lost, self.ended
            if taken is not None:  # from here on it is the model's step
                until = taken.at if taken.joined else min(taken.at, began.at + max(0.0, taken.hidden_s))
            elif lost is not None:
                until = lost.at
            kind: Kind = "spent" if taken is None else "preview"
            yield Span(kind, MODEL, began.at, until, previews.story(began, end))

    def _waits(self) -> Iterator[Span]:
        for call in self._of(events.CallSettled):
            waited = _waited_s(call)
            if call.repeat:
                story = f"The agent waited {seconds(waited)}: the answer of an earlier call was given again."
            elif call.id is None:
                story = f"The agent waited {seconds(waited)}: nothing had run ahead for this call."
            else:
                story = f"The agent {_gain(call)}: the call had run ahead."
            yield Span("wait", printable(call.tool), max(self.began, call.at - waited), call.at, story)

    def _speculations(self) -> Iterator[Span]:
        finished = {event.id: event for event in self._of(events.Finished)}
        discarded = {event.id: event for event in self._of(events.Discarded)}
        adopted = {event.id: event for event in self._of(events.CallSettled) if event.id is not None}
        for launch in self._of(events.Launched):
            end, lost, call = finished.get(launch.id), discarded.get(launch.id), adopted.get(launch.id)
            until = end.at if end is not None else lost.at if lost is not None else self.ended
            kind: Kind = "vain" if call is None else "joined" if call.joined else "ready"
            if call is not None:
                outcome = (
                    f"A real call {'waited for it' if call.joined else 'took its result'}: the agent {_gain(call)}."
                )
            elif lost is not None:
                outcome = f"In vain ({printable(lost.reason)}): {meaning(lost.reason) or 'its result was not used'}."
            else:
                outcome = "What became of it is not in the log."
            yield Span(
                kind, launch.tool, launch.at, until, f"{_launch(launch)}; ran {seconds(until - launch.at)}. {outcome}"
            )

    def _imagined(self) -> Iterator[Span]:
        """What would have run ahead at the level `shadow`, as long as it would have; nothing did."""
        lost = {event.id: event for event in self._of(events.ShadowWasted)}
        adopted = {event.id: event for event in self._of(events.ShadowSettled) if event.id is not None}
        for launch in self._of(events.ShadowLaunched):
            call, wasted = adopted.get(launch.id), lost.get(launch.id)
            kind: Kind = "futile"
            ran_s, outcome = 0.0, "What would have become of it is not in the log."
            if call is not None:
                waited = f"have waited {seconds(call.waited_s)} for it" if call.joined else "have taken its result"
                ran_s, kind, outcome = call.tool_s, "imagined", f"A real call would {waited}."
            elif wasted is not None:
                why = meaning(wasted.reason) or "its result would not have been used"
                ran_s, outcome = wasted.seconds, f"In vain ({printable(wasted.reason)}): {why}."
            story = f"{_launch(launch, 'Would have started')}; would have run {seconds(ran_s)}. {outcome} Nothing ran."
            until = min(max(self.ended, launch.at), launch.at + ran_s)
            yield Span(kind, printable(launch.tool), launch.at, until, story)

    def _warm_ups(self) -> Iterator[Span]:
        ended = {event.warm_up: event.at for event in self._of(events.WarmUpEnded)}
        used = {event.warm_up for event in self._of(events.WarmUpUsed)}
        for warm_up in self._of(events.WarmUpBegan):
            outcome = "a real call came for it" if warm_up.warm_up in used else "no call came for it"
            story = f"Made ready, because a call was {percent(warm_up.probability, 1)} likely; {outcome}."
            yield Span("warm", printable(warm_up.tool), warm_up.at, ended.get(warm_up.warm_up, self.ended), story)

    def _denials(self) -> Iterator[Span]:
        for denial in self._of(events.Denied):
            why, change = advice(denial.reason, denial.detail)
            told = f"{why}. What to change: {change}." if change else f"{why}."
            story = f"Not run ahead ({printable(denial.reason)}): {told}"
            yield Span("denied", printable(denial.tool), denial.at, denial.at, story)


def _expectation(candidates: Sequence[tuple[str, float, str]], refused: Mapping[str, str]) -> str:
    """What was expected of a model step, best first, and why it was not started."""
    best: dict[str, float] = {}
    for tool, probability, _ in candidates:
        best.setdefault(tool, probability)
    told = [
        f"{printable(tool)} {percent(probability, 1)}"
        + (f" ({meaning(refused[tool]) or printable(refused[tool])})" if tool in refused else "")
        for tool, probability in list(best.items())[:4]
    ]
    return f"expected: {', '.join(told)}" if told else "nothing was expected"


def _waited_s(call: events.CallSettled) -> float:
    return call.waited_s if call.waited_s > 0 else 0.0  # a log may say anything


def _gain(call: events.CallSettled) -> str:
    """What running ahead did for a call that adopted a result."""
    return f"waited {seconds(_waited_s(call))} instead of {seconds(call.tool_s)}"


def _launch(launch: events.Launched | events.ShadowLaunched, started: str = "Started") -> str:
    if launch.source == HEDGE:
        return "Started a second time, because the first took long"
    when = _STAGES.get(launch.stage, "")
    depth = launch.depth if isinstance(launch, events.Launched) else 1
    ahead = f", {depth} messages ahead" if depth > 1 else ""
    if launch.stage == "complete":
        return f"{started} {when}{ahead}"
    source = f" (source: {printable(launch.source)})" if launch.source else ""
    return f"{started} {when}{ahead}, at {percent(launch.probability, 1)}{source}"
