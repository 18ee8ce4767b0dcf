"""Threat tests use the host tests' scripted models and end as those do: nothing left running, no internal error."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_HOST = _HERE.parent / "host"
sys.path[:0] = [str(_HERE), str(_HOST)]

# Not by its own name: two modules called `conftest` would replace each other.
_spec = importlib.util.spec_from_file_location("host_conftest", _HOST / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_host = importlib.util.module_from_spec(_spec)
sys.modules["host_conftest"] = _host
_spec.loader.exec_module(_host)

# A program of its own; and the doctest collector would import this file, and find the host tests' under its name.
collect_ignore = ["watched_payloads.py", "conftest.py"]
loops_are_never_blocked = _host.loops_are_never_blocked
nothing_left = _host.nothing_left
pytest_configure = _host.pytest_configure
small_heap = _host.small_heap
speculating_threads = _host.speculating_threads
world = _host.world
