"""Tools of LangChain and the ToolNode of LangGraph: what a call puts into a body, and what it makes of the result."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, InjectedToolCallId
from langchain_core.tools.base import (
    _format_output,
    _get_runnable_config_param,
    _is_injected_arg_type,
    get_all_basemodel_annotations,
)
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import _get_all_injected_args

from langgraph_speculate.host.compat.graphs import parts_of

__all__ = [
    "RUN_MANAGER",
    "Injections",
    "ToolNode",
    "body_parameters",
    "body_slots",
    "clone_tool_node",
    "has_own_run",
    "has_steps_before_tools",
    "injected_arguments",
    "injections_of",
    "is_hosts",
    "own_ways",
    "set_class",
    "shown_content",
    "tool_call_wrappers",
    "tools_by_name",
]

RUN_MANAGER = "run_manager"
"""The parameter of a tool's body that its `run` fills with the callback manager of the call."""

_OWN_RUN = ("run", "arun")
_WAYS = ("invoke", "ainvoke", *_OWN_RUN)


def clone_tool_node(node: ToolNode, made: Callable[[BaseTool], BaseTool]) -> ToolNode:
    """A copy of a ToolNode that calls what is *made* of its tools; the original stays as it is.

    Tools that the original is given or loses later, the copy is given or loses, too.
    """
    clone = copy.copy(node)
    clone._tools_by_name = cast(dict[str, BaseTool], _Tools(node, made))
    clone.func, clone.afunc = clone._func, clone._afunc
    return clone


class _Tools(MutableMapping[str, BaseTool]):
    """What a ToolNode's copy looks its tools up in: the original's, each as another object."""

    def __init__(self, node: ToolNode, made: Callable[[BaseTool], BaseTool]) -> None:
        self._node = node
        self._made = made
        self._known: dict[str, tuple[BaseTool, BaseTool]] = {}
        list(self.values())  # what is made of a tool may change its class, and not in the midst of a run

    def __getitem__(self, name: str) -> BaseTool:
        tool = self._node._tools_by_name[name]
        known = self._known.get(name)
        if known is None or known[0] is not tool:
            known = self._known[name] = tool, self._made(tool)
        return known[1]

    def __setitem__(self, name: str, tool: BaseTool) -> None:
        self._node._tools_by_name[name] = tool

    def __delitem__(self, name: str) -> None:
        del self._node._tools_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._node._tools_by_name)

    def __len__(self) -> int:
        return len(self._node._tools_by_name)


def tools_by_name(node: ToolNode) -> dict[str, BaseTool]:
    """A ToolNode's tools."""
    return dict(node._tools_by_name)


def tool_call_wrappers(node: ToolNode) -> list[Callable[..., Any]]:
    """The functions around a ToolNode's calls."""
    return [wrapper for wrapper in (node._wrap_tool_call, node._awrap_tool_call) if wrapper is not None]


def has_steps_before_tools(bound: Any) -> bool:
    """Whether a node runs something else before a ToolNode in it."""
    steps = [step for step, _ in parts_of(bound)]
    return any(isinstance(step, ToolNode) for step in steps[1:])


@functools.lru_cache(maxsize=512)
def body_slots(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a tool's body that its `run` fills in, which are no arguments of the call."""
    slots = {RUN_MANAGER} & inspect.signature(function).parameters.keys()
    config_slot = _get_runnable_config_param(function)
    return frozenset(slots | ({config_slot} if config_slot else set()))


def body_parameters(
    tool: BaseTool, args: Mapping[str, Any], injected: Mapping[str, Any] | None = None, call_id: str | None = None
) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Raw arguments validated, coerced and defaulted as the tool's own `run` does it, with what the host *injected*.

    With *call_id*, for a tool that is handed the id of its call. The last that is returned is the copy of *args* that
    this was made of, and may be a part of.
    Raises whatever the tool's schema raises.
    """
    given = copy.deepcopy(dict(args))
    positional, named = tool._to_args_and_kwargs({**given, **(injected or {})}, call_id)
    return tuple(positional), dict(named), given


def injected_arguments(tool: BaseTool) -> frozenset[str]:
    """Names of arguments that the host supplies and the model never sees."""
    hidden = set(tool._injected_args_keys)
    full, shown = tool.get_input_schema(), tool.tool_call_schema
    if isinstance(shown, type) and not isinstance(tool.args_schema, dict):
        hidden |= set(_fields(full)) - set(_fields(shown))
    return frozenset(hidden)


class Injections(NamedTuple):
    """What the host injects: by argument the key of the state (None: all of it), and three arguments' names."""

    state: dict[str, str | None]
    store: str | None
    runtime: str | None
    call_id: str | None


def injections_of(tool: BaseTool) -> Injections:
    """What a ToolNode, or the tool itself, injects into a tool's arguments."""
    found = _get_all_injected_args(tool)
    return Injections(dict(found.state), found.store, found.runtime, _call_id_argument(tool))


def _call_id_argument(tool: BaseTool) -> str | None:
    """The argument that a tool's `run` fills with the id of the call."""
    schema = tool.get_input_schema()
    fields = get_all_basemodel_annotations(schema) if isinstance(schema, type) else {}
    marked = (name for name, kind in fields.items() if _is_injected_arg_type(kind, injected_type=InjectedToolCallId))
    bare = "tool_call_id" if "tool_call_id" in tool._injected_args_keys else None
    return next(marked, bare)


def shown_content(content: Any) -> Any:
    """What the message holds that a tool's run makes of *content*: a text, or blocks."""
    return getattr(_format_output(content, None, "", "", "success"), "content", None)


def _fields(model: Any) -> Sequence[str]:
    found = getattr(model, "model_fields", None)  # an empty one is an answer; pydantic warns of the other name
    return list(getattr(model, "__fields__", {}) if found is None else found)


def has_own_run(kind: type[BaseTool]) -> bool:
    """Whether a class of tools replaces `run` or `arun`, so that calls may never reach a body we could adopt in."""
    return any(getattr(kind, name) is not getattr(BaseTool, name) for name in _OWN_RUN)


def own_ways(kind: type[BaseTool]) -> list[str]:
    """Names of the methods that lead to the body of a class of tools, in LangChain, and may not in this class."""
    return [name for name in _WAYS if not is_hosts(getattr(kind, name))]


def is_hosts(thing: Any) -> bool:
    """Whether a class of tools, or a method of one, is LangChain's own."""
    return str(getattr(thing, "__module__", "")).startswith("langchain_core.tools.")


def set_class(thing: BaseTool | BaseChatModel, kind: type[BaseTool] | type[BaseChatModel]) -> None:
    """Change the class of a tool or a model in place, past pydantic's own setter."""
    object.__setattr__(thing, "__class__", kind)
