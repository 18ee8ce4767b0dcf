"""The guesses of one model call that run, and what the model's stream makes of them.

Decides which of them are ruled out, and which other candidates are worth a look; launching is decided elsewhere
(`admission.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import Draft

_WORTHWHILE = 0.1
"""With this probability, that another call of the message makes it, a guess is kept that the stream contradicts."""


class Guesses:
    """Guesses by the keys they were launched under, as the model would write them.

    >>> guesses, draft = Guesses(), Draft()
    >>> for order in (1, 2):
    ...     call = Call("get_order", {"id": order})
    ...     guesses.add(call.key, call)
    >>> _ = draft.write(0, "call_1", "get_order", '{"id": 2, ')
    >>> ruled_out, new = guesses.heard(draft, [Candidate(call, 0.9)])
    >>> ruled_out == [Call("get_order", {"id": 1}).key], new
    (True, [])
    """

    __slots__ = ("_agreeing", "_running")

    def __init__(self) -> None:
        self._running: dict[str, Call] = {}
        self._agreeing: list[Call] = []  # those among them that fit what was written when it was last looked at

    def add(self, key: str, call: Call, *, fits: bool = False) -> None:
        """A guess runs.

        Args:
            key: The key of the call that its body receives.
            call: The same as the model would write it.
            fits: Whether it was launched because it fits what is written.
        """
        self._running[key] = call
        if fits:
            self._agreeing.append(call)

    def heard(self, draft: Draft, answer: Sequence[Candidate]) -> tuple[list[str], list[Candidate]]:
        """The stream says more: the keys of guesses that it rules out, and the candidates it makes likely, best first.

        Args:
            draft: The message so far.
            answer: What it may hold now, best first.
        """
        likely = {c.call.key: c for c in answer if c.probability >= _WORTHWHILE and key_of(c.call) is not None}
        guesses = dict(self._running)  # a predictor on a thread of its own may add to it meanwhile
        doubtful = {key: call for key, call in guesses.items() if draft.calls and not draft.may_make(call)}
        ruled_out = [key for key, call in doubtful.items() if call.key not in likely]
        for key in ruled_out:
            del self._running[key]
        self._agreeing = [call for key, call in guesses.items() if key not in doubtful]
        running = {call.key for key, call in guesses.items() if key not in ruled_out}
        # What it makes of tools that have not been named yet was there at the beginning.
        new = [c for key, c in likely.items() if key not in running and (not draft.calls or draft.may_make(c.call))]
        return ruled_out, new

    def doubted(self, draft: Draft) -> bool:
        """Whether the argument that is being written contradicts a guess that has fitted so far."""
        current = draft.current
        return bool(self._agreeing) and current is not None and current.rules_out_any(self._agreeing)
