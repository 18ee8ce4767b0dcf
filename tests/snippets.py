"""What stands in the fenced blocks of a page of the documentation, and doing what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

POLICY_FILE = "speculate.toml"  # what the snippets of a page call their policy file
_WALK_PAGE = Path(__file__).parent.parent / "docs" / "observability.md"
_WALK = "From a hit to a denial to a better policy"
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
_NO_RUN = re.compile(r"<!-- no-run:(?P<reason>.*?)-->\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One fenced block: its language, its text, the heading and the line it starts at, why it is not run."""

    language: str
    text: str
    heading: str
    line: int
    no_run: str | None


def snippets(page: Path) -> Iterator[Snippet]:
    """The fenced blocks of a page, in its order."""
    content = page.read_text("utf-8")
    headings = [(found.start(), found["text"]) for found in HEADING.finditer(_blanked(content))]
    for fence in _FENCE.finditer(content):
        indent = len(fence["indent"])
        body = "".join(line[indent:] if line.strip() else line for line in fence["body"].splitlines(keepends=True))
        excuse = _NO_RUN.search(content, 0, fence.start())
        yield Snippet(
            fence["info"].strip().split(" ")[0],
            body,
            [text for start, text in headings if start < fence.start()][-1],
            content.count("\n", 0, fence.start()) + 2,
            excuse["reason"].strip() if excuse else None,
        )


def is_policy(text: str) -> bool:
    """Whether a TOML block is a policy."""
    return "[tools." in text or re.search(r"^level\b", text, re.MULTILINE) is not None


def without_code(page: Path) -> str:
    """A page without its fenced blocks, with its lines where they were."""
    return _blanked(page.read_text("utf-8"))


def _blanked(content: str) -> str:
    return _FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), content)


def follow_the_walk(folder: Path, *options: str) -> None:
    """Do what the walk-through of `observability.md` says: add its policies to the policy file, run its commands.

    Args:
        folder: Where a reader would be; empty.
        options: Added to each command, such as what makes it faster.

    Raises:
        CalledProcessError: A command failed.
    """
    environment = {key: value for key, value in os.environ.items() if key != "LANGGRAPH_SPECULATE"}
    for snippet in snippets(_WALK_PAGE):
        if snippet.heading != _WALK:
            continue
        if snippet.language == "toml":
            with (folder / POLICY_FILE).open("a", encoding="utf-8") as policy:
                policy.write(f"\n{snippet.text}")
        else:
            program, *arguments = shlex.split(snippet.text)
            assert program == "langgraph-speculate"
            command = [sys.executable, "-m", "langgraph_speculate", *arguments, *options]
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)
