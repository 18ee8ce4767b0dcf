"""The tokens of one model call, whoever counted them, as LangChain's `usage_metadata` says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langgraph_speculate.traces.readers.messages import Event


def counted(said: Event | None, read: Any, written: Any, cached: Any = None) -> Event | None:
    """What a model said, with the tokens of it, where they were counted and it does not say so itself.

    Args:
        said: The event.
        read: Tokens of the whole input.
        written: Those of the output.
        cached: Those of the input that the provider had in its cache.

    >>> counted({"role": "assistant"}, 900, "20", 512)["usage_metadata"]
    {'input_tokens': 900, 'output_tokens': 20, 'total_tokens': 920, 'input_token_details': {'cache_read': 512}}
    """
    taken, made, kept = _tokens(read), _tokens(written), _tokens(cached)
    if said is None or not taken or said.get("usage_metadata"):
        return said
    usage: dict[str, Any] = {"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made}
    if kept:
        usage["input_token_details"] = {"cache_read": kept}
    return {**said, "usage_metadata": usage}


def summed(counts: Any, word: str, *more: str) -> int:
    """The sum of all counts whose names have these words in them, as Langfuse adds its kinds of usage up.

    >>> summed({"input": 100, "input_cache_read": 50, "output": 7, "total": 157}, "input")
    150
    """
    if not isinstance(counts, Mapping):
        return 0
    words = (word, *more)
    return sum(_tokens(count) for name, count in counts.items() if all(one in str(name).lower() for one in words))


def first(counts: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of several names that is there."""
    return next((counts[name] for name in names if counts.get(name) is not None), None)


def _tokens(count: Any) -> int:
    """A count of tokens; 0 for what is none."""
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 16:
        count = int(count)
    return count if type(count) is int and 0 < count < 1 << 53 else 0
