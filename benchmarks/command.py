"""What the command lines of measurements in rounds have in common."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any


def rounds_parser(name: str, description: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser for `python -m benchmarks.<name>` that knows how many rounds to measure, and how to show them."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    told = f"measured rounds, after one to warm up (default {rounds})"
    parser.add_argument("--rounds", type=number, default=rounds, help=told)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def show(report: Any, table: Callable[[Any], Iterable[str]], *, as_json: bool) -> None:
    """Print a report, for machines or for people."""
    print(json.dumps(report) if as_json else "\n".join(table(report)))


def number(text: str) -> int:
    return max(int(text), 1)
