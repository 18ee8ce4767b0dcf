"""Values that simply come again: how often an argument had each of them, after the last event and over all."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from langgraph_speculate.predict.recent import Recent

_CONTEXTS = 64
_VALUES = 256  # kept per context, of those seen once and of those seen more often
_TOP = 8  # values told of one context
_MUCH = 20.0
_ONCE = (1.0,)
_COUNT = itemgetter(0)
_CHANCE = itemgetter(2)

Constant = tuple[Hashable, Any, float]  # the key of a value, the value, and its chance
_Entry = list[Any]  # how often a value was seen, its key, and the value


@dataclass(slots=True)
class _Values:
    """Values seen in one context; one seen once promises little (absolute discounting)."""

    total: float = 0.0
    once: Recent[Hashable, _Entry] = field(default_factory=lambda: Recent(_VALUES))
    often: Recent[Hashable, _Entry] = field(default_factory=lambda: Recent(_VALUES))
    leaders: list[_Entry] | None = None  # the most frequent; None: to be looked for
    ranking: list[Constant] | None = None  # what `top` told; cleared by `changed`
    highest: float | None = None  # the same of `most`

    def __contains__(self, key: Hashable) -> bool:
        return key in self.often or key in self.once

    def see(self, key: Hashable, value: Any, times: float = 1.0, *, of: float = 1.0) -> None:
        if key in self or times > 1.0:
            first = self.once.pop(key, None)
            if len(self.often) == self.often.size and key not in self.often:
                self.leaders = None  # what is forgotten now may lead
            entry = self.often.touch(key, lambda: first or [0.0, key, value])
            entry[0] += times
            self._lead(entry)
        else:
            self.once.touch(key, lambda: [1.0, key, value])
        self.changed(of)

    def changed(self, of: float) -> None:
        """There were values so often more."""
        self.total += of
        self.ranking = self.highest = None

    @property
    def most(self) -> float:
        """The highest share of a value, without looking at the others."""
        if self.highest is None:
            leader = self.leaders[0] if self.leaders else max(self.often.values(), key=_COUNT, default=_ONCE)
            count = leader[0]
            self.highest = float(max(count - 0.8, 0.0) / max(self.total, count))
        return self.highest

    def top(self) -> list[Constant]:
        """The most frequent values with their shares."""
        if self.ranking is None:
            total, entries = self.total, self.leaders
            if entries is None:
                entries = list(self.often.values())
                if total <= _MUCH:  # beyond, the share of what was seen once is too small to be told
                    entries += self.once.values()
                entries.sort(key=_COUNT, reverse=True)
                entries = entries[:_TOP]
                if total > _MUCH:
                    self.leaders = entries
            self.ranking = [(key, value, max(count - 0.8, 0.0) / max(total, count)) for count, key, value in entries]
        return self.ranking

    def _lead(self, entry: _Entry) -> None:
        """Keep the leaders right as *entry* was counted: sorting hundreds each time is most of what this would cost."""
        leaders = self.leaders
        if leaders is None:
            return
        if len(leaders) < _TOP or entry[0] > leaders[-1][0] or any(entry is leader for leader in leaders):
            # Of equally frequent ones, the one seen longest ago comes first.
            leaders = [leader for leader in leaders if leader is not entry]
            leaders.append(entry)
            leaders.sort(key=_COUNT, reverse=True)
            self.leaders = leaders[:_TOP]


class Constants:
    """Learn and tell the values that one argument has had before."""

    def __init__(self) -> None:
        self._everywhere = _Values()
        self._here: Recent[str, _Values] = Recent(_CONTEXTS)
        self._told: dict[str, Sequence[Constant]] = {}  # by context; cleared by `see`

    def __contains__(self, key: Hashable) -> bool:
        return key in self._everywhere

    def tell(self, context: str, *, least: float = 0.0) -> Sequence[Constant]:
        """Frequent values, each with P(the argument has it | the tool is called), most probable first.

        Args:
            context: What happened last.
            least: Nothing need be told where no chance is that high, as for arguments that are new in every call.
        """
        if self._most(context) < least:
            return ()
        told = self._told.get(context)
        if told is None:
            told = self._told[context] = self._blended(context)
        return told

    def completing(self, text: str, surprise: float) -> list[tuple[str, float]]:
        """The values that begin like this, each with P(the argument has it | it begins so), most probable first.

        That it is one nobody had before is as probable as it has been (Good and Turing, after Good, 1953).

        Args:
            text: The beginning of the value.
            surprise: P(a new value begins so).
        """
        everywhere = self._everywhere
        entries = [*everywhere.often.values(), *everywhere.once.values()]
        known = [(count, value) for count, _, value in entries if type(value) is str and value.startswith(text)]
        total = sum(count for count, _ in known) + (len(everywhere.once) + 1.0) * surprise
        return [(value, count / total) for count, value in sorted(known, key=_COUNT, reverse=True)[:_TOP]]

    def see(self, context: str, values: Mapping[Hashable, Any]) -> None:
        """Count the values, by key, that the calls of one message had."""
        here = self._here.touch(context, _Values)
        for key, value in values.items():
            self._everywhere.see(key, value)
            here.see(key, value)
        self._told.clear()

    def recall(self, context: str, key: Hashable, value: Any, times: float) -> None:
        """Know again that a value was had so often; of how many is `recall_total`'s."""
        for values in (self._everywhere, self._here.touch(context, _Values)):
            values.see(key, value, times, of=0.0)

    def recall_total(self, context: str, times: float) -> None:
        """Know again how often there was a value at all, those that nobody wrote down included."""
        for values in (self._everywhere, self._here.touch(context, _Values)):
            values.changed(times)

    def _most(self, context: str) -> float:
        """No chance is higher than this."""
        here, most = self._here.get(context), self._everywhere.most
        if here is None:
            return most
        weight = _weight(here)
        return most * (1.0 - weight) + here.most * weight

    def _blended(self, context: str) -> Sequence[Constant]:
        here = self._here.get(context)
        if here is None:
            return self._everywhere.top()
        weight = _weight(here)
        chances = {key: (key, value, share * (1.0 - weight)) for key, value, share in self._everywhere.top()}
        for key, value, share in here.top():
            known = chances.get(key)
            chances[key] = (key, value, weight * share) if known is None else (key, known[1], known[2] + weight * share)
        return sorted(chances.values(), key=_CHANCE, reverse=True)


def _weight(here: _Values) -> float:
    """How far what was seen in one context is believed."""
    return here.total / (here.total + 2.0)
