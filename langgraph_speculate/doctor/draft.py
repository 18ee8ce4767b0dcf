"""A first `speculate.toml` for a graph: every tool with what was found out about it, and nothing enabled unasked."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from langgraph_speculate.doctor.tools import ToolFinding
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy.annotations import Annotations
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report.remedies import advice

_DESCRIPTION = 90  # characters of it that are shown


def draft(tools: Sequence[ToolFinding], confirmed: Collection[str] = (), place: str = "") -> str:
    """The text of a policy file.

    Args:
        tools: What is known about each tool.
        confirmed: Names of the tools whose owner has said that they only read; no other is enabled.
        place: Where the graph is written down.
    """
    heading = [
        f"# Which tools of {printable(place, 200)} may run ahead of the model.",
        "# A tool that you know to change nothing: take the # away from its two lines. What is not declared never runs",
        "# ahead. docs/policy.md has all settings.",
        'level = "declared"                  # "shadow": predict and score, run nothing',
    ]
    entries = ["\n".join(_entry(tool, tool.name in confirmed)) for tool in tools]
    return "\n\n".join(["\n".join(heading), *entries]) + "\n"


def check_free(path: Path, *, force: bool = False) -> None:
    """Check that nobody's file would be overwritten unasked.

    Raises:
        PolicyError: There is one, and *force* is not given.
    """
    if path.exists() and not force:
        raise PolicyError(f"{path}: is there already and stays as it is; --force overwrites it")


def write(path: Path, text: str) -> None:
    """Write a policy file.

    Raises:
        PolicyError: It cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise PolicyError(f"{path}: cannot be written: {error.strerror}") from None


def facts(tool: ToolFinding) -> Iterator[str]:
    """What is known about a tool, a line each."""
    arguments = ", ".join(f"{printable(name)}: {printable(kind)}" for name, kind in tool.arguments.items())
    yield f"{printable(tool.name)}({arguments}): {printable(tool.description, _DESCRIPTION)}"
    if tool.said is not None:
        yield _annotated(tool.said)
    if tool.policy is not None and tool.policy.read_only:
        yield f"declared already: {tool.verdict.origin}; an entry here takes its place"
    yield f"{tool.looks}"
    if not tool.once_declared.allowed:
        begins = "declared, it starts late" if tool.gains else "would not run ahead all the same"
        yield f"{begins}: {'; '.join(filter(None, advice(tool.once_declared.reason, tool.once_declared.detail)))}"


def _entry(tool: ToolFinding, confirmed: bool) -> Iterator[str]:
    yield from (f"# {line}" for line in facts(tool))
    settings = [f"[tools.{_key(tool.name)}]", "read_only = true"]
    if tool.looks.kind == "writes" and not confirmed:
        settings[1] = 'writes = ["*"]                      # everything, as if it were not declared; narrower is better'
    if tool.looks.kind == "leaves":
        settings.append('open_world = true                   # it waits for level "open_world" and disclosure')
    yield from (line if confirmed else f"# {line}" for line in settings)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _annotated(said: Annotations) -> str:
    hints = {
        "readOnlyHint": said.read_only,
        "destructiveHint": said.destructive,
        "idempotentHint": said.idempotent,
        "openWorldHint": said.open_world,
    }
    told = ", ".join(f"{name} = {str(value).lower()}" for name, value in hints.items() if value is not None)
    server = "its server" if said.server is None else f"server {printable(said.server)}"
    return f"{server} says {told}" if told else f"{server} says nothing about its effects"
