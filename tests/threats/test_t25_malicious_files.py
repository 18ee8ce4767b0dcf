"""T25: a policy file is made to hang, crash or exhaust the process that reads it, or to say one thing to a person and
another to the library.

The library promises that a file ends in a policy or in one `PolicyError`, within bounds of time and memory. (Trace
files have their tests in `tests/traces`.)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import langgraph_speculate
from langgraph_speculate import PolicyError, SpeculationPolicy

_READ = """
import os, resource, sys, time
from langgraph_speculate import PolicyError, SpeculationPolicy
end = int(time.process_time()) + {cpu_s}
resource.setrlimit(resource.RLIMIT_CPU, (end, end + 1))
with open("/proc/self/statm") as at:
    held = int(at.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (held + 300_000_000, held + 300_000_000))
for path in sys.argv[1:]:
    try:
        SpeculationPolicy.load(path)
        print("policy")
    except PolicyError as error:
        print("refused", len(str(error)) < 4_000_000)
"""


def _read_elsewhere(paths: list[Path], cpu_s: int = 10) -> list[str]:
    """What reading each file comes to, in a process with little memory and time."""
    done = subprocess.run(
        [sys.executable, "-c", _READ.format(cpu_s=cpu_s), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(langgraph_speculate.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] or f"ended by signal {-done.returncode}"
    return done.stdout.splitlines()


_MB = 1_000_000
BOMBS: dict[str, bytes] = {
    "too large": b"#" * (_MB + 1),
    "nested arrays": b"a = " + b"[" * 400_000,
    "nested tables": b"a = " + b"{a=" * 300_000,
    "closed nested arrays": b"a = " + b"[" * 400_000 + b"]" * 400_000,
    "huge int": b"[limits]\nmax_in_flight = " + b"9" * 100_000,
    "huge int that can be read": b"[limits]\nmax_in_flight = -" + b"9" * 4_000,
    "huge hexadecimal": b"[limits]\nmax_in_flight = -0x" + b"f" * 900_000,
    "huge float": b"[limits]\nattempt_timeout_s = 1e" + b"9" * 900_000,
    "nan": b"[tools.a]\nttl_s = nan",
    "infinite": b"[limits]\nattempt_timeout_s = inf",
    "nul": b'level = "off\0"',
    "nul key": b'"lev\\u0000el" = "off"',
    "utf-16": 'level = "off"'.encode("utf-16"),
    "latin-1": "level = 'öff'".encode("latin-1"),
    "lone surrogate": b'level = "\xed\xa0\x80"',
    "two byte-order marks": b"\xef\xbb\xbf\xef\xbb\xbflevel = 'off'",
    "control characters": b'level = "\x1b[2Joff"',
    "long key": b'"' + b"k" * 900_000 + b'" = 1',
    "many unknown keys": b"".join(b"k%d = 1\n" % number for number in range(60_000)),
    "many wrong tools": b"[tools]\n" + b"".join(b"t%d = 1\n" % number for number in range(60_000)),
    "long template": b'[tools.a]\nreads = ["' + b"{a}{" * 200_000 + b'"]',
    "long glob": b'[tools]\n"' + b"*a" * 200_000 + b'" = 7',
    "duplicate key": b'level = "off"\nlevel = "declared"',
    "duplicate table": b"[tools.a]\nread_only = false\n[tools.a]\nread_only = true",
    "duplicate by dots": b"[tools]\na.read_only = false\n[tools.a]\nread_only = true",
    "duplicate in a table": b"tools = {a = false, a = true}",
    "open string": b'level = """' + b"x" * 900_000,
    "bare carriage return": b"level = 'off'\rlevel = 'declared'",
}


def test_every_bomb_is_refused_within_bounds(tmp_path: Path) -> None:
    """
    28 files, 10 s of processor and 300 MB for all of them; the control is a file that is a policy.
    """
    paths = [tmp_path / f"{number}.toml" for number in range(len(BOMBS) + 1)]
    for path, content in zip(paths, [*BOMBS.values(), b"level = 'off'"], strict=True):
        path.write_bytes(content)
    assert dict(zip([*BOMBS, "honest"], _read_elsewhere(paths), strict=True)) == {
        **dict.fromkeys(BOMBS, "refused True"),
        "honest": "policy",
    }


def test_a_dotted_key_of_a_megabyte_is_refused_within_bounds(tmp_path: Path) -> None:
    """
    Half a million parts in one key.
    """
    path = tmp_path / "dots.toml"
    path.write_bytes(b"a" + b".a" * 499_000 + b" = 1")
    assert _read_elsewhere([path], cpu_s=2) == ["refused True"]


def test_a_key_that_is_there_twice_is_told_with_its_line(tmp_path: Path) -> None:
    """
    The last one does not silently win, as it would in JSON.
    """
    file = tmp_path / "speculate.toml"
    for name in ("duplicate key", "duplicate table", "duplicate in a table"):
        file.write_bytes(BOMBS[name])
        with pytest.raises(PolicyError, match=r"not TOML: .* \(at "):
            SpeculationPolicy.load(file)


def test_a_byte_order_mark_hides_nothing(tmp_path: Path) -> None:
    """
    What stands behind one is read like the rest.
    """
    file = tmp_path / "speculate.toml"
    file.write_bytes(b"\xef\xbb\xbflevel = 'off'\r\n")
    assert SpeculationPolicy.load(file).level == "off"


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    other = path.with_name("other")
    path.symlink_to(other)
    other.symlink_to(path)
    return path


def _to(target: str) -> Callable[[Path], Path]:
    def link(path: Path) -> Path:
        path.symlink_to(target)
        return path

    return link


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


ODD: dict[str, Callable[[Path], Path]] = {
    "pipe": _fifo,
    "link to itself": _loop,
    "link to a pipe": lambda path: _to(str(_fifo(path.with_name("pipe"))))(path),
    "link to nothing": _to("nowhere"),
    "link to /dev/zero": _to("/dev/zero"),
    "link to a directory": _to("/"),
    "socket": _socket,
    "nul in the path": lambda path: Path(f"{path}\0"),
    "long path": lambda path: Path("x" * 100_000),
    "below a file": lambda path: Path(__file__) / "speculate.toml",
    "endless file of a process": lambda path: Path("/proc/self/pagemap"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_plain_file_is_refused_and_never_waited_for(kind: str, tmp_path: Path) -> None:
    """
    Pipes, sockets, devices, loops of links.
    """
    with pytest.raises(PolicyError):
        SpeculationPolicy.load(ODD[kind](tmp_path / "speculate.toml"))


def test_a_link_to_a_policy_is_a_policy(tmp_path: Path) -> None:
    """
    The control: links as such are fine.
    """
    (tmp_path / "real.toml").write_text("level = 'shadow'")
    assert SpeculationPolicy.load(_to("real.toml")(tmp_path / "speculate.toml")).level == "shadow"
