"""A recorded message as it is written, on a virtual clock, and the bodies that are started beside it.

The text comes first, then for each call its name and its arguments as JSON, in pieces as
`langgraph_speculate.demo.loopback` sends them: 4 characters a token, and a name is one. The engine's own reader reads
them.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.traces import is_read_only
from langgraph_speculate.core.admission import Spent, dismissal, excess
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.guesses import Guesses
from langgraph_speculate.core.history import History
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.core.worth import Estimate, Prices, worth
from langgraph_speculate.host.forecast import Forecaster
from langgraph_speculate.host.reading import Reader, Reading
from langgraph_speculate.policy import Limits

BEGIN, EAGER, BOTH, STREAM, ORACLE = "turn start", "eager start", "turn start + eager", "+ stream evidence", "oracle"
VARIANTS = (BEGIN, EAGER, BOTH, STREAM, ORACLE)
LIMITS = Limits()
_NOTHING_KNOWN = Latencies()
_TOKEN_CHARS = 4
_WIDTH = 10  # candidates that the engine asks for


def tokens(length: int) -> int:
    """How many tokens so many characters are."""
    return math.ceil(length / _TOKEN_CHARS)


@dataclass(frozen=True)
class Message:
    """A message of the model as it is written.

    Attributes:
        text: What it says before its calls.
        calls: Its calls.
        token_s: Seconds a token takes.

    >>> message = Message("Let me look.", (Call("get_order", {"id": 17}),), 0.1)
    >>> round(message.end_s, 1), [event["event"] for _, event in message.events()][:4]
    (0.7, ['content-block-delta', 'content-block-delta', 'content-block-delta', 'content-block-start'])
    """

    text: str
    calls: Sequence[Call]
    token_s: float

    @property
    def end_s(self) -> float:
        """When its last token is there."""
        return self.at(len(self.calls))

    def at(self, call: int, written: int | None = None) -> float:
        """When so many characters of the arguments of call number *call* are there; None: when it begins."""
        before = sum(1 + tokens(len(json.dumps(done.args))) for done in self.calls[:call])
        return (tokens(len(self.text)) + before + (0 if written is None else 1 + tokens(written))) * self.token_s

    def events(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Its pieces as a provider's events, with the seconds at which they come."""
        for number, event in enumerate(self._events(), 1):
            yield number * self.token_s, event

    def _events(self) -> Iterator[dict[str, Any]]:
        for piece in _pieces(self.text):
            yield _delta(0, {"type": "text-delta", "text": piece})
        for index, call in enumerate(self.calls, 1):
            begun = {"type": "tool_call_chunk", "id": f"call_{index}", "name": call.name, "args": ""}
            yield {"event": "content-block-start", "index": index, "content": begun}
            for piece in _pieces(json.dumps(call.args)):
                yield _delta(index, {"type": "tool-call-delta", "args": piece})


def _delta(index: int, delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"event": "content-block-delta", "index": index, "delta": delta}


def _pieces(text: str) -> list[str]:
    return [text[start : start + _TOKEN_CHARS] for start in range(0, len(text), _TOKEN_CHARS)]


@dataclass
class Attempt:
    """A body that runs ahead.

    Attributes:
        call: What it runs.
        began_s: When.
        stage: What was written by then.
        decided: Whether all its arguments were, and only the end of the call was to come: no feat, if a guess.
        stopped_s: When the stream ruled it out, or None.
    """

    call: Call
    began_s: float
    stage: Stage = Stage.BEGIN
    decided: bool = False
    stopped_s: float | None = None

    @property
    def is_guess(self) -> bool:
        """Whether the call might have become another one."""
        return self.stage is not Stage.COMPLETE

    @property
    def kind(self) -> str:
        """The stage that counts."""
        return Stage.COMPLETE.value if self.decided else self.stage.value


class Play(Reader):
    """One message, and what is started while it is written. Reads the stream as the engine does.

    Args:
        message: The message.
        told: What is predicted at its beginning.
        history: What was known then.
        forecaster: Says what becomes of that while it is written; None: nobody listens.
        eager: Whether calls start when they are written.
    """

    def __init__(
        self,
        message: Message,
        told: Sequence[Candidate] = (),
        history: History | None = None,
        forecaster: Forecaster | None = None,
        *,
        eager: bool = False,
    ) -> None:
        self.attempts: list[Attempt] = []
        self._told = told
        self._history = history or History()
        self._forecaster = forecaster
        self._eager = eager
        self._guesses = Guesses()
        self._asked: list[str] = []
        self._now = 0.0
        self._reading = Reading(self, reads_text=forecaster is not None and forecaster.follows)
        self._launch(told, Stage.BEGIN)
        for self._now, event in message.events() if eager or forecaster is not None else ():
            self._reading.event(event)

    def heard(self, stage: Stage) -> None:
        """The message may rule guesses out, and make others likely."""
        if self._forecaster is None:
            return
        draft = self._reading.draft
        answer = self._forecaster.narrow(self._history, draft, self._told, _WIDTH)
        ruled_out, new = self._guesses.heard(draft, answer)
        for attempt in self._alive():
            if attempt.is_guess and attempt.call.key in ruled_out and attempt.call.key not in self._asked:
                attempt.stopped_s = self._now
        self._launch(new, stage)

    def written(self, call: DraftCall) -> None:
        """A call is complete: it starts, unless a guess of it did before."""
        made = call.call()
        self._asked.append(made.key)
        started = sum(attempt.call.key == made.key for attempt in self._alive())
        if self._eager and started < self._asked.count(made.key):
            self._launch([Candidate(made, 1.0)], Stage.COMPLETE)

    def revised(self) -> None:
        """Never told: a recorded message is what it became."""
        raise AssertionError("a recorded message was revised")

    def doubts(self) -> bool:
        """Whether what is being written contradicts a guess that has fitted so far."""
        return self._guesses.doubted(self._reading.draft)

    def _alive(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.stopped_s is None]

    def _launch(self, candidates: Sequence[Candidate], stage: Stage) -> None:
        is_guess = stage is not Stage.COMPLETE
        decided = [key_of(begun.call()) for begun in self._reading.draft.calls if begun.arguments.open is None]
        for candidate in candidates:
            call, alive = candidate.call, self._alive()
            key = key_of(call)
            if key is None or not is_read_only(call):
                continue
            keys = [attempt.call.key for attempt in alive] if is_guess else []
            spent = Spent(turn=sum(attempt.is_guess for attempt in alive) if is_guess else 0)
            chance = candidate.probability
            gain = worth(chance, _estimate(candidate, stage), Prices()) if is_guess else math.inf
            dismissed = dismissal(chance, None, gain, too_fast=False)
            if dismissed is None and excess(key, alive=keys, spent=spent, limits=LIMITS) is None:
                self.attempts.append(Attempt(call, self._now, stage, stage is Stage.ARGUMENTS and key in decided))
                if is_guess:
                    self._guesses.add(key, call, fits=stage is not Stage.BEGIN)


def _estimate(candidate: Candidate, stage: Stage) -> Estimate:
    """What an engine expects of a guess that knows neither the tool nor the model yet."""
    return Estimate(*_NOTHING_KNOWN.ahead("", stage).of(candidate.call.name))


@dataclass
class Hidden:
    """What one variant came to.

    Attributes:
        seconds: Of tool wait that nobody waited for.
        began: Bodies that answered a call, by the stage at which they began.
        seconds_by: The hidden seconds, by the stage at which the body began that was waited for longest.
        discarded: Guesses that answered no call.
        regretted: Those among them that the stream ruled out although the message held the call in the end.
        wasted_s: Seconds that those ran until they were discarded.
    """

    seconds: float = 0.0
    began: Counter[str] = field(default_factory=Counter)
    seconds_by: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    discarded: int = 0
    regretted: int = 0
    wasted_s: float = 0.0

    @property
    def early(self) -> int:
        """Calls that began because they were written."""
        return self.began[Stage.COMPLETE.value]

    @property
    def hits(self) -> int:
        """Guesses that were right."""
        return self.began.total() - self.early

    def see(self, message: Message, attempts: Sequence[Attempt], tool_s: float) -> None:
        """A message ended, with *attempts* beside it."""
        waits: list[tuple[float, str]] = []
        lost = list(attempts)
        for call in message.calls:
            own = next((one for one in lost if one.stopped_s is None and one.call.key == key_of(call)), None)
            if own is None:
                waits.append((tool_s, ""))
                continue
            lost = [attempt for attempt in lost if attempt is not own]
            self.began[own.kind] += 1
            waits.append((max(0.0, own.began_s + tool_s - message.end_s), own.kind))
        if any(is_read_only(call) for call in message.calls):
            longest_s, kind = max(waits)
            self.seconds += tool_s - longest_s
            self.seconds_by[kind] += tool_s - longest_s
        self.discarded += len(lost)
        made = {key_of(call) for call in message.calls}
        self.regretted += sum(attempt.stopped_s is not None and attempt.call.key in made for attempt in lost)
        for attempt in lost:
            end_s = message.end_s if attempt.stopped_s is None else attempt.stopped_s
            self.wasted_s += min(tool_s, end_s - attempt.began_s)


def plays(message: Message, history: History, forecaster: Forecaster) -> dict[str, list[Attempt]]:
    """What each variant starts beside a message."""
    told = forecaster.predictor.predict(history, k=_WIDTH)
    foreseen = [Attempt(call, 0.0) for call in message.calls if is_read_only(call) and key_of(call)]
    return {
        BEGIN: Play(message, told).attempts,
        EAGER: Play(message, eager=True).attempts,
        BOTH: Play(message, told, eager=True).attempts,
        STREAM: Play(message, told, history, forecaster, eager=True).attempts,
        ORACLE: foreseen,
    }
