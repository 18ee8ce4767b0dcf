"""A policy's TOML file as plain data. What the data means is `settings.py`'s business."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import Any

from langgraph_speculate.errors import PolicyError

MAX_FILE_BYTES = 1_000_000
_MAX_PARTS = 100


def read_policy_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what the TOML file at *path* holds.

    Raises:
        PolicyError: There is no such file, it is no regular file, too large, not UTF-8 or not TOML. The message starts
            with the path; where TOML is at fault it names the line.
    """
    try:
        content = _read(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, FileNotFoundError):
            where = os.path.abspath(str(path))
            reason = f"{reason} (looked for as {where!r}; an empty file will do: with it nothing runs ahead)"
        raise PolicyError(f"{os.fspath(path)!r}: the policy cannot be read: {reason}") from None
    if len(content) > MAX_FILE_BYTES:
        raise PolicyError(f"{path}: the policy is larger than {MAX_FILE_BYTES} bytes")
    if _is_deep(content):
        raise PolicyError(f"{path}: the policy has a key of more than {_MAX_PARTS} parts")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"{path}: the policy is not UTF-8 (line {line})") from None
    except ValueError as error:  # TOMLDecodeError, and a number with too many digits
        raise PolicyError(f"{path}: the policy is not TOML: {error}") from None
    except RecursionError:
        raise PolicyError(f"{path}: the policy is nested too deeply") from None


def _is_deep(content: bytes) -> bool:
    """Whether a dotted key may be so long that reading it takes the square of its length."""
    tokens = re.split(rb"[\n=\[\]{},]", content.replace(b" ", b"").replace(b"\t", b""))
    return any(sum(map(bool, token.split(b"."))) > _MAX_PARTS for token in tokens)  # rows of dots alone are no key


def _read(path: str | os.PathLike[str]) -> bytes:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
        raise IsADirectoryError(0, "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")
    with open(path, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)
