"""Where patterns are kept: a SQLite file, or a LangGraph `BaseStore` that replicas share."""

from langgraph_speculate.patterns.shared import SharedPatterns
from langgraph_speculate.patterns.sqlite import SqlitePatterns
from langgraph_speculate.patterns.store import PatternSource, PatternStore, open_patterns

__all__ = ["PatternSource", "PatternStore", "SharedPatterns", "SqlitePatterns", "open_patterns"]
