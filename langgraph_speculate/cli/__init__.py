"""The command line: `langgraph-speculate COMMAND`, the same as `python -m langgraph_speculate COMMAND`.

Figures and tables go to standard output, progress and errors to standard error. Exit code 0 is success, 1 that a
command found what it is there to find (transcripts that differ, say, or a broken promise), 2 bad input or a missing
extra: one line says which, but for the mistakes in a policy, which have a line each. 130 is what shells expect of a
command that Ctrl-C has ended: it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, with *arguments* instead of the process's; the entry point of the installed script."""
    try:
        # What commands need takes seconds to import, and Ctrl-C may come then, too.
        from langgraph_speculate.cli.commands import run

        code = run(arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    raise SystemExit(code)
