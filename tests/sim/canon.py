"""Values as plain data in which generated ids, times and addresses are alike, so that two runs can be compared."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from langchain_core.messages import BaseMessage

_ID = re.compile(r"(?:lc_run-*)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?:-\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00)?")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_DRAWN = re.compile(r"#\d+")
_TICK = re.compile(r"~[\d.]+")
_VOLATILE = frozenset({"run_id", "checkpoint_id", "ls_integration"})


class Canon:
    """Names generated ids and drawn numbers by the order in which the first value shows them.

    Whatever comes later and was not in that value is a nameless id, as its order may be that of time.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._naming = False

    def first(self, value: Any) -> Any:
        """A value whose order of ids is the same on both sides, such as a final state."""
        self._naming = True
        try:
            return self(value)
        finally:
            self._naming = False

    def __call__(self, value: Any) -> Any:
        """*value* as plain data."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, dict):
            return {
                self.text(key) if isinstance(key, str) else repr(key): self(item)
                for key, item in value.items()
                if key not in _VOLATILE
            }
        if isinstance(value, BaseMessage):
            return self._message(value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {name: self(getattr(value, name)) for name in value._fields}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        if isinstance(value, (set, frozenset)):
            return sorted(repr(self(item)) for item in value)
        if hasattr(value, "model_dump"):
            return {"<model>": type(value).__name__, **self(value.model_dump())}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {item.name: self(getattr(value, item.name)) for item in dataclasses.fields(value)}
            return {"<record>": type(value).__name__, **fields}
        return self.text(repr(value))

    def text(self, text: str) -> str:
        """A text without what differs from run to run."""
        if "#" in text:
            text = _DRAWN.sub(lambda found: self._name(found[0], "#"), text)
        if "~" in text:
            text = _TICK.sub("~", text)
        if len(text) < 19:
            return text
        text = _ID.sub(lambda found: self._name(found[0], "id"), text)
        return _ADDRESS.sub("<address>", _TIME.sub("<time>", text))

    def _name(self, found: str, kind: str) -> str:
        if found not in self._names and self._naming:
            self._names[found] = f"<{kind} {len(self._names)}>"
        return self._names.get(found, f"<{kind}>")

    def _message(self, message: BaseMessage) -> dict[str, Any]:
        shown = {name: value for name, value in message.__dict__.items() if value not in (None, "", [], {})}
        return {"<message>": type(message).__name__, **self(shown)}
