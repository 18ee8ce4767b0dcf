"""What an MCP server says about a tool, and when that is enough to run the tool ahead.

Annotations are hints, not to be acted on unless they come from trusted servers, and what is unset counts as the worst
(MCP specification, *Tool annotations*). Adapters copy them into a tool's metadata in two shapes, told apart by their
keys so that neither adapter has to be imported. Which servers are trusted is for the policy to say (`rules.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SERVER_KEY = "langgraph_speculate.server"

# Hints as they stand flat in the metadata (langchain-mcp-adapters; None for unset), and nested under `mcp` (langchain's
# own adapter; unset ones left out).
_FLAT = {
    "readOnlyHint": "read_only",
    "destructiveHint": "destructive",
    "idempotentHint": "idempotent",
    "openWorldHint": "open_world",
}
_NESTED = {
    "read_only_hint": "read_only",
    "destructive_hint": "destructive",
    "idempotent_hint": "idempotent",
    "open_world_hint": "open_world",
}


class ServerName(str):
    """The name that the graph's owner gave to an MCP server.

    Its type is the signature: whatever a server sends is parsed from JSON, which makes plain text and never this.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Annotations:
    """What an MCP server says about a tool.

    Attributes:
        read_only: `readOnlyHint`; None, here and below, when it is unset or no boolean. Unset means it may write.
        destructive: `destructiveHint`. Unset means it may destroy, unless `read_only`.
        idempotent: `idempotentHint`. A description; it allows nothing.
        open_world: `openWorldHint`. Unset means it leaves the trust boundary.
        server: The server, as the graph's owner named it; the only name that trust may rest on.
        claimed: What the server calls itself. For display: anybody may call himself `billing`.
    """

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    server: str | None = None
    claimed: str | None = None


def annotations_of(metadata: object) -> Annotations | None:
    """Return what a tool's metadata holds of a server's annotations, or None when it is not of an MCP server.

    Never raises: what is malformed counts as unset.

    >>> annotations_of({"readOnlyHint": True, "openWorldHint": None}) == Annotations(read_only=True)
    True
    >>> annotations_of({"mcp": {"tool": {"annotations": {"read_only_hint": "yes"}}, "server": {"name": "demo"}}})
    Annotations(read_only=None, destructive=None, idempotent=None, open_world=None, server=None, claimed='demo')
    >>> annotations_of({"read_only": True})
    """
    if not isinstance(metadata, Mapping):
        return None
    stamp = metadata.get(SERVER_KEY)
    server = str(stamp) if isinstance(stamp, ServerName) else None
    if is_flat(metadata):
        return Annotations(**_hints(metadata, _FLAT), server=server)
    nested = _table(metadata, "mcp")
    if "tool" in nested or "server" in nested:
        hints = _hints(_table(_table(nested, "tool"), "annotations"), _NESTED)
        name = _table(nested, "server").get("name")
        return Annotations(**hints, server=server, claimed=name if isinstance(name, str) else None)
    return None if server is None else Annotations(server=server)


def is_flat(metadata: Mapping[str, Any]) -> bool:
    """Whether a server's annotations stand flat in the metadata.

    Further keys may stand beside the hints, and the adapter copies them all: in such metadata **any** key may have been
    written by the server, `read_only` and `mcp` too.
    """
    return any(key in metadata for key in _FLAT)


def harmless(annotations: Annotations) -> bool:
    """Whether a tool does no harm when called unasked, if its server tells the truth.

    Only what is said counts, so `readOnlyHint` alone is not enough: the specification's default is an open world. A
    tool that is both read-only and destructive contradicts itself.

    >>> [harmless(Annotations(read_only=True, open_world=value)) for value in (False, None, True)]
    [True, False, False]
    """
    return annotations.read_only is True and annotations.open_world is False and annotations.destructive is not True


def fingerprint(name: str, description: str, schema: Any, annotations: Annotations | None) -> str:
    """Return a text that is another one as soon as anything of the tool that a person approved is another.

    SHA-256 over JSON with sorted keys.

    Args:
        name: The tool's name.
        description: What the model is told about it.
        schema: JSON Schema of its arguments.
        annotations: What its server says about it.

    Raises:
        TypeError, ValueError, RecursionError: *schema* is no JSON.

    >>> fingerprint("get_order", "Look up an order.", {"type": "object"}, None)[:19]
    'sha256:3f81fffae2be'
    """
    said = None if annotations is None else asdict(annotations)
    text = canonical([name, description, schema, said])
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def canonical(value: Any) -> str:
    """Return a value as the one JSON text that stands for it.

    Raises:
        TypeError, ValueError, RecursionError: It is no JSON.

    >>> canonical({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _hints(source: Mapping[Any, Any], names: Mapping[str, str]) -> dict[str, Any]:
    values = {field: source.get(key) for key, field in names.items()}
    return {field: value for field, value in values.items() if isinstance(value, bool)}


def _table(source: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    value = source.get(key)
    return value if isinstance(value, Mapping) else {}
