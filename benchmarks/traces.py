"""Recorded runs in neutral lines: reading them, splitting them by task, and telling reads from writes.

The recordings lie beside the project (`../shared/traces`) and are not part of it.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from langgraph_speculate.core import Call, History

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "traces"

_READS = re.compile(
    r"(?:get|find|list|search|calculate|think|read|view|open|fetch|look|lookup|query|show|describe|check|count|browse"
    r"|ls|grep|glob|cat)(?:_|$)"
    r"|.*_(?:search|fetch|lookup|read|list|get)$"
)
_SQL_READS = re.compile(r"\s*(?:select|show|describe|desc|explain|with|pragma)\b", re.IGNORECASE)
_READERS = """awk basename cal cat cd cksum column comm cut date df diff dirname du echo egrep fgrep file find
 findmnt grep head hexdump hostname id less ls lsof md5sum more mount nl od pgrep printf ps pwd readlink realpath rev
 sed sha1sum sha256sum sort stat strings tac tail tr tree type uname uniq uptime wc which who whoami xxd zcat"""
_SHELL_READS = frozenset(_READERS.split())
_SHELL_SPLIT = re.compile(r"\|\||&&|[|;\n]")
_SHELL_WRITES = re.compile(
    r"(?<![0-9&])>|[0-9&]>(?!&|/dev/null)|`|\$\(|\s-(?:delete|exec|execdir|ok)\b|\bsed\s+(?:-\w*i|--in-place)|\bxargs\b"
)
_SHELL_TOOLS = frozenset({"bash", "shell", "terminal", "run_command"})
_SQL_TOOLS = frozenset({"execute_sql", "sql", "run_sql"})


@dataclass(frozen=True)
class Run:
    """One recorded run: its id, the task it worked on, and its messages in neutral form."""

    id: str
    task: str
    events: Sequence[Mapping[str, Any]]

    def decisions(self) -> Iterator[tuple[History, list[Call]]]:
        """Every model call: what was known before it, and the calls that it then made (none: it answered)."""
        history = History()
        for index, event in enumerate(self.events):
            if event.get("role") != "assistant":
                continue
            history = History.from_messages(self.events[:index], history)
            calls = [
                Call(call["name"], call["args"])
                for call in event.get("tool_calls") or ()
                if isinstance(call.get("args"), dict)
            ]
            yield history, calls


def read(paths: Iterable[Path]) -> list[Run]:
    """Read the runs of trace files (`.jsonl` or `.jsonl.gz`).

    Raises:
        OSError: A file cannot be read.
        ValueError: A line is not a trace line.
    """
    runs = []
    for path in paths:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = orjson.loads(line)
                    runs.append(Run(str(record["id"]), str(record["task_id"]), record["events"]))
                except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                    raise ValueError(f"{path}, line {number}: not a trace line ({error})") from None
    return runs


def split(runs: Sequence[Run], seed: int, *, train: float = 0.7, by: str = "task") -> tuple[list[Run], list[Run]]:
    """Split runs into training and test parts; runs of one task stay together unless *by* is `"run"`."""
    names = sorted({run.task if by == "task" else run.id for run in runs})
    random.Random(seed).shuffle(names)
    chosen = set(names[: round(train * len(names))])
    inside = [run for run in runs if (run.task if by == "task" else run.id) in chosen]
    outside = [run for run in runs if (run.task if by == "task" else run.id) not in chosen]
    return inside, outside


def is_read_only(call: Call) -> bool:
    """Judge a call by its tool's name, SQL by its verb, shell commands by every command of the line.

    >>> is_read_only(Call("bash", {"command": "ls | wc -l"})), is_read_only(Call("bash", {"command": "ls > files"}))
    (True, False)
    """
    if call.name in _SQL_TOOLS:
        return any(isinstance(value, str) and _SQL_READS.match(value) is not None for value in call.args.values())
    if call.name in _SHELL_TOOLS:
        command = call.args.get("command")
        return isinstance(command, str) and _reads_only(command)
    return _READS.match(call.name) is not None


def _reads_only(command: str) -> bool:
    if _SHELL_WRITES.search(command):
        return False
    stages = [stage.split() for stage in _SHELL_SPLIT.split(command)]
    return all(stage[0] in _SHELL_READS for stage in stages if stage) and any(stages)
