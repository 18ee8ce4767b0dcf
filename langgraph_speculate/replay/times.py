"""How long models and tools take in a replay: as recorded, or as somebody says."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from langgraph_speculate.core.calls import Call
from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.replay.script import Script, Step

_P90_TO_P50 = 1.9  # of a hosted model's step
SIGMA = math.log(_P90_TO_P50) / 1.2816
_KEPT = 1_000  # recorded durations of a tool: more tell nothing new
_UNKNOWN_MODEL_S = 1.0


@dataclass(frozen=True, slots=True)
class Times:
    """One distribution of durations.

    Attributes:
        kind: `fixed`, `lognormal`, `recorded`, or `relative` to the model's median step.
        amount: Seconds (of a lognormal the median), or a multiple; 0 for `recorded`.

    >>> Times.parse("lognormal:0.4"), Times.parse("2.7x"), Times.parse("recorded")
    (Times(kind='lognormal', amount=0.4), Times(kind='relative', amount=2.7), Times(kind='recorded', amount=0.0))
    """

    kind: str
    amount: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Times:
        """Read `0.4`, `2.7x`, `lognormal:0.4` or `recorded`.

        Raises:
            ValueError: It is something else; the message says what it may be.
        """
        kind, _, number = text.partition(":")
        if text == "recorded":
            return cls("recorded")
        if not number:
            kind, number = ("relative", text[:-1]) if text.endswith("x") else ("fixed", text)
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if kind not in ("fixed", "lognormal", "relative") or not (math.isfinite(amount) and amount >= 0):
            raise ValueError(
                f"seconds such as 0.4, lognormal:SECONDS, a multiple such as 2.7x, or recorded, not {text!r}"
            )
        return cls(kind, amount)

    def draw(self, recorded: Sequence[float], step_s: float, draw: random.Random) -> float | None:
        """Seconds of one call; None where it should be as recorded, and nothing was."""
        match self.kind:
            case "recorded":
                return draw.choice(recorded) if recorded else None
            case "lognormal":
                return self.amount * math.exp(draw.gauss(0.0, SIGMA))
            case "relative":
                return self.amount * step_s
        return self.amount


RECORDED = Times("recorded")


@dataclass
class Clockwork:
    """How long everything takes in one replay; the same for the same seed, whoever asks in which order.

    Attributes:
        model: Of the model's steps.
        tools: Of tools by name or glob; the first that matches counts. As recorded where none does.
        seed: Draws what is drawn.
        step_s: The model's median step.
        guessed: Tools without any recorded time, which take as long as the model's median step.
    """

    model: Times = RECORDED
    tools: Sequence[tuple[str, Times]] = ()
    seed: int = 0
    step_s: float = _UNKNOWN_MODEL_S
    guessed: set[str] = field(default_factory=set)
    _steps: list[float] = field(default_factory=list)
    _recorded: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def learn(self, scripts: Iterable[Script]) -> None:
        """Take in what was recorded of these runs; after that `step_s` is known."""
        for script in scripts:
            for step in script.steps:
                if step.seconds is not None and step.timed and len(self._steps) < _KEPT:
                    self._steps.append(step.seconds)
                for made in step.calls:
                    kept = self._recorded[made.call.name]
                    if made.seconds is not None and len(kept) < _KEPT:
                        kept.append(made.seconds)
        middle = sorted(self._steps)
        known = middle[len(middle) // 2] if middle else _UNKNOWN_MODEL_S
        self.step_s = known if self.model.kind == "recorded" else self.model.amount

    @property
    def knows_steps(self) -> bool:
        """Whether any step of a model was recorded with its time."""
        return bool(self._steps)

    def of_step(self, step: Step, script: Script, at: int) -> float:
        """Seconds of the model's message number *at*."""
        if not step.timed:
            return 0.0
        if self.model.kind == "recorded":
            return self.step_s if step.seconds is None else step.seconds
        drawn = self.model.draw((), self.step_s, random.Random(f"{self.seed}/{script.id}/{at}"))  # nosec B311
        return drawn or 0.0

    def of_call(self, call: Call, script: Script, recorded: float | None = None) -> float:
        """Seconds of a call of that run: of its own, or one that was only guessed."""
        times = next((times for name, times in self.tools if fnmatchcase(call.name, name)), RECORDED)
        if times.kind == "recorded":
            known = recorded if recorded is not None else script.seconds_of(call)
            if known is not None:
                return known
        draw = random.Random(f"{self.seed}/{script.id}/{call.key}")  # nosec B311
        drawn = times.draw(self._recorded.get(call.name, ()), self.step_s, draw)
        if drawn is None:
            self.guessed.add(call.name)
            return self.step_s
        return drawn


def tool_times(texts: Iterable[str]) -> list[tuple[str, Times]]:
    """Read `get_order=0.3`, `search_*=lognormal:1.2`, or `0.3` for all tools.

    Raises:
        TraceError: One cannot be read.

    >>> tool_times(["get_order=0.3", "1x"])
    [('get_order', Times(kind='fixed', amount=0.3)), ('*', Times(kind='relative', amount=1.0))]
    """
    found = []
    for text in texts:
        name, equals, rest = text.rpartition("=")
        try:
            found.append((name if equals else "*", Times.parse(rest)))
        except ValueError as error:
            raise TraceError(f"--tool-latency {printable(text)}: takes {error}") from None
    return found
