"""A tool that computes: what it needs is in its arguments, so any process can run it."""

from __future__ import annotations

import os
from collections import Counter

from langchain_core.tools import tool

TEXT_WORDS = 3_000
ROUNDS = 40


def text_of(chapter: int) -> list[str]:
    """The words of a chapter, made up."""
    return [f"w{(chapter * 7919 + place * place) % 97}" for place in range(TEXT_WORDS)]


@tool
def count_words(chapter: int) -> dict[str, object]:
    """Count the words of a chapter."""
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        counts.update(text_of(chapter))
    return {"chapter": chapter, "most": counts.most_common(1)[0][0], "process": os.getpid()}
