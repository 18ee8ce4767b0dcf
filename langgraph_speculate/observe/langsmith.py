"""What LangSmith shows of a run's speculations: facts in, additions to its trace out.

Nothing is added but to a trace that is there: the call that adopted a result is its ordinary tool run with a tag and
metadata, each speculation is one more run below the model step that it was launched beside, and the runs around the
graph carry a summary. A speculation's run is sent once, when all is known of it, so that none can be left open. Runs
are children made by the SDK's own rules: trace, project, sampling and hidden inputs and outputs are those of the step.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, get_args

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.speculation import Discard, Speculation, State
from langgraph_speculate.observe.preview_runs import PreviewRuns
from langgraph_speculate.observe.run_trees import Child, Sums, add, digest, facts_of, millis, score

if TYPE_CHECKING:
    from langsmith import RunTree

P = ParamSpec("P")

TraceLevel = Literal["off", "summary", "full"]

OUTCOMES: Mapping[Discard, str] = {
    Discard.CONTRADICTED: "squashed",
    Discard.LINEAGE: "squashed",
    Discard.STALE: "squashed",
    Discard.EXPIRED: "expired",
    Discard.PREEMPTED: "preempted",
    Discard.EVICTED: "preempted",
    Discard.YIELDED: "preempted",
    Discard.HEDGED: "hedged",
    Discard.DENIED: "denied",
}
"""How a trace calls the end of a discarded speculation; `wasted` where there is no better word."""

_INSIDE_A_GRAPH = "langgraph_node"  # the metadata that all runs below a graph's own have


@dataclass(frozen=True, slots=True)
class Tracing:
    """What is added to traces in LangSmith, where a run is traced at all.

    Attributes:
        level: `off`: nothing. `summary`: what became of each call and of each speculation, and a summary. `full`: also
            the arguments that were guessed, and what was not started, with the reason.
        feedback: Whether each trace gets two scores, which LangSmith's charts can add up.

    Raises:
        ValueError: There is no such level.
    """

    level: TraceLevel = "summary"
    feedback: bool = False

    def __post_init__(self) -> None:
        if self.level not in get_args(TraceLevel):
            raise ValueError(f"trace must be one of {', '.join(map(repr, get_args(TraceLevel)))}, not {self.level!r}")


@dataclass(slots=True)
class _Guess:
    """A speculation whose end was not sent yet; its beginning only where that cannot wait."""

    speculation: Speculation
    run: Child
    begun: bool
    outputs: dict[str, Any] = field(default_factory=dict)


def _harmless(method: Callable[Concatenate[RunTrace, P], None]) -> Callable[Concatenate[RunTrace, P], None]:
    """A trace that fails is given up, and nobody but the log hears of it."""

    @functools.wraps(method)
    def guarded(self: RunTrace, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.given_up:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - somebody else's code, and only a record of what happened
            self.given_up = True
            self.warn("langsmith", f"the trace in LangSmith says no more of speculations: {error!r}")

    return guarded


class RunTrace:
    """One agent run, as LangSmith shows it; may be told things from any thread.

    Args:
        tracing: What is added.
        mode: `on`, or `shadow` where calls are only predicted.
        warn: Takes a cause and a message.

    Attributes:
        given_up: Nothing is added any more.
    """

    def __init__(self, tracing: Tracing, mode: str, warn: Callable[[str, str], None]) -> None:
        self.given_up = tracing.level == "off"
        self.warn = warn
        self._full = tracing.level == "full"
        self._scored = tracing.feedback
        self._mode = mode
        self._steps: dict[str, RunTree] = {}
        self._sums: Sums | None = None
        self._guesses: dict[str, _Guess] = {}
        self._why: dict[str, str] = {}
        self._latest: RunTree | None = None
        self._previews = PreviewRuns()

    # -- what the host tells -----------------------------------------------------------------------------------------

    @_harmless
    def turn_began(self, turn: str, path: Sequence[RunTree]) -> None:
        """A model call starts.

        Args:
            turn: The model turn.
            path: The open runs around it, outermost first; empty where nothing is traced.
        """
        if not path:
            return
        self._steps[turn] = self._latest = path[-1]
        self._why = {}
        if self._sums is None:
            self._sums = Sums([run for run in path if _INSIDE_A_GRAPH not in run.metadata], self._mode)

    @_harmless
    def launched(self, speculation: Speculation) -> None:
        """A speculation is about to start."""
        step = self._steps.get(speculation.turn)
        if step is None:
            return
        run = Child(step, _name(speculation.call.name), dict(speculation.call.args) if self._full else {})
        # An exporter to OpenTelemetry finds the parent of a span only while that is open.
        begun = step.client.tracing_mode != "langsmith"
        if begun:
            run.begin()
        self._guesses[speculation.id] = _Guess(speculation, run, begun)

    @_harmless
    def ended(self, id: str, outcome: Outcome, size: int) -> None:
        """The body of a speculation has ended; it is not known yet what comes of it."""
        guess = self._guesses.get(id)
        if guess is not None and outcome.ok:
            guess.outputs = {"bytes": size, "sha": digest(outcome.value)}

    @_harmless
    def adopted(
        self, hit: Speculation, call: RunTree | None, *, joined: bool, waited_s: float, arrived_at: float
    ) -> None:
        """A real call has taken the result of a speculation.

        Args:
            hit: The speculation.
            call: The tool run of the call, while it is open.
            joined: It had to wait for the result.
            waited_s: Seconds the call took.
            arrived_at: When it came, in seconds on the monotonic clock.
        """
        guess, outcome = self._guesses.pop(hit.id, None), "joined" if joined else "hit"
        facts = {
            **facts_of(hit, outcome),
            "wait_ms": millis(waited_s),
            "saved_ms": millis(hit.ran_s - waited_s),
            "lead_ms": millis(arrived_at - hit.launched_at),
        }
        if call is not None:
            link = {} if guess is None else {"run_id": str(guess.run.id)}
            add(call, ["speculation:hit", *(["speculation:joined"] if joined else [])], {**facts, **link})
        if guess is not None:
            if call is not None:
                facts |= {"adopted_run_id": str(call.id), "adopted_tool_call_id": call.extra.get("tool_call_id")}
            self._send(guess, ["speculation:adopted"], facts)

    @_harmless
    def missed(self, tool: str, call: RunTree | None, *, repeat: bool = False) -> None:
        """A real call ran as in the plain graph, or was given a remembered answer again.

        Args:
            tool: Its tool.
            call: The tool run of the call, while it is open.
            repeat: It was given a remembered answer.
        """
        if call is not None:
            outcome = "repeat" if repeat else "miss"
            reason = {} if repeat else {"reason": self._why.get(tool, "not_predicted")}
            add(call, [f"speculation:{outcome}"], {"outcome": outcome, **reason})

    @_harmless
    def take(self, happened: Iterable[events.Event]) -> None:
        """Things happened in the run."""
        sums = self._sums
        if sums is None:
            return
        over = False
        for event in happened:
            match event:
                case events.Launched():  # every speculation ends committed or wasted, and the run around may end first
                    sums.add(launched=1, wasted=1)
                case events.Committed():
                    sums.add(hits=1, wasted=-1)
                case events.StepSettled(tool_s=tool_s, waited_s=waited_s):
                    sums.add(hidden_ms=millis(tool_s - waited_s))
                case events.CallSettled(repeat=False):
                    sums.add(calls=1)
                case events.Denied() | events.Refused():
                    self._kept_back(event)
                case events.Discarded(tool=tool, reason=reason):
                    self._why[tool] = reason
                case events.ShadowLaunched(tool=tool):
                    self._why[tool] = "shadow"
                case events.Wasted(id=id):
                    self._wasted(id)
                case events.RunClosed():
                    over = True
                case _:
                    self._previews.take(event, self._latest)
        if over:
            self._closed(sums)

    # -- what becomes of it ------------------------------------------------------------------------------------------

    def _kept_back(self, event: events.Denied | events.Refused) -> None:
        """A candidate was not started."""
        self._why[event.tool] = event.reason
        step = self._steps.get(event.turn) if self._full else None
        if step is None:
            return
        outcome = "denied" if isinstance(event, events.Denied) else "refused"
        facts = {"tool": event.tool, "outcome": outcome, "reason": event.reason, "count": event.count}
        if isinstance(event, events.Denied):
            facts["detail"] = event.detail
        tags = ["speculation", f"speculation:{outcome}"]
        Child(step, _name(event.tool), {}).send(tags, facts, {"outcome": outcome}, ran_s=0)

    def _wasted(self, id: str) -> None:
        """The body of a discarded speculation has stopped."""
        guess = self._guesses.pop(id, None)
        if guess is None:
            return
        reason = guess.speculation.reason or Discard.FAILED
        outcome = OUTCOMES.get(reason, "wasted")
        self._send(guess, _waste(outcome), {**facts_of(guess.speculation, outcome), "reason": reason.value})

    def _closed(self, sums: Sums) -> None:
        """The run is over: what a call waited for that was cancelled is nobody's, and what still runs comes later."""
        for id, guess in list(self._guesses.items()):
            if guess.speculation.state is State.COMMITTED and self._guesses.pop(id, None) is not None:
                reason = {"reason": Discard.ABANDONED.value}
                self._send(guess, _waste("wasted"), {**facts_of(guess.speculation, "wasted"), **reason})
        around, self._steps, self._latest, sums.around = sums.around, {}, None, ()
        if self._scored and around and sums.own["calls"]:
            rate = round(sums.own["hits"] / sums.own["calls"], 4)
            scores = {"speculation_saved_ms": sums.own["hidden_ms"], "speculation_hit_rate": rate}
            threading.Thread(target=score, args=(around[0], scores, self.warn), daemon=True).start()

    def _send(self, guess: _Guess, tags: list[str], facts: Mapping[str, Any]) -> None:
        began, ended = guess.speculation.launched_at, guess.speculation.ended_at
        guess.run.send(
            ["speculation", *tags],
            facts,
            {"outcome": facts["outcome"], **guess.outputs},
            ran_s=None if ended is None else ended - began,
            begun=guess.begun,
        )


def _waste(outcome: str) -> list[str]:
    return ["speculation:wasted", *([] if outcome == "wasted" else [f"speculation:{outcome}"])]


def _name(tool: str) -> str:
    return f"speculate {tool}"
