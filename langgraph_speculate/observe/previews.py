"""What previews came to: model calls that were started on remembered results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from langgraph_speculate.core import events


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewCounts:
    """What previews came to, in all runs.

    Attributes:
        began: Previews that were started.
        used: Those that a real model call took over; `joined` were still being written.
        wasted: Why the others were not, with counts.
        refused: Why none was started although all results were known, with counts.
        hidden_s: Seconds of model calls that nobody waited for.
        wasted_tokens: About how many tokens the wasted ones read and wrote.
        wasted_cost: What those cost, by the policy's `token_prices`.
    """

    began: int = 0
    used: int = 0
    joined: int = 0
    wasted: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    hidden_s: float = 0.0
    wasted_tokens: int = 0
    wasted_cost: float = 0.0

    def __str__(self) -> str:
        used = f"{self.used} of {self.began} previews of the model used, {self.hidden_s:z.2f} s hidden"
        return f"{used}, {self.wasted_tokens} tokens wasted"


class PreviewTally:
    """Running sums behind one `PreviewCounts`.

    >>> tally = PreviewTally()
    >>> tally.take(events.PreviewUsed(run="r", at=1.0, preview="p", model="gpt", joined=True, hidden_s=0.5))
    >>> tally.counts().hidden_s
    0.5
    """

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._wasted: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._hidden_s = self._wasted_cost = 0.0

    def take(self, event: events.Event) -> None:
        """Take in an event, if it is about a preview."""
        match event:
            case events.PreviewBegan():
                self._count["began"] += 1
            case events.PreviewRefused(reason=reason):
                self._refused[reason] += 1
            case events.PreviewUsed(joined=joined, hidden_s=hidden_s):
                self._count["used"] += 1
                self._count["joined"] += joined
                self._hidden_s += hidden_s
            case events.PreviewWasted(reason=reason, tokens=tokens, cost=cost):
                self._wasted[reason] += 1
                self._count["tokens"] += tokens
                self._wasted_cost += cost

    def counts(self) -> PreviewCounts:
        """The sums so far."""
        return PreviewCounts(
            began=self._count["began"],
            used=self._count["used"],
            joined=self._count["joined"],
            wasted=MappingProxyType(dict(self._wasted)),
            refused=MappingProxyType(dict(self._refused)),
            hidden_s=self._hidden_s,
            wasted_tokens=self._count["tokens"],
            wasted_cost=self._wasted_cost,
        )
