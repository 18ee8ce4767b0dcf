"""Files that commands write, and what they say of those that they read."""

from __future__ import annotations

from pathlib import Path

import typer

from langgraph_speculate.cli.app import fail


def check_folder(path: Path | None) -> None:
    """End the command before it does any work if there is no folder for what it is to write."""
    if path is not None and not path.parent.is_dir():
        fail(f"{path}: there is no folder to write the report to")


def check_patterns(path: Path) -> None:
    """End the command if there is no store of patterns to read."""
    if path.is_dir():
        fail(f"{path}: is a folder; name the file in it that mine, or a graph, has written")
    if not path.is_file():
        fail(f"{path}: there is no such file; langgraph-speculate mine TRACES -o {path} makes one")


def write(path: Path, text: str) -> None:
    """Write a file, or end the command with the reason why that cannot be."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{path}: the report cannot be written: {error.strerror}")


def tell_cut(lines: int) -> None:
    """Say on standard error how many lines of logs were left out, if any."""
    from langgraph_speculate.report.words import count

    if lines:
        typer.echo(f"left out: {count(lines, 'line')} without an end, whose writer was killed", err=True)
