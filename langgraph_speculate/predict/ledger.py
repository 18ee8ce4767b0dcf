"""What was learned since it was last written down, and what of it may be.

Structure (names of tools and arguments, JSON paths, shapes, counts) may be kept as it is. Words that come out of
payloads, such as a constant or the text around a slot, may belong to somebody: they wait until they turned up in
several threads of several partitions (k-anonymity, Sweeney 2002), where no user had said them, and those of tools
marked private are dropped. What waits is in memory alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from langgraph_speculate.core.history import History, Origin
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.predict.recent import Recent

K = 5
"""Distinct threads, and distinct partitions, in which a word must have turned up before it is written down."""

_WORDS = 50_000  # followed at a time
_HELD = 64  # sums that wait for one word
_NOWHERE = Origin()
_ZERO = (0.0, 0.0)
Word = tuple[str, Hashable]
"""A tool, and a text out of its payloads."""


class Evidence:
    """In which threads and partitions words turned up; shared by all partitions, so that it can count them.

    Args:
        k: See `K`.

    Attributes:
        private: Tells which tools' words are never written down.

    >>> evidence = Evidence(k=2)
    >>> [evidence.see(("find", "economy"), Origin(thread=thread)) for thread in "aab"]
    [False, False, True]
    """

    def __init__(self, *, k: int = K) -> None:
        self._k = k
        self.private: Callable[[str], bool] = lambda tool: False
        self._seen: Recent[Word, tuple[set[int], set[int]]] = Recent(_WORDS)
        self._established: Recent[Word, bool] = Recent(_WORDS)

    def __contains__(self, word: Word) -> bool:
        return word in self._established

    def see(self, word: Word, origin: Origin) -> bool:
        """Count that *word* turned up; whether it may be written down by now."""
        if word in self._established or not origin.thread:
            return word in self._established
        threads, partitions = self._seen.touch(word, lambda: (set(), set()))
        threads.add(hash(origin.thread))
        # Where nobody told users apart, each thread may be another's.
        partitions.add(hash(origin.partition or origin.thread))
        if len(threads) < self._k or len(partitions) < self._k:
            return False
        del self._seen[word]
        return self._established.touch(word, lambda: True)

    def establish(self, word: Word) -> None:
        """A store knows the word, so it has been established before."""
        self._established.touch(word, lambda: True)


class Ledger:
    """The sums of one partition since they were last taken.

    Args:
        evidence: Which words may be written down.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._sums: Sums = {}
        self._trials: dict[Key, dict[str, Pair]] = {}  # more sums, under one key each and then by name
        self._held: Recent[Word, dict[Key, Any]] = Recent(_WORDS // 5)
        self._run = History()
        self._said: str | None = None  # what the users of the run have said, in small letters; None: not looked at yet

    def about(self, run: History) -> None:
        """What is counted from now on was learned from *run*."""
        self._run, self._said = run, None

    def count(self, key: Key, hits: float, trials: float = 0.0) -> None:
        """Add to a sum that is structure alone."""
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
        found: list[Word] = []
        for word in words:
            if self._evidence.private(word[0]):
                return None
            evident = turned_up and not self._was_said(word)
            if not self._evidence.see(word, self._run.origin if evident else _NOWHERE):
                found.append(word)
            elif word in self._held:
                self._release(word)
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
        elif waits is not None:
            trials = self._trials.setdefault(key, {})
            for name, hits in outcomes.items():
                before = trials.get(name, _ZERO)
                trials[name] = (before[0] + sum(hits), before[1] + len(hits))

    def _release(self, word: Word) -> None:
        for key, (hits, trials, *others) in self._held.pop(word).items():
            self.hold([other for other in others if other not in self._evidence], key, hits, trials)

    def _was_said(self, word: Word) -> bool:
        """What a user said is no evidence, wherever else it turned up in that run."""
        if self._said is None:
            self._said = "\n".join([turn.text for turn in self._run.user_turns]).lower()
        return str(word[1]).lower() in self._said

    def establish(self, word: Word) -> None:
        """A store knows the word."""
        self._evidence.establish(word)

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
