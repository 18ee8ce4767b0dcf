"""What a call does, where its tool alone does not tell: a shell or a database is as many tools as it has commands.

`bash` with `cat notes.txt` goes on differently from `bash` with `ls`, and what they return is of another kind.
"""

from __future__ import annotations

import re
from functools import lru_cache

from langgraph_speculate.core.calls import Call

_COMMANDS = ("command", "cmd")
_QUERIES = ("query", "sql")
_SHELL = re.compile(r"\s*([a-z][\w.-]{0,15})(?=\s|$)")
_SQL = re.compile(r"\s*(select|show|desc|describe|explain|with|pragma|insert|update|delete)\b", re.IGNORECASE)


def verb(call: Call) -> str:
    """The tool's name, with the first word of the command where it runs one.

    >>> verb(Call("bash", {"command": "ls -l"})), verb(Call("search", {"query": "ls"}))
    ('bash ls', 'search')
    """
    args = call.args
    for names, pattern in ((_COMMANDS, _SHELL), (_QUERIES, _SQL)):
        for name in names:
            text = args.get(name)
            if type(text) is str:
                word = _first(pattern, text[:80])
                return f"{call.name} {word}" if word else call.name
    return call.name


@lru_cache(maxsize=4096)
def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text)
    return match[1].lower() if match else ""


@lru_cache(maxsize=4096)
def words_of(signature: str) -> tuple[tuple[str, str], ...]:
    """The commands in an event's signature, each with its tool: they are words out of payloads.

    A `0` at the end may be a mark or the command's own, so both readings are words.

    >>> words_of("find+bash cat!")
    (('bash', 'cat'),)
    """
    found = []
    for part in signature.split("+"):
        tool, _, word = part.rstrip("!?").partition(" ")
        if word:
            found += [(tool, word), (tool, word[:-1])] if word.endswith("0") else [(tool, word)]
    return tuple(found)
