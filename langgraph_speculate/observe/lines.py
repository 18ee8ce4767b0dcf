"""What happened as lines for people: one a run for a log, one an event for a terminal."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from langgraph_speculate.core import events
from langgraph_speculate.observe.previews import PreviewTally
from langgraph_speculate.policy.checks import printable

_RUNS = 4_096  # that are under way at one time; a run that never ends makes room


@dataclass
class _Sums:
    count: Counter[str] = field(default_factory=Counter)
    wasted_s: float = 0.0
    would_hide_s: float = 0.0
    in_shadow: bool = False
    previews: PreviewTally = field(default_factory=PreviewTally)


class LogLines:
    """An observer that logs one line for each run that ends.

    Args:
        logger: Where to; None: the package's own, `langgraph_speculate`.
        level: At which level.

    >>> lines = LogLines()
    >>> lines(events.CallSettled(run="r", at=1.0, tool="get", id=None, joined=False, waited_s=0.1, tool_s=0.1))
    >>> lines.line(events.RunClosed(run="r", at=2.0, launched=2, hits=0, hidden_s=0.0))
    'run r: 0 of 1 calls adopted, 0.00 s hidden; 2 launched, 0 in vain, 0.00 s wasted'

    Of a run at the level `shadow` it says what would have been.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("langgraph_speculate")
        self._level = level
        self._runs: OrderedDict[str, _Sums] = OrderedDict()

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.RunBegan(level="shadow"):
                self._of(event.run).in_shadow = True
            case events.CallSettled():
                self._of(event.run).count["calls"] += 1
            case events.Discarded():
                self._of(event.run).count["wasted"] += 1
            case events.Wasted(seconds=seconds):
                self._of(event.run).wasted_s += seconds
            case events.ShadowLaunched():
                self._of(event.run).count["imagined"] += 1
            case events.ShadowSettled(id=str()):
                self._of(event.run).count["would hit"] += 1
            case events.ShadowStepSettled(tool_s=tool_s, waited_s=waited_s):
                self._of(event.run).would_hide_s += tool_s - waited_s
            case events.ShadowWasted(seconds=seconds):
                sums = self._of(event.run)
                sums.count["wasted"] += 1
                sums.wasted_s += seconds
            case events.RunClosed():
                self._logger.log(self._level, "speculation: %s", self.line(event))
                self._runs.pop(event.run, None)
            case events.PreviewBegan() | events.PreviewUsed() | events.PreviewWasted():
                self._of(event.run).previews.take(event)

    def line(self, closed: events.RunClosed) -> str:
        """What a run came to, so far as it was seen; bodies that end after it are not counted."""
        sums = self._runs.get(closed.run) or _Sums()
        if sums.in_shadow or sums.count["imagined"]:
            return (
                f"run {printable(closed.run)}, in shadow: {sums.count['would hit']} of {sums.count['calls']} calls "
                f"would be adopted, {sums.would_hide_s:z.2f} s hidden; {sums.count['imagined']} launched, "
                f"{sums.count['wasted']} in vain, {sums.wasted_s:z.2f} s wasted; nothing ran"
            )
        previews = sums.previews.counts()
        return (
            f"run {printable(closed.run)}: {closed.hits} of {sums.count['calls']} calls adopted, "
            f"{closed.hidden_s:z.2f} s hidden; {closed.launched} launched, {sums.count['wasted']} in vain, "
            f"{sums.wasted_s:z.2f} s wasted" + (f"; {previews}" if previews.began else "")
        )

    def _of(self, run: str) -> _Sums:
        sums = self._runs.setdefault(run, _Sums())
        if len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
        return sums


def told(event: events.Event) -> str | None:
    """One line about an event that people want to see as it happens; None for all others.

    >>> told(events.Discarded(run="r", at=1.0, id="r:1", tool="get", reason="contradicted"))
    'wasted   get: contradicted'
    """
    match event:
        case events.RunBegan(graph=graph):
            return f"run      {printable(graph)} {printable(event.run)} begins".replace("  ", " ")
        case events.Launched(tool=tool, probability=probability, source=source):
            return f"launch   {printable(tool)}: {probability:.0%} likely ({printable(source)})"
        case events.CallSettled(tool=tool, id=id, joined=joined, waited_s=waited_s, tool_s=tool_s, repeat=repeat):
            if repeat:
                return f"repeat   {printable(tool)}: answered from memory"
            if id is None:
                return f"miss     {printable(tool)}: took {waited_s:z.2f} s"
            return f"{'joined' if joined else 'hit':<8} {printable(tool)}: saved {tool_s - waited_s:z.2f} s"
        case events.Discarded(tool=tool, reason=reason):
            return f"wasted   {printable(tool)}: {reason}"
        case events.Denied(tool=tool, reason=reason, count=count):
            return f"denied   {printable(tool)}: {reason}" + (f" ({count} guesses)" if count > 1 else "")
        case events.ShadowLaunched(tool=tool, probability=probability, source=source):
            return f"shadow   {printable(tool)}: would start, {probability:.0%} likely ({printable(source)})"
        case events.ShadowSettled(tool=tool, id=str(), joined=joined, waited_s=waited_s, tool_s=tool_s):
            return (
                f"shadow   {printable(tool)}: would {'join' if joined else 'hit'} and save {tool_s - waited_s:z.2f} s"
            )
        case events.ShadowWasted(tool=tool, reason=reason):
            return f"shadow   {printable(tool)}: would be wasted: {printable(reason)}"
        case events.PreviewBegan(model=model, tools=tools, probability=probability):
            listed = ", ".join(map(printable, tools))
            return f"preview  {printable(model)}: begins beside {listed}, {probability:.0%} likely"
        case events.PreviewUsed(model=model, joined=joined, hidden_s=hidden_s):
            return f"preview  {printable(model)}: {'joined' if joined else 'used'}, saved {hidden_s:z.2f} s"
        case events.PreviewWasted(model=model, reason=reason, tokens=tokens):
            return f"preview  {printable(model)}: wasted, {printable(reason)}; {tokens} tokens"
        case events.PreviewRefused(model=model, reason=reason):
            return f"preview  {printable(model)}: not begun, {printable(reason)}"
        case events.Switched(scope=scope, name=name, state=state, reason=reason):
            return f"switched {scope} {printable(name)}: {state} ({reason})"
        case events.RunClosed(hits=hits, hidden_s=hidden_s):
            return f"run      {printable(event.run)} ends: {hits} hits, {hidden_s:z.2f} s hidden"
    return None
