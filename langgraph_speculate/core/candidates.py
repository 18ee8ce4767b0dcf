"""What a predictor answers, and what it takes to be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.history import History


@dataclass(frozen=True, slots=True)
class Candidate:
    """One predicted call.

    Attributes:
        call: Name and arguments, as the model would write them.
        probability: That the model's next message holds exactly this call, in [0, 1].
        source: Where the guess comes from, for people to read, such as `"markov+bindings"`.
    """

    call: Call
    probability: float
    source: str = ""


@runtime_checkable
class Predictor(Protocol):
    """Two verbs, after river's `predict_one` and `learn_one`.

    A predictor may also set `bounded = True`: its verbs always return within about a millisecond, so they may run where
    the model call starts. All others run on a thread of their own, and a run never waits more than 5 ms for one.
    Calls to one predictor never overlap.

    Where guesses may reach beyond the next message (`Limits.max_depth`), it is asked about histories, too, that there
    would be if a guess came true (`History.after`): their latest calls may have ended well without a result. It never
    learns from one.
    """

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next model message, best first. Never changes the model."""
        ...

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; no calls means that it answered."""
        ...


@runtime_checkable
class StreamPredictor(Predictor, Protocol):
    """A predictor that also makes use of what the model has written of its message.

    Others are asked at the beginning of a message alone, and what they said is re-scored by what is written; so are
    those without `bounded = True`, because a look at a stream cannot wait.

    >>> class AsNamed:
    ...     bounded = True
    ...     def predict(self, history, *, k):
    ...         return []
    ...     def narrow(self, history, draft, *, k):
    ...         call = draft.current
    ...         return [] if call is None else [Candidate(Call(call.name), 0.5)][:k]
    ...     def learn(self, history, calls):
    ...         pass
    >>> draft = Draft()
    >>> _ = draft.write(0, "call_1", "list_orders", "")
    >>> isinstance(AsNamed(), StreamPredictor), AsNamed().narrow(History(), draft, k=1)[0].call.name
    (True, 'list_orders')
    """

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for what *draft* may still become, best first. Changes neither model nor draft.

        Probabilities are those of the message holding the call, given what is written of it.
        """
        ...
