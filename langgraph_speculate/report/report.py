"""`Report`: what logs, or a graph at work, come to; as a page, as figures, as a trace."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from langgraph_speculate.core.events import Event
from langgraph_speculate.errors import BadLog
from langgraph_speculate.host.handle import SpeculationHandle
from langgraph_speculate.observe.log import read_log
from langgraph_speculate.policy.checks import nearest, printable
from langgraph_speculate.report.choice import Choice
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.page import page
from langgraph_speculate.report.perfetto import trace_of
from langgraph_speculate.report.summary import as_json, sentence
from langgraph_speculate.report.timeline import timeline
from langgraph_speculate.report.words import count


class Report:
    """What speculation did: in a notebook it shows itself, `save` writes it as a page.

    The page is one file that needs no network. However many events there are, it takes a bounded amount of memory and
    stays small: every run is counted, a few are shown whole.

    Args:
        source: A log that `JsonLines` wrote, or events, or `speculation_of(graph)`: then it is about what the graph
            does from now on and, each time it is asked, about what happened so far.
        runs: How many runs to show whole.
        wanted: Ids of runs to show in any case.

    Attributes:
        cut_lines: Lines of logs that were left out because they break off: whoever wrote them was killed.

    Raises:
        BadLog: The log cannot be read or holds what is no event; the message names path and line.

    >>> from langgraph_speculate.core.events import CallSettled, RunClosed
    >>> call = CallSettled(run="r", at=1.0, number=1, tool="get", id=None, joined=False, waited_s=1.0, tool_s=1.0)
    >>> closed = RunClosed(run="r", at=2.0, number=2, launched=0, hits=0, hidden_s=0.0)
    >>> print(Report([call, closed]))
    Nothing ran ahead; 0 of 1 call were foreseen, and the tools took 0 s.
    """

    def __init__(
        self,
        source: SpeculationHandle | str | os.PathLike[str] | Iterable[Event] = (),
        *,
        runs: int = 6,
        wanted: Collection[str] = (),
    ) -> None:
        self._lock = threading.Lock()
        self._figures = Figures(Choice(runs, wanted))
        self.cut_lines = 0
        self._catch_up: Callable[[], object] = lambda: None
        match source:
            case SpeculationHandle():
                source.events(self.take)
                self._catch_up = source.flush
            case str() | os.PathLike():
                self.read(source)
            case _:
                for event in source:
                    self.take(event)

    def take(self, event: Event) -> None:
        """Take in one more event, from any thread: this is an observer, too."""
        with self._lock:
            self._figures.take(event)

    def read(self, log: str | os.PathLike[str], on_bytes: Callable[[int], None] | None = None) -> None:
        """Take in a log, too. Lines that break off, as their writer was killed, are left out; the page says how many.

        Args:
            log: A file that `JsonLines` wrote; `.gz` is unpacked.
            on_bytes: Called now and then with how many bytes of the file have been read.

        Raises:
            BadLog: It cannot be read or holds what is no event; the message names path and line.
        """
        cut: list[int] = []
        for event in read_log(log, on_cut=cut.append, on_bytes=on_bytes):
            self.take(event)
        self.cut_lines += len(cut)

    @property
    def foretells(self) -> bool:
        """Whether there are runs at the level `shadow`."""
        with self._up_to_date():
            return "shadow" in self._figures.levels

    def check_wanted(self) -> None:
        """Check that every run that is *wanted* can be shown.

        Raises:
            BadLog: One has not ended in what was taken in; the message names some that have.
        """
        with self._up_to_date():
            choice = self._figures.choice
            if missing := sorted(choice.missing()):
                near = nearest(missing[0], choice.ids())
                raise BadLog(f"{', '.join(map(printable, missing))}: no such run has ended in the logs{near}")

    def html(self) -> str:
        """The page; write it as UTF-8."""
        notes = []
        if self.cut_lines:
            notes.append(f"Left out: {count(self.cut_lines, 'line')} without an end, whose writer was killed.")
        with self._up_to_date():
            return page(self._figures, notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file.

        Raises:
            OSError: It cannot be written.
        """
        Path(path).write_text(self.html(), "utf-8")

    def as_json(self) -> dict[str, Any]:
        """All figures as plain data."""
        with self._up_to_date():
            return as_json(self._figures) | {"cut_lines": self.cut_lines}

    def trace(self) -> dict[str, Any]:
        """The runs that are shown, as plain data for Chrome's trace viewer or Perfetto; write it as JSON."""
        with self._up_to_date():
            return trace_of(timeline(pick.run.id, pick.run.happened) for pick in self._figures.choice.picks())

    def __str__(self) -> str:
        with self._up_to_date():
            return sentence(self._figures)

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """All that happened so far is taken in, and nothing more until it is told."""
        self._catch_up()
        with self._lock:
            yield

    def _repr_html_(self) -> str:
        """For notebooks: a page of its own, so that neither touches the other's style."""
        framed = '<iframe title="What speculation did" sandbox="allow-scripts" style="width:100%;height:48rem;border:0"'
        return f'{framed} srcdoc="{escape(self.html())}"></iframe>'
