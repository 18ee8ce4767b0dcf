"""The command line: `langgraph-speculate COMMAND`, the same as `python -m langgraph_speculate COMMAND`.

Each command is a module of its name, registered by being imported here. Figures and tables go to standard output,
progress and errors to standard error. Exit code 0 is success, 1 that a command found what it is there to find
(transcripts that differ, say, or a broken promise), 2 bad input or a missing extra: one line says which, but for the
mistakes in a policy, which have a line each.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn

from langgraph_speculate.cli.app import app, fail

# isort: split
# All else comes second: it is the app that says which extra is missing.
import typer

from langgraph_speculate.cli import audit, convert, demo, doctor, evaluate, mine, replay, report, show, tail
from langgraph_speculate.errors import PolicyError, SpeculateError

__all__ = ["audit", "convert", "demo", "doctor", "evaluate", "main", "mine", "replay", "report", "show", "tail"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, with *arguments* instead of the process's; the entry point of the installed script."""
    _print_whatever_comes()
    try:
        code = app(arguments, standalone_mode=False)
    except typer.Abort:
        raise SystemExit(1) from None
    except PolicyError as error:
        fail(*str(error).splitlines())
    except (typer.TyperException, SpeculateError) as error:
        fail(error.format_message() if isinstance(error, typer.TyperException) else str(error))
    raise SystemExit(code or 0)


def _print_whatever_comes() -> None:
    """Where a terminal or a pipe is not in UTF-8, a character that it lacks is a question mark and not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
