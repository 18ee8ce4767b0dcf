"""How often something was right, out of how often it was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FADES = 400.0  # trials at which the older half of them is forgotten


@dataclass(slots=True)
class Rate:
    """How often something was right out of how often it was tried; old observations fade."""

    hits: float = 0.0
    trials: float = 0.0

    def see(self, hit: bool) -> None:
        """Count one trial."""
        if self.trials >= _FADES:
            self.hits *= 0.5
            self.trials *= 0.5
        self.trials += 1.0
        self.hits += hit

    def see_all(self, hits: Sequence[bool]) -> None:
        """Count several trials, in their order."""
        trials = self.trials + len(hits)
        if trials <= _FADES:
            self.trials = trials
            if True in hits:
                self.hits += sum(hits)
        else:
            for hit in hits:
                self.see(hit)

    def miss(self, times: int) -> None:
        """Count so many trials in vain."""
        trials = self.trials + times
        if trials <= _FADES:
            self.trials = trials
        else:
            for _ in range(times):
                self.see(False)

    def recall(self, hits: float, trials: float) -> None:
        """Know again that it was right so often; no more weight than it could have by learning."""
        self.hits += min(hits, trials)
        self.trials += trials
        if self.trials > _FADES:
            self.hits *= _FADES / self.trials
            self.trials = _FADES

    def after(self, prior: float, weight: float) -> float:
        """The rate, pulled towards *prior* as if that had been seen *weight* times."""
        return (self.hits + weight * prior) / (self.trials + weight)
