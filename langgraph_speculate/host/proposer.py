"""From a candidate to a proposal: what the gate is asked about it, and with what its tool would be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import ends_foresight, forbids
from langgraph_speculate.core.history import History
from langgraph_speculate.core.provenance import Provenance, provenance
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.host.approvals import may_reject
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import THREAD, Arguments, Entry, keyable
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.proposed import Body, Proposed
from langgraph_speculate.host.results import text_shown
from langgraph_speculate.host.toolbox import Toolbox

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class _Standing(NamedTuple):
    """What is the same for all guesses of a tool that are proposed together.

    Attributes:
        entry: The tool.
        venue: Where its body would run.
        call_id: The id of the model's own call, if the tool is handed that.
        is_barred: Whether none may run ahead, whatever its arguments.
    """

    entry: Entry
    venue: str
    call_id: str | None
    is_barred: bool


class Proposer:
    """Makes proposals out of candidates.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        toolbox: The graph's tools.
        view: What the gate may know about the run.
        is_async: Whether the run has an event loop.
    """

    def __init__(self, engine: Engine, driver: Driver, toolbox: Toolbox, view: RunView, is_async: bool) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._view = view
        self._is_async = is_async

    def may_launch(self) -> bool:
        """Whether any call could run ahead in this run but for its level, be it once the model has written it."""
        return any(
            forbids(entry.facts, self._toolbox.venue(entry.facts, self._is_async), self._view, "") is None
            for entry in self._toolbox
        )

    def propose(
        self,
        candidates: Sequence[Candidate],
        history: History,
        place: Place,
        stage: Stage = Stage.BEGIN,
        call_id: str | None = None,
        depth: int = 1,
    ) -> Proposed:
        """What the gate is to be asked about *candidates*.

        Args:
            candidates: The candidates, best first.
            history: What the run has seen so far.
            place: The model's node.
            stage: How much of the model's message is known.
            call_id: The id of the model's own call, if there is one.
            depth: How many messages ahead they are.
        """
        made = Proposed()
        standings: dict[str, _Standing | None] = {}  # most guesses are of the same few tools
        for candidate in candidates:
            name = candidate.call.name
            if name not in standings:
                standings[name] = self._standing(name, place, call_id, depth)
            standing = standings[name]
            if standing is None:
                proposal = Proposal(candidate, None, None, THREAD, stage=stage, depth=depth)
            else:
                facts, id = standing.entry.facts, standing.call_id
                proposal = Proposal(candidate, None, facts, standing.venue, stage=stage, call_id=id, depth=depth)
                if not standing.is_barred:
                    proposal = self._fitted(proposal, standing.entry, made, history, place)
            made.proposals.append(proposal)
        made.headroom = self._toolbox.headroom(place.state) if made.bodies else None
        return made

    def _standing(self, name: str, place: Place, call_id: str | None, depth: int) -> _Standing | None:
        entry = self._entry(name, place)
        if entry is None:
            return None
        id = (call_id or None) if entry.takes_id else None  # an empty one tells no call from another
        venue = self._toolbox.venue(entry.facts, self._is_async)
        return _Standing(entry, venue, id, forbids(entry.facts, venue, self._view, id, depth) is not None)

    def _entry(self, name: str, place: Place) -> Entry | None:
        """What is known about a tool here: callback handlers may stand before it in one run, and not in another."""
        entry = self._toolbox.get(name)
        if entry is None or entry.facts.gated or self._engine.policy.approval_gated != "auto":
            return entry
        asked = place.may_reject or may_reject(entry.tool.callbacks)
        return replace(entry, facts=replace(entry.facts, gated=True)) if asked else entry

    def _fitted(self, unfit: Proposal, entry: Entry, made: Proposed, history: History, place: Place) -> Proposal:
        """The proposal with the call as the tool's body would receive it, if its arguments fit."""
        candidate, name = unfit.candidate, entry.facts.name
        arguments = self.coerced(entry, candidate.call.args, place, place.state, unfit.call_id)
        call = None if arguments is None else keyable(entry.call(arguments))
        if call is None or arguments is None or keyable(candidate.call) is None:
            return unfit
        try:
            circumstances = entry.circumstances(place.circumstances, arguments, place.config)
        except Exception:  # noqa: BLE001 - a value of the caller's: what cannot be compared later is not run
            return unfit
        found = self._provenance(call, history, place) if entry.facts.leaves else None
        made.calls[call.key], made.raw[call.key] = call, candidate.call
        made.bodies[call.key] = Body(entry, arguments, candidate.call.args, found)
        asked = sum(past.name == name for past in history.calls) if entry.facts.counts_thread else 0
        against = place.objection(call)
        return replace(unfit, call=call, circumstances=circumstances, objection=against, found=found, asked=asked)

    def without_arguments(self, name: str, chance: float, history: History, place: Place) -> Proposal | None:
        """What the gate is to be asked about a tool whose arguments nobody knows, or None if there is none.

        Args:
            name: The tool's name.
            chance: That it is called, with whatever arguments.
            history: What the run has seen so far.
            place: The model's node.
        """
        entry, call = self._entry(name, place), Call(name)
        if entry is None:
            return None
        venue = self._toolbox.venue(entry.facts, self._is_async)
        found = self._provenance(call, history, place) if entry.facts.leaves else None
        against = place.objection(call)
        # What comes with the call alone (its id) is no reason against what needs no call.
        return Proposal(Candidate(call, chance), call, entry.facts, venue, objection=against, found=found, call_id="")

    def as_received(self, call: Call, place: Place) -> Call | None:
        """The call as the tool's body will receive it."""
        entry = self._toolbox.get(call.name)
        if entry is None or entry.injection is not None:  # its state is not known here; the model's own words will do
            return keyable(call)
        arguments = self.coerced(entry, call.args, place)
        return keyable(call if arguments is None else entry.call(arguments))

    def coerced(
        self,
        entry: Entry,
        args: Mapping[str, Any],
        place: Place,
        state: Callable[[], Mapping[str, Any]] = dict,
        call_id: str | None = None,
    ) -> Arguments | None:
        """What an entry makes of raw arguments, off the record."""
        look = place.look(entry.facts) if entry.runs_code else None
        arguments = entry.coerce(args, look, state, call_id)
        if look is not None and look.taint is not None:
            self._engine.trip(entry.facts.name, look.taint)
        return arguments

    def _provenance(self, call: Call, history: History, place: Place) -> Provenance:
        return provenance(call, history, self._toolbox.trusts, lambda past: self.as_received(past, place))

    def ends_foresight(self, call: Call) -> bool:
        """Whether nothing may be looked for behind a call that the model has made."""
        entry = self._toolbox.get(call.name)
        return ends_foresight(None if entry is None else entry.facts)

    def shown(self, speculation: Speculation) -> str | None:
        """The text that the model would see of a result that waits to be adopted, if that can be told."""
        entry, outcome = self._toolbox.get(speculation.call.name), speculation.outcome
        return None if entry is None or outcome is None else text_shown(entry.tool, outcome.value)
