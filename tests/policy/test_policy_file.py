"""A policy's file: read to its last byte, or refused in words that say where to look."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import file as module
from langgraph_speculate.policy.file import MAX_FILE_BYTES, read_policy_file


def written(folder: Path, content: bytes) -> Path:
    path = folder / "speculate.toml"
    path.write_bytes(content)
    return path


def refusal(path: str | Path) -> str:
    with pytest.raises(PolicyError) as caught:
        read_policy_file(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = '\xff'", 1),
        (b"\na = '\xff'", 2),
        (b"a = 1\nb = 2\nc = '\xff'\nd = 4\n", 3),
    ],
)
def test_the_line_that_is_not_utf_8_is_named(tmp_path: Path, content: bytes, line: int):
    """
    Counted from 1, and no further than to the mistake.
    """
    path = written(tmp_path, content)
    assert refusal(path) == f"{path}: the policy is not UTF-8 (line {line})"


def test_toml_says_what_it_does_not_understand(tmp_path: Path):
    """
    With line and column.
    """
    path = written(tmp_path, b"a = 1\nb = off\n")
    assert refusal(path) == f"{path}: the policy is not TOML: Invalid value (at line 2, column 5)"


def test_what_is_nested_too_deeply_says_so(tmp_path: Path):
    """
    Python's parser gives up by recursion.
    """
    path = written(tmp_path, b"a = " + b"[" * 100_000)
    assert refusal(path) == f"{path}: the policy is nested too deeply"


def test_a_policy_of_the_largest_size_is_read(tmp_path: Path):
    """
    One byte more is too much, and nothing beyond that is read.
    """
    content = b"a = 1\n".ljust(MAX_FILE_BYTES, b"#")
    assert read_policy_file(written(tmp_path, content)) == {"a": 1}
    path = written(tmp_path, content + b"#")
    assert refusal(path) == f"{path}: the policy is larger than 1000000 bytes"
    assert len(module._read(written(tmp_path, content + b"#" * 1000))) == MAX_FILE_BYTES + 1


def test_line_ends_of_windows_are_line_ends_in_texts_too(tmp_path: Path):
    """
    A text over several lines means the same on every system.
    """
    path = written(tmp_path, b'a = """x\r\ny"""\r\n')
    assert read_policy_file(path) == {"a": "x\ny"}


def test_what_cannot_be_read_is_told_with_its_reason(tmp_path: Path):
    """
    The path as it was given, then what the system said.
    """
    missing, pipe = tmp_path / "none.toml", tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refusal(missing) == (
        f"{str(missing)!r}: the policy cannot be read: No such file or directory "
        f"(looked for as {str(missing)!r}; an empty file will do: with it nothing runs ahead)"
    )
    assert refusal(str(tmp_path)) == f"{str(tmp_path)!r}: the policy cannot be read: it is a directory"
    assert refusal(pipe) == f"{str(pipe)!r}: the policy cannot be read: it is no regular file"
    assert re.fullmatch(r"'a\\x00b': the policy cannot be read: .*null.*", refusal("a\0b"))


@pytest.mark.parametrize("blank", [b"", b" ", b"\t", b" \t "])
def test_a_key_of_very_many_parts_is_refused(tmp_path: Path, blank: bytes):
    """
    Reading one takes the square of its length. A hundred parts are read, as a key and as a header.
    """
    dot = blank + b"." + blank
    for content in (dot.join([b"a"] * 100) + b" = 1\n", b"x = 1\n[" + dot.join([b"a"] * 100) + b"]\n"):
        assert read_policy_file(written(tmp_path, content))
    for content in (b"x = 1\n" + dot.join([b"a"] * 101) + b" = 1\n", b"[" + dot.join([b'""'] * 101) + b"]\n"):
        path = written(tmp_path, content)
        assert refusal(path) == f"{path}: the policy has a key of more than 100 parts"


def test_lines_of_dots_are_no_keys(tmp_path: Path):
    """
    People rule off their files with them, and write many short lines.
    """
    content = b"# " + b"." * 200 + b"\na = '" + b"." * 200 + b"'\n" + b"# e.g. this\n" * 200
    assert read_policy_file(written(tmp_path, content)) == {"a": "." * 200}
