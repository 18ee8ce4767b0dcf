"""How much is remembered of what tools answered: results within a number of bytes, those used last."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

from langgraph_speculate.core.memory import Kept, Memory
from langgraph_speculate.policy import Limits

_HABITS = 4096  # of tools, those used last
_RESULTS = 65_536  # that are remembered at most, however small


def bounded_memory(limits: Limits) -> Memory:
    """Where results of tools are remembered for previews."""
    least = limits.max_memory_bytes / _RESULTS
    kept: LRUCache[Any, Kept] = LRUCache(limits.max_memory_bytes, getsizeof=lambda kept: max(kept.size, least))
    return Memory(kept, LRUCache(_HABITS), min(limits.max_result_bytes, limits.max_memory_bytes))
