"""Recorded runs: read from files that nobody vouches for, learned from, measured for what can be predicted."""

from langgraph_speculate.traces.convert import Converted, convert
from langgraph_speculate.traces.effects import is_read_only
from langgraph_speculate.traces.lines import Limits
from langgraph_speculate.traces.mine import Mined, mine
from langgraph_speculate.traces.reader import read_runs
from langgraph_speculate.traces.runs import Run, split
from langgraph_speculate.traces.skips import Skipped, Skips

__all__ = [
    "Converted",
    "Limits",
    "Mined",
    "Run",
    "Skipped",
    "Skips",
    "convert",
    "is_read_only",
    "mine",
    "read_runs",
    "split",
]
