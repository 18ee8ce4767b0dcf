"""Files of JSON lines that are read and added to, by processes that may be killed in the middle of a line.

What the lines say is decided elsewhere (`log.py`, `traces/convert.py`).
"""

from __future__ import annotations

import codecs
import gzip
import os
import stat
from io import RawIOBase
from typing import BinaryIO, cast

import orjson


def append_to(path: str | os.PathLike[str]) -> RawIOBase:
    """Open a file of lines to add some, unbuffered; if whoever wrote last was cut off, its half line stays apart.

    Raises:
        OSError: It cannot be opened.
        ValueError: There is a NUL in the path.
    """
    file = open(path, "a+b", buffering=0)  # noqa: SIM115 - the caller closes it
    if file.seekable() and file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a log for reading; one that ends in `.gz` is unpacked on the way.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):  # opening a pipe would wait for a writer
        raise IsADirectoryError(0, "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file")
    return cast(BinaryIO, gzip.open(path, "rb")) if os.fspath(path).endswith(".gz") else open(path, "rb")


def begins_otherwise(path: str | os.PathLike[str], beginning: bytes) -> bool:
    """Whether a file is there whose first line is not of those that begin so, whole or cut off.

    Raises:
        OSError: It cannot be read.
    """
    if not os.path.isfile(path):  # reading from a pipe would wait for a writer
        return False
    with open(path, "rb") as file:
        return not beginning.startswith(file.read(len(beginning)))


def is_cut(line: bytes, beginning: bytes) -> bool:
    """Whether a line that begins as its writer begins them breaks off, because the writer was killed.

    >>> [is_cut(line, b'{"id":') for line in (b'{"id":7,"a', b'{"i', b'{"id":7}', b'{"id":7,nonsense', b"nonsense")]
    [True, True, False, False, False]
    """
    line = line.rstrip(b"\r\n")
    if not line.startswith(beginning[: len(line)]):
        return False
    try:
        orjson.loads(codecs.getincrementaldecoder("utf-8")().decode(line))  # lets go of half a character at the end
    except orjson.JSONDecodeError as error:
        return error.msg.startswith("unexpected end of data")
    except UnicodeDecodeError:
        return False
    return False
