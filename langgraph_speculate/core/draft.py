"""The model's message while it is being written: text, then calls whose arguments arrive piece by piece.

Pieces are put together as LangChain does it in the end (`langchain_core.utils._merge.merge_lists`): those of one index
belong to the first call of that index whose id does not differ, and a piece without an index is a call of its own.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from enum import Enum
from typing import Any, TypeGuard

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.json_prefix import JsonPrefix

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

    __slots__ = ("_assumed", "arguments", "complete", "id", "name", "void")

    def __init__(self, id: str | None, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments = JsonPrefix()
        self.complete = False
        self.void = False
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
        if any(name not in args or not _same(args[name], value) for name, value in arguments.closed.items()):
            return False
        return arguments.open is None or (arguments.open in args and self.may_have(args[arguments.open]))

    def may_have(self, value: Any) -> bool:
        """Whether the open argument may still end as *value*.

        Texts are compared sign by sign, numbers and words by how JSON writes them; of lists and objects only their
        first bracket is looked at until they are closed.
        """
        written = self.arguments.value_so_far()
        if not written:
            return True
        if written[0] == '"':
            return isinstance(value, str) and value.startswith(text_so_far(written))
        if written[0] in "{[":
            return isinstance(value, dict if written[0] == "{" else (list, tuple))
        return not isinstance(value, (str, dict, list, tuple)) and _scalar(value).startswith(written.strip())

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


def _scalar(value: Any) -> str:
    """How JSON writes a number, true, false or null."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return ""


def _same(left: Any, right: Any) -> bool:
    """Whether two values are one: types are kept, the order of keys is not."""
    if type(left) is str or type(right) is str:
        return type(left) is type(right) and left == right
    return key_of(Call("", {"": left})) == key_of(Call("", {"": right}))
