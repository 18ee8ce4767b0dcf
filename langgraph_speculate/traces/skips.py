"""What is left out of somebody's traces, and why: nothing is dropped without being counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NEEDS = "needs the package"
_EXAMPLES = 3  # kept for each reason, so that a file of nothing but bad lines costs no memory


@dataclass(frozen=True, slots=True)
class Skipped:
    """One line, or one file, that was left out; the rest is used.

    Attributes:
        path: The file.
        line: Counted from 1; 0 where the file as a whole was left out.
        reason: In a few words, the same for every line with that problem.
        detail: What exactly, or nothing.

    >>> str(Skipped("runs.jsonl", 7, "no JSON", "unexpected end of data"))
    'runs.jsonl:7: no JSON (unexpected end of data)'
    """

    path: str
    line: int
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason} ({self.detail})" if self.detail else f"{self.where}: {self.reason}"

    @property
    def where(self) -> str:
        """`path:line`, on one line whatever the path holds."""
        return f"{on_one_line(self.path)}:{self.line}" if self.line else on_one_line(self.path)

    @property
    def is_for_want_of_a_package(self) -> bool:
        """Whether it could be read if an optional package were installed; `detail` says how it is."""
        return self.reason.startswith(_NEEDS)


def missing(path: str, package: str, remedy: str) -> Skipped:
    """A whole source that only an optional *package* can read.

    >>> str(missing("runs.parquet", "duckdb", "pip install duckdb"))
    'runs.parquet: needs the package duckdb (pip install duckdb)'
    """
    return Skipped(path, 0, f"{_NEEDS} {package}", remedy)


class Malformed(Exception):
    """Input that is left out; never leaves this package, because whoever reads lines turns it into a `Skipped`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def at(self, path: str, line: int) -> Skipped:
        """The same as a record of what was left out where."""
        return Skipped(path, line, self.reason, self.detail)


class Skips:
    """Counts what was left out by reason, and keeps the first few of each. Give it to `read_runs` as *on_skip*.

    >>> skips = Skips()
    >>> skips(Skipped("runs.jsonl", 7, "no JSON"))
    >>> skips.count, dict(skips.reasons), list(skips.lines())
    (1, {'no JSON': 1}, ['1 skipped: no JSON, at runs.jsonl:7'])
    """

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, list[Skipped]] = {}

    def __call__(self, skipped: Skipped) -> None:
        """Count one."""
        self.reasons[skipped.reason] += 1
        examples = self.examples.setdefault(skipped.reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(skipped)

    @property
    def count(self) -> int:
        """How many lines and files were left out."""
        return self.reasons.total()

    @property
    def first(self) -> Skipped | None:
        """An example, if anything was left out: of what a missing package is needed for, where there is such."""
        examples = [found[0] for found in self.examples.values()]
        return next((one for one in examples if one.is_for_want_of_a_package), examples[0] if examples else None)

    def lines(self) -> Iterator[str]:
        """One line of text a reason, most frequent first, with the places of the first few."""
        for reason, count in self.reasons.most_common():
            places = ", ".join(_place(skipped) for skipped in self.examples[reason])
            yield f"{count} skipped: {reason}, at {places}{', …' if count > _EXAMPLES else ''}"

    def as_json(self) -> dict[str, Any]:
        """Counts by reason and the examples, as plain data."""
        examples = [
            {"path": skipped.path, "line": skipped.line, "reason": reason, "detail": skipped.detail}
            for reason, found in self.examples.items()
            for skipped in found
        ]
        return {"count": self.count, "by_reason": dict(self.reasons), "examples": examples}


def _place(skipped: Skipped) -> str:
    return f"{skipped.where} ({skipped.detail})" if skipped.detail else skipped.where


def on_one_line(text: str) -> str:
    """*text* with everything escaped that would move a terminal's cursor, at its full length.

    >>> on_one_line("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
