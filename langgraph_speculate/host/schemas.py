"""Which tools' schemas run code of their owners: only what does has to look at guesses off the record.

Whatever is not known to be plain counts as code.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import BaseModel

from langgraph_speculate.host.compat.tools import is_hosts
from langgraph_speculate.host.kinds import own_kind

_PLAIN = frozenset(
    {"any", "bool", "bytes", "date", "datetime", "decimal", "default", "definition-ref", "definitions", "dict"}
    | {"float", "frozenset", "int", "list", "literal", "model", "model-field", "model-fields", "none", "nullable"}
    | {"set", "str", "time", "timedelta", "tuple", "typed-dict", "typed-dict-field", "union", "uuid"}
)
"""Types of pydantic's core schema that are read by pydantic alone."""

_CODE = (FunctionType, classmethod, staticmethod, property)
_TOLD_ONLY = frozenset({"cls", "metadata", "serialization", "ref", "config"})  # no part in reading a value
_ATOMS = (str, int, float, bool, type(None))


def runs_code(tool: BaseTool) -> bool:
    """Whether reading the arguments of a call may run code of the tool's owner: a validator, a factory, a constructor.

    >>> from langchain_core.tools import tool
    >>> @tool
    ... def look_up(id: int, fields: list[str] | None = None) -> str:
    ...     "Look something up."
    ...     return str(id)
    >>> runs_code(look_up)
    False
    """
    if not is_hosts(own_kind(tool)):
        return True
    schema = tool.args_schema
    if isinstance(schema, dict):  # a JSON schema is shown to models, and checked by nobody here
        return False
    if not (type(schema) is type(BaseModel) and issubclass(schema, BaseModel)):
        return True
    return not (_is_data(schema) and _is_plain(schema.__pydantic_core_schema__))


def _is_data(kind: type) -> bool:
    """Whether a model's class is made of fields and nothing else."""
    own = kind.__mro__[: kind.__mro__.index(BaseModel)]
    return not any(isinstance(value, _CODE) for one in own for value in vars(one).values())


def _is_plain(part: Any) -> bool:
    """Whether pydantic reads this part of a core schema by itself."""
    if isinstance(part, dict):
        kind = part.get("type")
        if isinstance(kind, str) and not _is_plain_node(kind, part):
            return False
        return all(_is_plain(value) for name, value in part.items() if name not in _TOLD_ONLY and name != "default")
    if isinstance(part, (list, tuple)):
        return all(map(_is_plain, part))
    return isinstance(part, _ATOMS)


def _is_plain_node(kind: str, node: dict[str, Any]) -> bool:
    if kind not in _PLAIN or node.get("custom_init") or node.get("post_init"):
        return False
    if kind == "model" and not _is_data(node["cls"]):
        return False
    default = node.get("default")  # which is copied, by its own code where it has some
    return isinstance(default, _ATOMS) or (isinstance(default, (list, dict, tuple)) and not default)
