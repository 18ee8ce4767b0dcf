"""The model's message while it is being written: text, then calls whose arguments arrive piece by piece.

Pieces are put together as LangChain does it in the end (`langchain_core.utils._merge.merge_lists`): those of one index
belong to the first call of that index whose id does not differ, and a piece without an index is a call of its own.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, TypeGuard

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.json_prefix import JsonPrefix

_KINDS: Mapping[str, tuple[type, ...]] = {"{": (dict,), "[": (list, tuple), '"': (str,)}  # by their first sign in JSON
_NOTHING = object()
_UNSEEN = (None, 0)
_ESCAPE = 6  # characters of an escape that has not ended, such as `\\u00e`


class News(Enum):
    """What a piece of a call told."""

    NOTHING = "nothing"  # or nothing but more of an argument
    NAMED = "named"  # which tool
    CLOSED = "closed"  # an argument is decided
    COMPLETE = "complete"  # all of the call is
    REVISED = "revised"  # what was told before is void


class DraftCall:
    """One call of the message.

    Attributes:
        id: Its id, as far as told.
        name: The tool's name.
        arguments: Its arguments.
        complete: Whether all of it is decided: its own end has arrived, or, without any arguments, the next call.
        void: Whether it took back what it had told; it tells nothing from then on.
    """

    __slots__ = ("_agreed", "_assumed", "arguments", "complete", "id", "name", "void")

    def __init__(self, id: str | None, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments = JsonPrefix()
        self.complete = False
        self.void = False
        self._agreed: dict[int, tuple[Call, int]] = {}  # calls that fitted, and how many arguments they did
        self._assumed = False  # complete because the next call began

    @property
    def closed(self) -> dict[str, Any]:
        """The arguments that are decided."""
        return self.arguments.closed

    def call(self) -> Call:
        """The call as far as it is decided."""
        return Call(self.name, dict(self.arguments.closed))

    def may_become(self, call: Call) -> bool:
        """Whether this may still end as *call*, or has."""
        if self.void or call.name != self.name:
            return False
        args, arguments = call.args, self.arguments
        if self.complete and args.keys() != arguments.closed.keys():
            return False
        if not self._agrees(call):
            return False
        return not self.rules_out_any((call,))

    def _agrees(self, call: Call) -> bool:
        """Whether *call* has what is decided; each argument is compared once."""
        args, closed = call.args, self.arguments.closed
        _, known = self._agreed.get(id(call), _UNSEEN)
        for name, value in islice(closed.items(), known, None):
            if name not in args or not _is_same(args[name], value):
                return False
        self._agreed[id(call)] = call, len(closed)  # with the call: another one may get its id
        return True

    def rules_out_any(self, calls: Iterable[Call]) -> bool:
        """Whether the argument that is being written contradicts one of *calls*.

        Texts are compared sign by sign, numbers and words by how JSON writes them; of lists and objects only their
        first bracket is looked at until they are closed.
        """
        name = self.arguments.open
        if name is None:
            return False
        written = self.arguments.value_so_far()
        text = text_so_far(written) if written.startswith('"') else None
        for call in calls:
            value = call.args.get(name, _NOTHING)
            if type(value) is str and text is not None:
                if not value.startswith(text):
                    return True
            elif value is _NOTHING or not _may_be(value, written):
                return True
        return False

    def write(self, piece: str) -> News:
        """Read on in the arguments."""
        if self.void:
            return News.NOTHING
        if self._assumed and self.complete and self.arguments.is_untouched:
            self.complete = False  # it has arguments after all, or its own end
        if self.complete or not self.arguments.feed(piece):
            return self._revised() if self.complete and piece.strip() else News.NOTHING
        if self.arguments.broken:
            return self._revised()
        self.complete = self.arguments.complete
        if not self.complete:
            return News.CLOSED
        told = not self.name or (self._assumed and not self.closed)  # later, or already: once a call
        return News.NOTHING if told else News.COMPLETE

    def _revised(self) -> News:
        self.void = True
        return News.REVISED

    def rename(self, more: str) -> list[News]:
        """Its name, or more of it; a name that goes on after it was told is another name."""
        had_one, self.name = bool(self.name), self.name + more
        if had_one:
            return [self._revised()]
        return [News.NAMED, News.COMPLETE] if self.complete else [News.NAMED]

    def end(self) -> News:
        """Another call begins: one without any arguments is complete by that."""
        if self.void or self.complete or not self.name or not self.arguments.is_untouched:
            return News.NOTHING
        self.complete = self._assumed = True
        return News.COMPLETE


Told = list[tuple[DraftCall, News]]


class Draft:
    """A message that is being written.

    Attributes:
        calls: Its calls, in the order in which they began.
        length: How many characters of text it has.

    >>> draft = Draft()
    >>> draft.say("Let me look.")
    >>> [news.name for _, news in draft.write(0, "call_1", "get_order", '{"id": 1')]
    ['NAMED']
    >>> [news.name for _, news in draft.write(0, None, None, '7}')], draft.calls[0].call()
    (['COMPLETE'], Call(name='get_order', args={'id': 17}))
    """

    __slots__ = ("_latest", "_slots", "_text", "calls", "length")

    def __init__(self) -> None:
        self.calls: list[DraftCall] = []
        self.length = 0
        self._text: list[str] = []
        self._slots: dict[Hashable, list[DraftCall]] = {}
        self._latest: DraftCall | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""

    @property
    def current(self) -> DraftCall | None:
        """The call that is being written, or was last; None before the first, and if it took back what it had told."""
        return None if self._latest is None or self._latest.void else self._latest

    def say(self, piece: str) -> None:
        """More text."""
        self._text.append(piece)
        self.length += len(piece)

    def write(self, index: object, id: str | None, name: str | None, piece: str | None) -> Told:
        """More of a call; what that tells, and of which call.

        Args:
            index: Its place in the message; anything but a number or a text of LangChain's makes it a call of its own.
            id: Its id, if the piece has it.
            name: The tool's name, if the piece has it.
            piece: More of its arguments.
        """
        told: Told = []
        call = self.at(index, id)
        if call is None:
            call = self._begin(id, name or "", told)
            if _is_shared(index):
                self._slots.setdefault(index, []).append(call)
        else:
            call.id = call.id or id
            if name:
                told += [(call, news) for news in call.rename(name)]
        if piece and (news := call.write(piece)) is not News.NOTHING:
            told.append((call, news))
        return told

    def at(self, index: object, id: str | None = None) -> DraftCall | None:
        """The call that a piece of that index and id would go to, if it has begun."""
        slot = self._slots.get(index, ()) if _is_shared(index) else ()
        return next((begun for begun in slot if not id or not begun.id or begun.id == id), None)

    def may_make(self, call: Call) -> bool:
        """Whether one of the calls that have begun may still end as *call*, or has; False if none has begun."""
        return any(begun.may_become(call) for begun in self.calls)

    def _begin(self, id: str | None, name: str, told: Told) -> DraftCall:
        if self._latest is not None and (news := self._latest.end()) is not News.NOTHING:
            told.append((self._latest, news))
        call = self._latest = DraftCall(id, name)
        self.calls.append(call)
        if name:
            told.append((call, News.NAMED))
        return call


def _is_shared(index: object) -> TypeGuard[int | str]:
    """Whether pieces of that index are put together."""
    return isinstance(index, int) or (isinstance(index, str) and index.startswith("lc_"))


def text_so_far(written: str) -> str:
    r"""The text that the beginning of a JSON string stands for, as far as it is sure.

    >>> text_so_far('"caf\\u00e9 \\"a'), text_so_far('"line\\'), text_so_far('"\\ud83d')
    ('café "a', 'line', '')
    """
    if "\\" not in written:
        return written[1:]
    for cut in range(min(_ESCAPE, len(written))):
        try:
            text = str(json.loads(written[: len(written) - cut] + '"', strict=False))
        except ValueError:
            continue
        return text if not text or not "\ud800" <= text[-1] <= "\udbff" else text[:-1]  # half of a sign
    return ""


def _may_be(value: Any, written: str) -> bool:
    """Whether JSON may write *value* so that it begins like this; nothing written fits everything."""
    if not written:
        return True
    if written[0] in '{["':
        return isinstance(value, _KINDS[written[0]])
    return not isinstance(value, (str, dict, list, tuple)) and _scalar(value).startswith(written.strip())


def _scalar(value: Any) -> str:
    """How JSON writes a number, true, false or null."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return ""


def _is_same(left: Any, right: Any) -> bool:
    """Whether two values are one; what cannot be compared is not."""
    try:
        return _same(left, right)
    except Exception:  # noqa: BLE001 - a predictor's values may be anything
        return False


def _same(left: Any, right: Any) -> bool:
    """Whether two values are one: types are kept, and so is the order of keys."""
    if type(left) is not type(right):
        return False
    if left != right:
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(_same(value, right[name]) for name, value in left.items())
    return not isinstance(left, list) or all(map(_same, left, right))
