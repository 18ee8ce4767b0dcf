"""Plain data as TOML text, in one of the many ways there are to write it."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LITERAL = re.compile(r"[^'\x00-\x1f\x7f]*")


def can_say(value: Any) -> bool:
    """Whether TOML has such values. A None at the place of a setting is left out, which means the same."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and can_say(item) for key, item in value.items())
    if isinstance(value, list):
        return all(can_say(item) for item in value)
    if isinstance(value, int):
        return abs(value) < 10**4000
    return isinstance(value, str | float | date)


def file_of(rng: Random, data: dict[str, Any]) -> bytes:
    """A whole file: with or without byte-order mark, with the line ends of either system."""
    text = text_of(rng, data)
    if rng.random() < 0.2:
        text = text.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if rng.random() < 0.2 else b"") + text.encode()


def written(path: Path, content: bytes) -> Path:
    """Write a new file; overwriting one makes some file systems wait for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def text_of(rng: Random, data: dict[str, Any]) -> str:
    """The data as TOML: tables under headers, inline or as dotted keys; None is left out."""
    return "\n".join(lines_of(rng, data)) + "\n"


def lines_of(rng: Random, data: dict[str, Any]) -> list[str]:
    """One line for each setting and header."""
    lines, tables = [], []
    for name, value in data.items():
        if isinstance(value, dict) and rng.random() < 0.85:
            tables.append((name, value))
        elif value is not None:
            lines += setting(rng, key_of(rng, name), value)
    for name, table in tables:
        lines += table_of(rng, [name], table)
    return lines


def table_of(rng: Random, path: list[str], table: dict[str, Any]) -> list[str]:
    header = ".".join(key_of(rng, part) for part in path)
    inner = [(name, value) for name, value in table.items() if isinstance(value, dict)]
    lines = [f"[{header}]"] if not inner or rng.random() < 0.5 or len(inner) < len(table) else []
    for name, value in table.items():
        if not isinstance(value, dict) and value is not None:
            lines += setting(rng, key_of(rng, name), value)
    for name, value in inner:
        lines += table_of(rng, [*path, name], value)
    return lines


def setting(rng: Random, key: str, value: Any) -> list[str]:
    noise = ["", "# a comment: [x] = 'y'"] if rng.random() < 0.1 else []
    return [*noise, f"{key}{rng.choice([' = ', '=', '  =	'])}{value_of(rng, value)}{rng.choice(['', '', ' # why'])}"]


def key_of(rng: Random, name: str) -> str:
    """A key, bare where it can be."""
    if _BARE.fullmatch(name) and rng.random() < 0.8:
        return name
    return text_value(rng, name)


def value_of(rng: Random, value: Any) -> str:
    """One value on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return rng.choice([str(value), f"{value:_}", f"+{value}" if value >= 0 else str(value)])
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return text_value(rng, value)
    if isinstance(value, dict):
        items = [f"{key_of(rng, key)} = {value_of(rng, item)}" for key, item in value.items() if item is not None]
        return "{ " + ", ".join(items) + " }"
    return "[" + ", ".join(value_of(rng, item) for item in value) + rng.choice(["", ",", " "] if value else [""]) + "]"


def text_value(rng: Random, text: str) -> str:
    """A text, literal where it can be."""
    if _LITERAL.fullmatch(text) and rng.random() < 0.4:
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=text.isascii() or max(text) <= "\uffff").replace("\x7f", "\\u007f")
