"""What a report of a long log takes: processor time and memory of the command, and the size of its page.

    python -m benchmarks.report

The log is what the demonstration's agent did in its twelve conversations, told again and again as other runs. The
command runs in a process of its own, and beside it, in this one, the same log is only read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import number, show
from benchmarks.progress import progress
from langgraph_speculate.core.events import Event
from langgraph_speculate.demo.run import demonstrate
from langgraph_speculate.observe.log import JsonLines, read_log

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_SCALE = 0.1  # of the demonstration's delays


def write_log(path: Path, events: int) -> None:
    """A log of at least so many events, in whole demonstrations."""
    once = path.with_suffix(".once")
    happened: list[Event] = []
    demonstrate(scale=_SCALE, observers=[happened.append])
    with JsonLines(once) as log:
        for event in happened:
            log(event)
    lines = once.read_bytes()
    prefix = happened[0].run.rpartition("-")[0].encode()  # ids of runs, speculations and worlds begin with it
    with path.open("wb") as file:
        for place in range(-(-events // len(happened))):
            file.write(lines.replace(b'"' + prefix, b'"%08x' % place))


def measure(events: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of processor time to read a log and to report it, megabytes at the peak, and bytes of the page."""
    with tempfile.TemporaryDirectory() as folder:
        log, page = Path(folder, "events.jsonl"), Path(folder, "report.html")
        write_log(log, events)
        tell("reading")
        began = time.process_time()
        written = sum(1 for _ in read_log(log))
        read_s = time.process_time() - began
        tell("reporting")
        began = time.perf_counter()
        command = [sys.executable, "-m", "langgraph_speculate", "report", str(log), "-o", str(page)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"the command ended with {process.returncode}")
        return {
            "events": written,
            "log_mb": log.stat().st_size / 1e6,
            "read_s": read_s,
            "report_s": used.ru_utime + used.ru_stime,
            "wall_s": time.perf_counter() - began,
            "peak_mb": used.ru_maxrss / 1e3,
            "page_kb": page.stat().st_size / 1e3,
        }


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{report['events']:,} events, {report['log_mb']:.0f} MB"
    each_s = report["events"] / report["read_s"]
    yield f"reading them  {report['read_s']:6.1f} s of processor time, {each_s:,.0f} a second"
    yield f"the report    {report['report_s']:6.1f} s of processor time, {report['wall_s']:.1f} s on the clock"
    yield f"at its peak   {report['peak_mb']:6.0f} MB"
    yield f"its page      {report['page_kb']:6.0f} kB"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=_FIRST_LINE)
    parser.add_argument("--events", type=number, default=1_000_000, help="events of the log (default 1,000,000)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    with progress("report", 2, quiet=options.quiet) as tell:
        report = measure(options.events, tell)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
