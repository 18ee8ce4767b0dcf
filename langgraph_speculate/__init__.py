"""LangGraph agents that wait less: predicted tool calls run while the model is still generating.

Each name is imported when it is first asked for: to read a policy or recordings, or to be stopped while starting, takes
no agent framework, and importing one takes seconds.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langgraph_speculate.errors import (
        BadPatterns,
        MisplacedMiddleware,
        PolicyError,
        SpeculateError,
        UnsupportedGraph,
    )
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
_HOMES = {
    **dict.fromkeys(
        ("BadPatterns", "MisplacedMiddleware", "PolicyError", "SpeculateError", "UnsupportedGraph"), "errors"
    ),
    **dict.fromkeys(("speculate", "speculation_of"), "graph"),
    "current_speculation": "host.current",
    "SpeculationHandle": "host.handle",
    "from_server": "host.mcp",
    "fingerprint_of": "host.pins",
    "SpeculationMiddleware": "middleware",
    "LogLines": "observe.lines",
    "JsonLines": "observe.log",
    **dict.fromkeys(("Limits", "SpeculationPolicy", "ToolPolicy"), "policy"),
    "default_predictor": "predict",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
