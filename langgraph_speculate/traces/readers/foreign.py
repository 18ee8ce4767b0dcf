"""Files that nothing here reads: what they are, as far as that can be told, and what to do with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from langgraph_speculate.traces.lines import Limits, lines
from langgraph_speculate.traces.skips import Skipped

_LOOKED_AT = 20
_TRAJECTORY = b'"trajectory"'  # of SWE-agent and its kin
_UNKNOWN = "no known kind of recording"
_TURNS = ("user", "assistant", "system", "summary")


def foreign(path: str, records: Sequence[Any], limits: Limits, known: Iterable[str]) -> Skipped | None:
    """Why a file as a whole cannot be read; None where its lines should be told one by one.

    Args:
        path: The file; nothing of it looks like one of the formats that are read.
        records: Those of its first lines that are JSON.
        limits: How much it may ask for.
        known: Names of the formats that are read.
    """
    first = list(_first_lines(path, limits))
    if any(_is_turn(record) for record in records):
        return Skipped(
            path, 0, _UNKNOWN, "it looks like a transcript of Claude Code: docs/traces.md has what makes one"
        )
    if any(_TRAJECTORY in line for line in first):
        return Skipped(path, 0, _UNKNOWN, f"known: {', '.join(known)}; docs/traces.md describes neutral lines")
    if first[1:] and first[0].strip() in (b"[", b"{", b"[{"):
        way = "." if first[0].lstrip()[:1] == b"{" else "'.[]'"
        return Skipped(path, 0, "JSON over several lines", f"jq -c {way} FILE > FILE.jsonl makes a line of each record")
    return None


def _first_lines(path: str, limits: Limits) -> Iterator[bytes]:
    for found in islice(lines(path, limits), _LOOKED_AT):
        yield b"?" if isinstance(found, Skipped) else found[1]


def _is_turn(record: Any) -> bool:
    """Whether it is a line of Claude Code's transcripts: a message within what is known about it."""
    return isinstance(record, Mapping) and record.get("type") in _TURNS and "sessionId" in record
