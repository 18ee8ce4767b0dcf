"""LangGraph agents that wait less: predicted tool calls run while the model is still generating."""

from importlib.metadata import PackageNotFoundError, version

from langgraph_speculate.errors import BadPatterns, MisplacedMiddleware, PolicyError, SpeculateError, UnsupportedGraph
from langgraph_speculate.graph import speculate, speculation_of
from langgraph_speculate.host.current import current_speculation
from langgraph_speculate.host.handle import SpeculationHandle
from langgraph_speculate.host.mcp import from_server
from langgraph_speculate.host.pins import fingerprint_of
from langgraph_speculate.middleware import SpeculationMiddleware
from langgraph_speculate.observe.lines import LogLines
from langgraph_speculate.observe.log import JsonLines
from langgraph_speculate.policy import Limits, SpeculationPolicy, ToolPolicy
from langgraph_speculate.predict import default_predictor

try:
    __version__ = version("langgraph-speculate")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"

__all__ = [
    "BadPatterns",
    "JsonLines",
    "Limits",
    "LogLines",
    "MisplacedMiddleware",
    "PolicyError",
    "SpeculateError",
    "SpeculationHandle",
    "SpeculationMiddleware",
    "SpeculationPolicy",
    "ToolPolicy",
    "UnsupportedGraph",
    "current_speculation",
    "default_predictor",
    "fingerprint_of",
    "from_server",
    "speculate",
    "speculation_of",
]
