"""A JSON object while its text arrives: which members are decided, and what is known of the one being written.

A value is decided once its own end has arrived (a quote, a bracket, the comma or brace after a number), never because
what there is of it could be parsed: `12` may become `123`, and every text is the beginning of a longer one. Each
character is looked at once (RFC 8259; the state machine is the one of any streaming JSON reader).
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_CHARACTERS = 1_000_000
_BEFORE, _NAME, _IN_NAME, _COLON, _VALUE, _IN_VALUE, _COMMA, _AFTER = range(8)
_IN_TEXT = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\],]')
_SPACE = " \t\n\r"


class JsonPrefix:
    r"""The text of an object, a piece at a time.

    Attributes:
        closed: The members that are decided, by name.
        open: The name of the member whose value is being written, or None.
        complete: Whether the object has ended.
        broken: Whether this can be no object any more, or one that takes back what it said: a member twice, or text
            after its end. What was read of it is worth nothing then.

    >>> prefix = JsonPrefix()
    >>> prefix.feed('{"city": "Bas'), prefix.closed, prefix.open, prefix.value_so_far()
    (False, {}, 'city', '"Bas')
    >>> prefix.feed('el", "days": 12'), prefix.closed
    (True, {'city': 'Basel'})
    >>> prefix.feed('3}'), prefix.closed, prefix.complete
    (True, {'city': 'Basel', 'days': 123}, True)
    """

    __slots__ = (
        "_arrived",
        "_depth",
        "_escaped",
        "_in_text",
        "_length",
        "_pieces",
        "_state",
        "broken",
        "closed",
        "complete",
        "open",
    )

    def __init__(self) -> None:
        self.closed: dict[str, Any] = {}
        self.open: str | None = None
        self.complete = False
        self.broken = False
        self._state = _BEFORE
        self._pieces: list[str] = []  # of the name or the value that is being read
        self._length = 0
        self._arrived = 0
        self._depth = 0  # brackets open inside of a value
        self._in_text = False
        self._escaped = False  # the last character was a backslash that belongs to the next

    def feed(self, piece: str) -> bool:
        """Read on; whether a member was decided, the object ended, or all of it became worthless."""
        self._length += len(piece)
        if self._in_text and not self._escaped and '"' not in piece and "\\" not in piece:
            self._pieces.append(piece)  # nearly every piece of a long text
            self._arrived += 1
            self.broken = self.broken or self._length > MAX_CHARACTERS
            return self.broken
        self._arrived += 1
        at, news = 0, False
        while at < len(piece) and not self.broken:
            if self._state in (_IN_NAME, _IN_VALUE):
                at, ended = self._read_on(piece, at)
            else:
                ended = self._step(piece[at])
                at += 1
            news = news or ended
        self.broken = self.broken or self._length > MAX_CHARACTERS
        return news or self.broken

    def value_so_far(self) -> str:
        """The text of the open member's value as far as it has arrived."""
        if self._state != _IN_VALUE:
            return ""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def pieces(self) -> int:
        """In how many pieces the open value has arrived so far."""
        return self._arrived if self._state == _IN_VALUE else 0

    @property
    def length(self) -> int:
        """How many characters have arrived, of the whole object."""
        return self._length

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has arrived yet, not even white space."""
        return not self._length

    def _step(self, sign: str) -> bool:
        """Read one character between names and values; whether that ended the object."""
        if sign in _SPACE:
            return False
        state = self._state
        if state == _BEFORE and sign == "{":
            self._state = _NAME
        elif sign == '"' and state == _NAME:
            self._begin(_IN_NAME, sign)
        elif sign == ":" and state == _COLON:
            self._state = _VALUE
        elif state == _VALUE and sign not in ",:}]":
            self._begin(_IN_VALUE, sign)
        elif sign == "," and state == _COMMA:
            self._state = _NAME
        elif sign == "}" and (state == _COMMA or (state == _NAME and not self.closed)):
            self._state, self.complete = _AFTER, True
            return True
        else:
            self.broken = True
        return False

    def _begin(self, state: int, sign: str) -> None:
        self._state, self._pieces, self._depth, self._arrived = state, [sign], int(sign in "{["), 0
        self._in_text, self._escaped = sign == '"', False

    def _read_on(self, piece: str, at: int) -> tuple[int, bool]:
        """Read on in a name or a value; where to go on, and whether it has ended."""
        if self._escaped:
            self._escaped = False
            self._pieces.append(piece[at])
            return at + 1, False
        found = (_IN_TEXT if self._in_text else _OUTSIDE).search(piece, at)
        if found is None:
            self._pieces.append(piece[at:])
            return len(piece), False
        end = found.end()
        sign = found.group()
        if not self._in_text and not self._depth and sign in ",}":  # it belongs to the object, not to the value
            self._pieces.append(piece[at : end - 1])
            return end - 1, self._close()
        self._pieces.append(piece[at:end])
        if sign == "\\":
            self._escaped = True
        elif sign == '"':
            self._in_text = not self._in_text
        else:
            self._depth += 1 if sign in "{[" else -1 if sign in "}]" else 0
        is_over = self._depth <= 0 and not self._in_text and sign in ('"', "]", "}")
        return end, is_over and self._close()

    def _close(self) -> bool:
        """A name or a value has ended; whether it was a value."""
        text, self._pieces, self._in_text = "".join(self._pieces), [], False
        try:
            value = json.loads(text, strict=False)  # as LangChain reads it in the end: line breaks, large numbers
        except (ValueError, RecursionError):
            self.broken = True
            return False
        if self._state == _IN_NAME:
            self.open, self._state = value, _COLON
            self.broken = self.broken or value in self.closed
            return False
        self.closed[str(self.open)] = value
        self.open, self._state = None, _COMMA
        return True
