"""What previews have shown of classes of models: which of their bodies may be called ahead, and be handed on in pieces.

A class that is gone takes along what is known of it.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

Kind = tuple[type, str, bool]
"""The class of a model, the name of its body, and whether that is handed a callback manager."""


class Repute:
    """What the previews of one wrapped graph have shown.

    >>> repute, body = Repute(), (dict, "_stream", False)
    >>> repute.ended_well(body)
    >>> repute.is_good(body)
    True
    >>> repute.object(body, "it uses a nested model call")
    >>> repute.is_good(body), repute.objection(body), repute.objections()
    (False, 'it uses a nested model call', [('dict', 'it uses a nested model call')])
    """

    def __init__(self) -> None:
        self._objections: WeakKeyDictionary[type, dict[tuple[str, bool], str | None]] = WeakKeyDictionary()

    def ended_well(self, kind: Kind) -> None:
        """A preview was written to its end, and touched nothing that is the run's."""
        self._of(kind).setdefault(kind[1:], None)

    def object(self, kind: Kind, why: str) -> None:
        """A preview showed why there must be no more of them."""
        self._of(kind)[kind[1:]] = why

    def is_good(self, kind: Kind) -> bool:
        """Whether a preview has ended well, and none has not."""
        known = self._of(kind)
        return kind[1:] in known and known[kind[1:]] is None

    def objection(self, kind: Kind) -> str | None:
        """Why there must be no more previews, or None."""
        return self._of(kind).get(kind[1:])

    def objections(self) -> list[tuple[str, str]]:
        """The names of classes of which there must be no more, and why."""
        told = ((kind.__name__, why) for kind, known in list(self._objections.items()) for why in list(known.values()))
        return [(name, why) for name, why in dict.fromkeys(told) if why is not None]

    def _of(self, kind: Kind) -> dict[tuple[str, bool], str | None]:
        return self._objections.setdefault(kind[0], {})
