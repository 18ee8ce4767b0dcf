"""Whether a tool is still the one that was approved.

Two looks, of two prices. `fingerprint_of` is compared with the `pin` of a tool's entry once, when its graph is wrapped.
A `Pin` is what the tool was at that moment; it is compared with what the tool is now whenever a run opens: its code,
which was looked at then, and what it says of itself, if anything rests on that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_speculate.policy import Rule
from langgraph_speculate.policy.annotations import annotations_of, canonical, fingerprint

_CODE = {"func": "function", "coroutine": "coroutine", "args_schema": "arguments", "return_direct": "return_direct"}
_PARTS = ("name", "description", "arguments", "annotations", "metadata")


def fingerprint_of(tool: BaseTool) -> str:
    """Return the fingerprint of a tool as it is now, for the `pin` of its entry in a policy.

    It changes with the tool's name, description, argument schema, annotations and server, and possibly with the library
    that writes the schema of a Python function; not with the tool's code.

    Raises:
        TypeError, ValueError, RecursionError: The tool's arguments cannot be told as JSON.

    >>> from langchain_core.tools import StructuredTool
    >>> schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
    >>> get_order = StructuredTool(name="get_order", description="Orders.", args_schema=schema, func=lambda id: "sent")
    >>> fingerprint_of(get_order)[:19]
    'sha256:31283ea38c41'
    """
    return fingerprint(tool.name, tool.description, _json_schema(tool), annotations_of(tool.metadata))


def held_to_pin(tool: BaseTool, rule: Rule) -> tuple[Rule, str | None]:
    """Return the rule, if it speaks of *tool* as it is; else none, and how the tool differs from its pin."""
    pin = rule.tool.pin if rule.tool is not None else None
    if pin is None:
        return rule, None
    try:
        found = fingerprint_of(tool)
    except Exception as error:  # noqa: BLE001 - a schema is somebody else's code
        return withdrawn(rule), f"{rule.origin} has a pin, and its fingerprint cannot be taken ({type(error).__name__})"
    return (rule, None) if found == pin else (withdrawn(rule), f"its fingerprint is {found}, {rule.origin} pins {pin}")


def withdrawn(rule: Rule) -> Rule:
    """The rule for a tool that is not the one it spoke of: nobody declared this one, so it counts as writing."""
    return Rule(None, rule.origin)


@dataclass(frozen=True, slots=True, eq=False)
class Pin:
    """A tool, and what it was.

    Attributes:
        tool: The tool.
        code: What was looked at to tell what it needs.
        rests: Whether its rule rests on what it says about itself, or on a fingerprint.
        was: If so, its parts when it was looked at, or None if they could not be told.
    """

    tool: BaseTool
    code: tuple[Any, ...]
    rests: bool
    was: tuple[Any, ...] | None

    @classmethod
    def of(cls, tool: BaseTool, rule: Rule) -> Pin | None:
        """Pin a tool down as it is now, if anybody declared it."""
        if rule.tool is None:
            return None
        rests = rule.needs == "annotated" or rule.tool.pin is not None
        return cls(tool, _code(tool), rests, _parts(tool) if rests else None)

    def difference(self) -> str | None:
        """How the tool differs from what it was, in words, or None."""
        changed = [
            part for part, was, now in zip(_CODE.values(), self.code, _code(self.tool), strict=True) if was is not now
        ]
        return _told(changed) or (self._difference_in_parts() if self.rests else None)

    def _difference_in_parts(self) -> str | None:
        now = _parts(self.tool)
        if now is None or self.was is None:
            return "what it is cannot be compared with what it was"
        try:
            changed = [part for part, before, after in zip(_PARTS, self.was, now, strict=True) if before != after]
        except Exception:  # noqa: BLE001 - values in metadata are anybody's
            changed = ["metadata"]
        return _told(changed)


def _told(changed: list[str]) -> str | None:
    return f"its {changed[0]} changed since the graph was wrapped; wrap it again" if changed else None


def _code(tool: BaseTool) -> tuple[Any, ...]:
    return tuple(getattr(tool, name, None) for name in _CODE)


def _parts(tool: BaseTool) -> tuple[Any, ...] | None:
    """What decides about a tool, as values that later changes in place do not reach."""
    try:
        # A schema out of a server is a dict that can be changed in place; a class stands for itself.
        schema = canonical(tool.args_schema) if isinstance(tool.args_schema, Mapping) else tool.args_schema
        return tool.name, tool.description, schema, annotations_of(tool.metadata), dict(tool.metadata or {})
    except Exception:  # noqa: BLE001 - too deep, or no JSON
        return None


def _json_schema(tool: BaseTool) -> Any:
    if isinstance(tool.args_schema, Mapping):
        return tool.args_schema
    return convert_to_openai_tool(tool)["function"]  # as the model sees it, so without what the host injects
