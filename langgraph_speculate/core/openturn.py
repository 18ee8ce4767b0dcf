"""A model turn that is open: what was expected of it, what was started for it, what it has written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.gate import Deny
from langgraph_speculate.core.speculation import Speculation, Stage


@dataclass(slots=True)
class OpenTurn:
    """A model turn that is open.

    Attributes:
        foreseen: What was predicted at its beginning, as the model would write it.
        denied: What the gate was noted to have denied: tools with its verdicts.
        asked: Calls that the model has written completely, by key.
        started: Bodies that were started for it, by key, without those that the stream ruled out.
        inherited: Ids of the speculations that were launched for it before it began.
    """

    foreseen: list[Call] = field(default_factory=list)
    denied: set[tuple[str, Deny]] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    inherited: frozenset[str] = frozenset()

    def inherit(self, speculations: Iterable[Speculation]) -> None:
        """Take over what was launched for it before it began."""
        found = list(speculations)
        self.inherited = frozenset(speculation.id for speculation in found)
        self.started.update(speculation.call.key for speculation in found)

    def has_foreseen(self, call: Call) -> bool:
        """Whether *call*, as the model wrote it, stands among the predictions."""
        return any(_alike(call, guess) for guess in self.foreseen)

    def has_begun(self, key: str, stage: Stage) -> bool:
        """Whether a guess was started before: one that failed is not tried with each piece of the message."""
        told = stage is not Stage.BEGIN or self.asked[key] > 0
        return stage is not Stage.COMPLETE and told and self.started[key] > 0


def _alike(call: Call, guess: Call) -> bool:
    """Whether a guess was right: equality first, because it costs a fraction of two keys."""
    try:
        return call.name == guess.name and call.args == guess.args and key_of(call) == key_of(guess)
    except Exception:  # noqa: BLE001 - a value that cannot be compared was no good guess
        return False
