"""Recorded runs from wherever people have them: each module reads one source and turns it into neutral runs."""

from langgraph_speculate.traces.readers.sources import SOURCES, runs_in

__all__ = ["SOURCES", "runs_in"]
