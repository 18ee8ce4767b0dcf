"""What many runs at once take: the memory of 5,000 runs in flight, plain and wrapped, and what of it stays.

    python -m benchmarks.capacity

Each agent has a process of its own, in which every run takes 20 tool turns (41 supersteps) on one event loop, in
virtual time, so that all are in flight from the first turn to the last. The tool answers with a kilobyte, may run
ahead, and the default predictor learns. *Peak* is the largest the process ever was. *In use* is what is allocated,
with garbage collected: *fresh*, after a twentieth of them; *before*, and *after* all of them are over. Between the
first two as many runs as are measured take one turn each, because what is kept of the latest runs and threads has room
for thousands, and is full by then if so many are measured, and then a twentieth of them all turns again, since
caches hold the latest histories, short or long; *kept* is what stays beyond that. Python's own allocator would keep
whole arenas for whatever is left in them, and tells no bytes; these processes therefore use that of the C library
(`PYTHONMALLOC=malloc`), which takes a little more. Needs Linux with glibc.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import StructuredTool

from benchmarks.command import number, show
from benchmarks.overhead import SUPERSTEPS, TOOL_TURNS, InstantModel
from benchmarks.progress import progress
from benchmarks.surroundings import undisturbed
from benchmarks.variants import OURS, PLAIN
from benchmarks.virtual import in_virtual_time
from langgraph_speculate import speculate, speculation_of

_FIRST_LINE = (__doc__ or "").split("\n")[0]
MODEL_S, TOOL_S = 1.0, 0.5
LIMIT_MB, MOST_KEPT = 2_000.0, 0.02
_GROUPS = 20  # runs that start at one instant; all others start a little later
_FEW = 0.05  # of the runs: the usual load, before the crowd comes
_RESULT = "x" * 1_000


class PacedModel(InstantModel):
    """Takes a second for each message, and as many turns as it is told."""

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(MODEL_S)
        if len(messages) // 2 >= int(messages[0].text):
            return ChatResult(generations=[ChatGeneration(message=AIMessage("done"))])
        return self._generate(messages)


def agent() -> Any:
    """An agent that looks something up as often as it is told."""

    async def look_up(number: int) -> str:
        """Look a number up."""
        await asyncio.sleep(TOOL_S)
        return f"{number}: {_RESULT}"

    return create_agent(PacedModel(), [StructuredTool.from_function(coroutine=look_up)])


async def crowd(graph: Any, runs: int, name: str, turns: int = TOOL_TURNS) -> None:
    """So many runs at once, of so many turns each."""

    async def one(place: int) -> None:
        await asyncio.sleep(place % _GROUPS * MODEL_S / _GROUPS)
        config = {"recursion_limit": 2 * SUPERSTEPS, "configurable": {"thread_id": f"{name}-{place}"}}
        await graph.ainvoke({"messages": [("user", str(turns))]}, config)

    await asyncio.gather(*map(one, range(runs)))


def measured(name: str, runs: int) -> dict[str, Any]:
    """What one agent takes, in this process.

    Raises:
        OSError: The system does not tell how large a process is.
    """
    graph = agent()
    if name == OURS:
        # All of them answer at the same time, which is one wrong guess each, and at once enough for a breaker.
        graph = speculate(graph, {"tools": {"look_up": True}, "limits": {"cool_down_s": 0}})
    few = max(1, int(runs * _FEW))
    with undisturbed():
        in_virtual_time(crowd(graph, few, "first"))
        fresh_mb = _in_use_mb()
        in_virtual_time(crowd(graph, runs, "warm up", turns=1))
        in_virtual_time(crowd(graph, few, "second"))
        before_mb, base_mb = _in_use_mb(), _resident_mb("VmRSS")
        began = time.process_time()
        in_virtual_time(crowd(graph, runs, "measured"))
        cpu_s = time.process_time() - began
        after_mb = _in_use_mb()
    figures: dict[str, Any] = {
        "peak_mb": (peak_mb := _resident_mb("VmHWM")),
        "peak_kb_a_run": (peak_mb - base_mb) / runs * 1e3,
        "fresh_mb": fresh_mb,
        "before_mb": before_mb,
        "after_mb": after_mb,
        "kept": after_mb / before_mb - 1,
        "cpu_ms_a_step": cpu_s / runs / TOOL_TURNS * 1e3,
    }
    if name == OURS:
        stats = speculation_of(graph).stats()
        figures |= {"real_calls": stats.real_calls, "hits": stats.hits, "launched": stats.launched}
        speculation_of(graph).close()
    return figures


class _Allocated(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _in_use_mb() -> float:
    """Megabytes that are allocated, once garbage is collected."""
    gc.collect()
    tell = ctypes.CDLL(None).mallinfo2
    tell.restype = _Allocated
    found = tell()
    return float(found.uordblks + found.hblkhd) / 1e6


def _resident_mb(which: str) -> float:
    """How large the process is (`VmRSS`), or was at most (`VmHWM`)."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition(f"{which}:")[2].split()[0]) / 1e3


def measure(runs: int, *, quiet: bool) -> dict[str, Any]:
    """Both agents, each in a process of its own."""
    report: dict[str, Any] = {"runs": runs, "steps": TOOL_TURNS, "limit_mb": LIMIT_MB}
    with progress("capacity", 2, quiet=quiet) as tell:
        for name in (PLAIN, OURS):
            command = [sys.executable, "-m", "benchmarks.capacity", "--runs", str(runs), "--only", name]
            environment = {**os.environ, "PYTHONMALLOC": "malloc"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{name} failed:\n{done.stderr}")
            report[name] = json.loads(done.stdout)
            tell(name)
    ours = report[OURS]
    report["within"] = ours["peak_mb"] <= LIMIT_MB and ours["kept"] <= MOST_KEPT
    return report


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{report['runs']} runs at once, {report['steps']} tool turns each; at most {report['limit_mb']:.0f} MB"
    yield (
        f"{'':6} {'peak MB':>8} {'in use MB fresh':>16} {'before':>7} {'after':>7} {'kept':>7} {'peak KB a run':>14}"
        f" {'CPU ms a step':>14}"
    )
    for name in (PLAIN, OURS):
        f = report[name]
        yield (
            f"{name:6} {f['peak_mb']:8.0f} {f['fresh_mb']:16.1f} {f['before_mb']:7.1f} {f['after_mb']:7.1f}"
            f" {f['kept']:+7.1%} {f['peak_kb_a_run']:14.0f} {f['cpu_ms_a_step']:14.2f}"
        )
    ours = report[OURS]
    yield f"{ours['hits']} of {ours['real_calls']} calls adopted" + ("" if report["within"] else "  OVER")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=_FIRST_LINE)
    parser.add_argument("--runs", type=number, default=5_000, help="runs in flight at once (default 5000)")
    parser.add_argument("--only", choices=(PLAIN, OURS), help="measure this one in this process, as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    if sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"):
        print("error: needs Linux and glibc, to tell how much memory is in use", file=sys.stderr)
        return 2
    if options.only:
        print(json.dumps(measured(options.only, options.runs)))
        return 0
    show(measure(options.runs, quiet=options.quiet), table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
