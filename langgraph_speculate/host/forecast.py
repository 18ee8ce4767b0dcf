"""Ask a predictor without trusting it: it may raise, hang or answer rubbish, and the run goes on as if there were none.

A predictor that says `bounded = True` is asked where the run goes on. Any other runs on a daemon thread of its
own, one call at a time. A model call that is awaited does not wait for its answer, any other at most `PATIENCE_S`; a
later answer still counts if the model is still at it.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate, NamePredictor, Predictor, StreamPredictor
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.history import History
from langgraph_speculate.host import clock
from langgraph_speculate.host.usage import usage_of
from langgraph_speculate.host.worker import Worker
from langgraph_speculate.predict.stream import conditioned

PATIENCE_S = 0.005
"""Seconds a model call that nobody awaits may be held up by a predictor."""
OURS_TO_PASS_ON = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""No other end of a guess is the run's."""
_BACKLOG = 256
_SLOW_S = 10.0
_VERBS = ("predict", "learn")
_NAMES = 1_000  # tools that a predictor may name
_LOG = logging.getLogger("langgraph_speculate")


class Prediction:
    """An answer that may still be on its way from a predictor on another thread."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def wait(self) -> None:
        """Give it a moment, but not more."""
        clock.wait(self._future, PATIENCE_S)


class Forecaster:
    """One predictor, guarded.

    Args:
        predictor: The predictor.
        warn: Called with a cause and a message; the same cause is reported once.

    Attributes:
        inline: Whether the predictor is asked where the run goes on.
        follows: Whether it makes anything of what the model has written.
        usage: The graphs that use it.

    Raises:
        TypeError: *predictor* is none.
    """

    def __init__(self, predictor: Predictor, warn: Callable[[str, str], None]) -> None:
        if isinstance(predictor, type) or not all(callable(getattr(predictor, verb, None)) for verb in _VERBS):
            raise TypeError(
                f"predictor= takes an object with the methods predict and learn, not {predictor!r:.60}; "
                "None is the shipped one"
            )
        self.predictor = predictor
        self.inline = bool(getattr(predictor, "bounded", False))
        self._following = predictor if self.inline and isinstance(predictor, StreamPredictor) else None
        self.follows = self._following is not None
        self._naming = predictor if isinstance(predictor, NamePredictor) else None
        self._warn = warn
        self.usage = usage_of(predictor)
        self._asking = self.usage.asking
        self._queueing = threading.Lock()
        self._jobs: deque[Callable[[], None]] = deque()
        self._worker = Worker(self._next, lambda: bool(self._jobs), "speculate-predictor")
        self._since = 0.0  # when the job that is being done was begun

    def asking(self) -> AbstractContextManager[object]:
        """To be held by whoever else calls the predictor."""
        return self._asking

    def predict(self, history: History, k: int, then: Callable[[list[Candidate]], None]) -> Prediction | None:
        """Ask for candidates and hand them to *then*; None when there is nothing to wait for."""

        def job() -> None:
            then(self._predict(history, k))

        done = self._do(job)
        return None if done is None else Prediction(done)

    def further(self, history: History, k: int) -> list[Candidate]:
        """Candidates for a message that comes later, at once; none from a predictor that takes its time."""
        return self._predict(history, k) if self.inline else []

    def narrow(self, history: History, draft: Draft, told: Sequence[Candidate], k: int) -> list[Candidate]:
        """What the model's message may still hold, now that it has begun as *draft*.

        Args:
            history: What the run had seen before it.
            draft: The message so far.
            told: What the predictor answered at its beginning.
            k: The most candidates to return.
        """
        following = self._following
        if following is not None:
            return self._guarded(lambda: following.narrow(history, draft, k=k), k)
        try:
            return conditioned(told, draft)
        except Exception as error:  # noqa: BLE001 - values of guesses are of somebody else's classes
            self._warn("predictor-values", f"guesses that cannot be compared are ignored: {type(error).__name__}")
            return []

    def names(self, history: History, told: Sequence[Candidate]) -> dict[str, float]:
        """P(the model's message calls a tool) by tool; to be asked where the predictor has answered `predict`.

        Args:
            history: What the run had seen before it.
            told: What the predictor answered at its beginning.
        """
        if self._naming is None:
            chances: defaultdict[str, float] = defaultdict(float)
            for candidate in told:
                chances[candidate.call.name] += candidate.probability
            return {name: min(1.0, chance) for name, chance in chances.items()}
        try:
            with self._asking:
                answer = list(islice(self._naming.names(history).items(), _NAMES))
        except OURS_TO_PASS_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody else's code, and its words may quote a user's
            self._warn("predictor-names", f"the predictor failed, so no tool is warmed up: {self._failure(error)}")
            return {}
        return {name: chance for name, chance in answer if isinstance(name, str) and _is_chance(chance)}

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Tell what the model asked for after *history*."""

        def job() -> None:
            try:
                with self._asking:
                    self.predictor.learn(history, list(calls))
            except OURS_TO_PASS_ON:
                raise
            except BaseException as error:  # noqa: BLE001 - somebody else's code, and its words may quote a user's
                told = self._failure(error)
                self._warn("predictor-learn", f"the predictor failed to learn and goes on unchanged: {told}")

        self._do(job)

    def _failure(self, error: BaseException) -> str:
        """What can be told of an error without its words, which may quote a user's."""
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = "" if at is None else f" at {os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}"
        return f"{type(error).__name__} in {type(self.predictor).__qualname__}{where}"

    def _predict(self, history: History, k: int) -> list[Candidate]:
        return self._guarded(lambda: self.predictor.predict(history, k=k), k)

    def _guarded(self, ask: Callable[[], Iterable[Candidate]], k: int) -> list[Candidate]:
        try:
            with self._asking:
                answer = list(islice(ask(), k))
            candidates = [candidate for candidate in answer if _is_sound(candidate)]
        except OURS_TO_PASS_ON:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody else's code, and its words may quote a user's
            self._warn("predictor-predict", f"the predictor failed, so nothing is run ahead: {self._failure(error)}")
            return []
        if len(candidates) < len(answer):
            self._warn("predictor-rubbish", "the predictor answered with something else than candidates; ignored")
        return candidates

    def _do(self, job: Callable[[], None]) -> Future[None] | None:
        if self.inline:
            job()
            return None
        done: Future[None] = Future()
        with self._queueing:
            busy, full = self._worker.is_alive, len(self._jobs) >= _BACKLOG
            slow = busy and clock.now() - self._since > _SLOW_S
            if not busy:
                self._since = clock.now()
            if not full:
                self._jobs.append(lambda: _settle(done, job))
            if not self._worker.start():  # the next may have better luck
                self._jobs.clear()
                return None
        if slow:
            kind = type(self.predictor).__qualname__
            self._warn("predictor-slow", f"{kind} has not answered for {_SLOW_S:.0f} s; runs go on without a predictor")
        if full:
            self._warn("predictor-hangs", "the predictor does not keep up; what it would have seen is skipped")
        return None if busy or full else done  # a run does not stand in line for a predictor that is busy

    def _next(self) -> None:
        with self._queueing:
            job = self._jobs.popleft() if self._jobs else None
            self._since = clock.now()
        if job is not None:
            job()


def _settle(done: Future[None], job: Callable[[], None]) -> None:
    try:
        job()
    except BaseException:  # noqa: BLE001 - a guess must not break the run
        _LOG.exception("a speculation could not be started; the run goes on without it")
    finally:
        done.set_result(None)


def _is_sound(candidate: Any) -> bool:
    return (
        isinstance(candidate, Candidate)
        and isinstance(candidate.call, Call)
        and isinstance(candidate.call.name, str)
        and hasattr(candidate.call.args, "keys")
        and _is_chance(candidate.probability)
        and isinstance(candidate.source, str)
    )


def _is_chance(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and 0.0 <= value <= 1.0
