"""Runs a command, and says what is wrong. Each command is a module of its name, registered by being imported here."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from langgraph_speculate.cli.app import app, fail

# isort: split
# All else comes second: it is the app that says which extra is missing.
import typer

from langgraph_speculate.cli import audit, convert, demo, doctor, evaluate, mine, replay, report, show, tail
from langgraph_speculate.errors import PolicyError, SpeculateError

__all__ = ["audit", "convert", "demo", "doctor", "evaluate", "mine", "replay", "report", "run", "show", "tail"]


def run(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code.

    Raises:
        KeyboardInterrupt: It was told to stop.
        SystemExit: It cannot be run; that has been said.
    """
    _print_whatever_comes()
    try:
        return app(arguments, standalone_mode=False) or 0
    except typer.Abort as aborted:
        if isinstance(aborted.__context__, KeyboardInterrupt):  # which the framework takes for the end of the input
            raise KeyboardInterrupt from None
        return 1
    except PolicyError as error:
        fail(*str(error).splitlines())
    except (typer.TyperException, SpeculateError) as error:
        fail(error.format_message() if isinstance(error, typer.TyperException) else str(error))


def _print_whatever_comes() -> None:
    """Where a terminal or a pipe is not in UTF-8, a character that it lacks is a question mark and not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
