"""What was learned since it was last written down, and what of it may be.

Structure (names of tools and arguments, shapes, counts) may be kept as it is. Words that come out of payloads, such as
a constant or the text around a slot, may belong to somebody: they wait until they turned up in several threads of
several partitions (k-anonymity, Sweeney 2002), where no user had said them, and those of tools marked private are
dropped. Keys in results that look like names of fields may still be people's, so they wait for several threads. A run
in which a model made up the name of a tool or an argument is not written down. What waits is in memory alone.

An agent that does things in ever new orders would fill a store with contexts that never come again. Beyond the first
thousands, a context is told apart from the second time on (the doorkeeper of TinyLFU; Einziger et al. 2017): the first
time is counted with less of what came before, so no observation is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, Origin, PastCall
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.predict.knowledge import CONTEXTUAL, coarse
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.said import Said

K = 5
"""Distinct threads, and distinct partitions, in which a word must have turned up before it is written down."""

_WORDS = 50_000  # followed at a time
_HELD = 64  # sums that wait for one word
_FREE = 10_000
_FAMILIAR = 20_000  # sums with a context that are known again; the first so many are all written as they are
_LOOKED_AT = 128  # calls at the end of a run whose names can get into a key
_NOWHERE = Origin()
_ZERO = (0.0, 0.0)
Word = tuple[str, Hashable]
"""A tool, and a text out of its payloads."""


class FieldName(NamedTuple):
    """A key in a result that looks like a name of a field: a word that users and partitions may have in common."""

    text: str


class Evidence:
    """In which threads and partitions words turned up; shared by all partitions, so that it can count them.

    Args:
        k: See `K`.

    Attributes:
        private: Tells which tools' words are never written down.
        known: Tells whether a call's tool and arguments are the owner's, not names that a model made up.

    >>> evidence = Evidence(k=2)
    >>> [evidence.see(("find", "economy"), Origin(thread=thread)) for thread in "aab"]
    [False, False, True]
    """

    def __init__(self, *, k: int = K) -> None:
        self._k = k
        self.private: Callable[[str], bool] = lambda tool: False
        self.known: Callable[[Call], bool] = lambda call: True
        self._seen: Recent[Word, dict[int, set[int]]] = Recent(_WORDS)  # partitions, and threads of each
        self._established: Recent[Word, bool] = Recent(_WORDS)

    def __contains__(self, word: Word) -> bool:
        return word in self._established

    def see(self, word: Word, origin: Origin) -> bool:
        """Count that *word* turned up; whether it may be written down by now."""
        if word in self._established or not origin.thread:
            return word in self._established
        seen = self._seen.touch(word, dict)
        threads, thread = set[int]().union(*seen.values()), hash(origin.thread)
        # Where nobody told users apart, each thread may be another's.
        partition = hash(origin.partition or origin.thread)
        is_new = partition not in seen and len(seen) < self._k
        if is_new or (
            thread not in threads and len(threads) < self._k
        ):  # more prove nothing, and would fill the memory
            seen.setdefault(partition, set()).add(thread)
            threads.add(thread)
        enough = len(seen) >= self._k or isinstance(word[1], FieldName)
        if not enough or len(threads) < self._k:
            return False
        del self._seen[word]
        return self._established.touch(word, lambda: True)

    def forget(self, partition: str) -> None:
        """What turned up in *partition* is no evidence any more."""
        name = hash(partition)
        for word, seen in list(self._seen.items()):
            if partition and seen.pop(name, None) is not None and not seen:
                del self._seen[word]


class Ledger:
    """The sums of one partition since they were last taken.

    Args:
        evidence: Which words may be written down.
        mute: Nothing is, whatever is counted.
    """

    def __init__(self, evidence: Evidence, *, mute: bool = False) -> None:
        self._evidence = evidence
        self._sums: Sums = {}
        self._trials: dict[Key, dict[str, Pair]] = {}  # more sums, under one key each and then by name
        self._held: Recent[Word, dict[Key, Any]] = Recent(_WORDS // 5)
        self._run = History()
        self._said: Said | None = None  # what the users of the run have said; None: not looked at yet
        self._free: set[tuple[Word, ...]] = set()  # words that need not be asked for again
        self._familiar: Recent[Key, bool] = Recent(_FAMILIAR)
        self._is_mute = mute

    def about(self, run: History, calls: Iterable[Call] = ()) -> None:
        """What is counted from now on was learned from *run*, which went on with *calls*."""
        self._run, self._said = run, None
        known, past = self._evidence.known, run.events[-_LOOKED_AT:]
        made = (event.call for event in past if isinstance(event, PastCall))
        self._is_mute = not all(known(call) for call in chain(calls, made))

    def count(self, key: Key, hits: float, trials: float = 0.0) -> None:
        """Add to a sum that is structure alone."""
        if self._is_mute:
            return
        before = self._sums.get(key)
        if before is None and key[0] in CONTEXTUAL and not self._is_familiar(key) and hits <= 1.0:
            key = coarse(key)
            before = self._sums.get(key)
        self._sums[key] = (hits, trials) if before is None else (before[0] + hits, before[1] + trials)

    def count_words(self, words: Iterable[Word], key: Key, hits: float, trials: float = 0.0) -> None:
        """Add to a sum whose key holds *words*, which waits until all of them may be written down."""
        self.hold(self.waits(words), key, hits, trials)

    def waits(self, words: Iterable[Word], *, turned_up: bool = True) -> Sequence[Word] | None:
        """Which of *words* may not be written down yet; None if one of them never may.

        Args:
            words: The words.
            turned_up: Whether they were in this run; if not, they were only tried there, which is no evidence.
        """
        words = tuple(words)
        if self._is_mute:
            return None
        if words in self._free:
            return ()
        found: list[Word] = []
        for word in words:
            if self._evidence.private(word[0]):
                return None
            if word not in self._evidence:
                evident = turned_up and not self._was_said(word)
                if not self._evidence.see(word, self._run.origin if evident else _NOWHERE):
                    found.append(word)
                    continue
            if word in self._held:
                self._release(word)
        if not found:
            if len(self._free) >= _FREE:
                self._free.clear()
            self._free.add(words)
        return found

    def hold(self, waits: Sequence[Word] | None, key: Key, hits: float, trials: float) -> None:
        """Add to a sum once none of the words it *waits* for is left."""
        if not waits:
            if waits is not None:
                self.count(key, hits, trials)
            return
        held = self._held.touch(waits[0], dict)
        if key in held or len(held) < _HELD:
            before = held.get(key, (0.0, 0.0))
            held[key] = (before[0] + hits, before[1] + trials, *waits[1:])

    def hold_trials(self, waits: Sequence[Word] | None, key: Key, outcomes: Mapping[str, Sequence[bool]]) -> None:
        """Add the outcomes of trials, each under *key* and its name, once none of the words is left."""
        if waits:
            for name, hits in outcomes.items():
                self.hold(waits, (*key, name), sum(hits), len(hits))
        elif waits is not None and not self._is_mute:
            trials = self._trials.get(key)
            if trials is None:
                key = key if self._is_familiar(key) else coarse(key)
                trials = self._trials.setdefault(key, {})
            for name, hits in outcomes.items():
                before = trials.get(name, _ZERO)
                trials[name] = (before[0] + sum(hits), before[1] + len(hits))

    def _is_familiar(self, key: Key) -> bool:
        """Whether *key* is worth a row of its own: it was seen before, or there are few. Remembers it."""
        is_familiar = key in self._familiar or len(self._familiar) < _FAMILIAR
        self._familiar.touch(key, lambda: True)
        return is_familiar

    def _release(self, word: Word) -> None:
        for key, (hits, trials, *others) in self._held.pop(word).items():
            self.hold([other for other in others if other not in self._evidence], key, hits, trials)

    def _was_said(self, word: Word) -> bool:
        """What a user said is no evidence, wherever else it turned up in that run."""
        if isinstance(word[1], FieldName):
            return False
        if self._said is None:
            self._said = Said(self._run)
        return str(word[1]) in self._said

    def is_named(self, tool: str) -> bool:
        """Whether the owner has a tool of that name; the empty one stands for all."""
        return not tool or self._evidence.known(Call(tool))

    def adopt(self, before: Ledger) -> None:
        """Take over what waits in the ledger of a predictor that is replaced, and what it had seen."""
        self._held, self._familiar = before._held, before._familiar

    def take(self) -> Sums:
        """Hand over what may be written down, and begin anew."""
        taken, self._sums = self._sums, {}
        trials, self._trials = self._trials, {}
        for key, outcomes in trials.items():
            add_to(taken, [((*key, name), pair) for name, pair in outcomes.items()])
        return taken

    def put_back(self, sums: Mapping[Key, Pair]) -> None:
        """What was taken could not be written."""
        add_to(self._sums, sums.items())
