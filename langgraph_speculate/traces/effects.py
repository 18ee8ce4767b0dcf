"""Reads told from writes in recordings, where no owner has declared anything.

A guess by the name, made for measuring only: what may really run ahead is said by a policy and by nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.traces.deeds import reads, words_of
from langgraph_speculate.traces.runs import Run

READING, WRITING = "reading", "writing"

_SQL_READS = re.compile(r"\s*(?:select|show|describe|desc|explain|with|pragma)\b", re.IGNORECASE)
_READERS = """awk basename cal cat cd cksum column comm cut date df diff dirname du echo egrep fgrep file find
 findmnt grep head hexdump hostname id less ls lsof md5sum more mount nl od pgrep printf ps pwd readlink realpath rev
 sed sha1sum sha256sum sort stat strings tac tail tr tree type uname uniq uptime wc which who whoami xxd zcat"""
_SHELL_READS = frozenset(_READERS.split())
_SHELL_SPLIT = re.compile(r"\|\||&&|[|;\n]")
_SHELL_WRITES = re.compile(
    r"(?<![0-9&])>|[0-9&]>(?!&|/dev/null)|`|\$\(|\s-(?:delete|exec|execdir|ok)\b|\bsed\s+(?:-\w*i|--in-place)|\bxargs\b"
)
_LONGEST = 256  # characters of a name: providers allow 64, and what is remembered must stay small
_SHELL_TOOLS = frozenset({"bash", "shell", "terminal", "run_command"})
_SQL_TOOLS = frozenset({"execute_sql", "sql", "run_sql", "run_sql_query", "sql_db_query"})


def is_read_only(call: Call) -> bool:
    """Judge a call by its tool's name, SQL by its verb, shell commands by every command of the line.

    >>> is_read_only(Call("bash", {"command": "ls | wc -l"})), is_read_only(Call("bash", {"command": "ls > files"}))
    (True, False)
    """
    if len(call.name) > _LONGEST:
        return False
    name, reading = _told_by(call.name)
    if name in _SQL_TOOLS:
        return any(isinstance(value, str) and _SQL_READS.match(value) is not None for value in call.args.values())
    if name in _SHELL_TOOLS:
        command = call.args.get("command")
        return isinstance(command, str) and _reads_only(command)
    return reading


@lru_cache(maxsize=1024)  # asked of every candidate of every message
def _told_by(name: str) -> tuple[str, bool]:
    """A tool's name in one spelling, and whether it says that the tool only reads."""
    return "_".join(words_of(name)), reads(name)


def told_apart(run: Run, names: Collection[str]) -> Run:
    """The same run with each of these tools made two, by what its calls do: `bash_reading` and `bash_writing`.

    A policy declares tools and not calls; where the call decides, only so can the two be told apart.

    >>> call = {"id": "c", "name": "bash", "args": {"command": "ls"}}
    >>> told_apart(Run("r", "t", [{"role": "assistant", "tool_calls": [call]}]), {"bash"}).events[0]["tool_calls"]
    [{'id': 'c', 'name': 'bash_reading', 'args': {'command': 'ls'}}]
    """
    return replace(run, events=[_renamed(event, names) for event in run.events]) if names else run


def _renamed(event: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    if not event.get("tool_calls"):
        return event
    calls = [
        {**call, "name": f"{call['name']}_{_effect(call)}"} if call["name"] in names else call
        for call in event["tool_calls"]
    ]
    return {**event, "tool_calls": calls}


def _effect(call: Mapping[str, Any]) -> str:
    return READING if is_read_only(Call(call["name"], call["args"])) else WRITING


def _reads_only(command: str) -> bool:
    if _SHELL_WRITES.search(command):
        return False
    stages = [stage.split() for stage in _SHELL_SPLIT.split(command)]
    return all(stage[0] in _SHELL_READS for stage in stages if stage) and any(stages)
