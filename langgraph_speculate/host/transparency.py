"""What stands around tool calls or after the model, and whether a call may run ahead of it.

Middleware may forbid a call or rewrite it. A body that ran ahead has overtaken that, so nothing runs ahead past
middleware unless it is known to leave calls alone, says so (`speculation_transparent`), or its owner does
(`transparent` in the policy).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    PIIMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
)

from langgraph_speculate.host.compat.tools import ToolNode, tool_call_wrappers
from langgraph_speculate.host.reach import bound_values

# Exact classes: a subclass may do anything. Approvals and limits are here because they say themselves what they stop.
_AROUND_CALLS = frozenset({HumanInTheLoopMiddleware, ToolErrorMiddleware, ToolRetryMiddleware})
_AFTER_MODEL = frozenset(
    {HumanInTheLoopMiddleware, ModelCallLimitMiddleware, TodoListMiddleware, ToolCallLimitMiddleware}
)
_ELSEWHERE = frozenset(  # by name: these packages need not be installed
    {
        "deepagents.middleware.filesystem.FilesystemMiddleware",  # stops parallel writes; moves large results away
        "deepagents.middleware.skills.SkillsMiddleware",  # adds tools it has itself
        "deepagents.middleware.async_subagents.AsyncSubAgentMiddleware",  # acts after answers only
    }
)
_COMPOSING = "langchain.agents.factory"
_ALL = "__all__"  # what ToolCallLimitMiddleware counts all tools under
_AFTER_MODEL_HOOKS = ("after_model", "aafter_model")


@dataclass(frozen=True, slots=True)
class CallLimit:
    """A limit on real tool calls that LangChain keeps.

    Attributes:
        tool: The tool it is for; None is for all together.
        per_run, per_thread: Most calls, or None.
    """

    tool: str | None
    per_run: int | None
    per_thread: int | None

    def rooms(self, state: Mapping[str, Any]) -> list[int]:
        """How many more calls it leaves, as the graph's *state* counts them."""
        counted = ((self.per_run, "run_tool_call_count"), (self.per_thread, "thread_tool_call_count"))
        return [
            most - int((state.get(channel) or {}).get(self.tool or _ALL, 0))
            for most, channel in counted
            if most is not None
        ]


def is_transparent(one: Any, known: frozenset[type], named: Collection[str]) -> bool:
    """Whether a middleware, or a function around tool calls, is known to leave calls alone."""
    name = _name(one)
    kind = type(one)
    if name in named or getattr(one, "speculation_transparent", False) is True:
        return True
    return kind in known or f"{kind.__module__}.{kind.__qualname__}" in _ELSEWHERE


def overrides(kind: type, hooks: Iterable[str]) -> bool:
    """Whether a kind of middleware has any of these hooks."""
    return any(getattr(kind, hook, None) is not getattr(AgentMiddleware, hook) for hook in hooks)


def opaque_around(middleware: Iterable[Any], named: Collection[str]) -> str | None:
    """Why what stands around tool calls keeps them from running ahead, or None if it leaves them alone."""
    names = [_name(one) for one in middleware if not is_transparent(one, _AROUND_CALLS, named)]
    if not names:
        return None
    return f"{names} may forbid or change tool calls: name it in transparent if it lets all through as they are"


def is_opaque_after_model(one: Any, named: Collection[str]) -> bool:
    """Whether a middleware may drop or change what the model asked for."""
    if not overrides(type(one), _AFTER_MODEL_HOOKS):
        return False
    if type(one) is PIIMiddleware:
        return bool(one.apply_to_output and one.strategy == "block")
    return not is_transparent(one, _AFTER_MODEL, named)


def around_calls(node: ToolNode) -> list[Any]:
    """The middleware, or bare functions, that stand around the calls of a ToolNode, each once."""
    found = {id(one): one for function in tool_call_wrappers(node) for one in _wrapping(function)}
    if type(node) is not ToolNode:  # it may decide about calls by itself
        found[id(node)] = node
    return list(found.values())


def _wrapping(function: Any) -> Iterator[Any]:
    owner = function.__self__ if isinstance(function, MethodType) else None
    wrapped = getattr(function, "__wrapped__", None)
    if isinstance(owner, AgentMiddleware):
        yield owner
    elif wrapped is not None:  # traced
        yield from _wrapping(wrapped)
    elif getattr(function, "__module__", None) == _COMPOSING:
        for inner in bound_values(function):
            if callable(inner):
                yield from _wrapping(inner)
    else:
        yield function


def limits_among(middleware: Iterable[Any]) -> list[CallLimit]:
    """The limits on tool calls that these keep."""
    return [
        CallLimit(one.tool_name, one.run_limit, one.thread_limit)
        for one in middleware
        if isinstance(one, ToolCallLimitMiddleware)
    ]


def _name(one: Any) -> str:
    return str(getattr(one, "__name__", None) or type(one).__name__)
