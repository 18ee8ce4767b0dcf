"""One recorded run, played through the real core on a virtual clock.

The session decides as it does in a live graph: the same gate, admission, budgets, breakers and statistics. What differs
from a live run: bodies take the time they are said to take and answer what was recorded, and no second body is started
beside one that overruns (hedging), since those times say nothing of the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import MISS, Cancel, Command, Commit, Join, Launch, Proposal
from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.guesses import Guesses
from langgraph_speculate.core.provenance import provenance
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.slots import Guest
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.host.entry import TASK, keyable
from langgraph_speculate.host.reading import Reader, Reading
from langgraph_speculate.replay.body import Body
from langgraph_speculate.replay.previewer import Previewer
from langgraph_speculate.replay.script import RecordedCall, Script, Step
from langgraph_speculate.replay.simulation import Process
from langgraph_speculate.replay.stage import Stage as Place


@dataclass
class Played:
    """What came of playing a run.

    Attributes:
        seconds: From its first message to its last.
        tool_s: Seconds of them that steps waited for their tools.
    """

    seconds: float = 0.0
    tool_s: float = 0.0


class Play:
    """One run on a stage.

    Args:
        script: The run.
        place: The stage.
        ahead: Whether anything runs ahead; without, it is the plain agent.
    """

    def __init__(self, script: Script, place: Place, *, ahead: bool = True) -> None:
        self.script = script
        self.place = place
        self.played = Played()
        view = RunView(place.level, None, place.epochs(script.id))
        self.session = Session(f"r{place.next_run()}", view, place.policy.limits, None, place.economy)
        self._bodies: dict[str, Body] = {}
        self._ahead = ahead
        self._turn: _Turn | None = None
        recollection = place.recollection(script.id, view.epochs) if ahead else None
        self._previewer = None if recollection is None else Previewer(recollection, self)

    def process(self) -> Process:
        """Play it from its beginning to its end."""
        began = self.place.simulation.now
        for at, step in enumerate(self.script.steps):
            self._turn = turn = _Turn(f"t{at}", step, self) if self._ahead else None
            yield from self._write(step, at, turn)
            asked = self.place.simulation.now
            yield from [self.place.simulation.start(self._call(made, f"t{at}")) for made in step.calls]
            self.played.tool_s += self.place.simulation.now - asked
        self.played.seconds = self.place.simulation.now - began
        if self._previewer is not None:
            self._previewer.close()
        if self._ahead:
            self.do(self.session.close(self.place.simulation.now))
        self.place.publish(self.session)

    def _write(self, step: Step, at: int, turn: _Turn | None) -> Process:
        """The model writes its message."""
        asked = self.place.simulation.now
        began = asked if self._previewer is None else self._previewer.asked()
        seconds = self.place.clockwork.of_step(step, self.script, at)
        if turn is not None:
            turn.begin()
            if seconds and self.place.reads_streams:
                for share, event in step.pieces():
                    yield began + share * seconds
                    turn.reading.event(event)
        yield began + seconds
        if self._previewer is not None:
            self._previewer.wrote(seconds if began == asked else None)
        if turn is not None:
            turn.end()

    # -- real calls --------------------------------------------------------------------------------------------------

    def _call(self, made: RecordedCall, turn: str) -> Process:
        """A real call, from its arrival to its answer."""
        place, session, call = self.place, self.session, made.call
        facts, arrived = place.facts(call.name), place.simulation.now
        answer: Commit | Join | Remembered | object = MISS
        if self._ahead and keyable(call) is not None and session.may_answer(call.name):
            answer, commands = session.resolve(call, facts, TASK, arrived, call_id=made.id)
            self.do(commands)
        joined = isinstance(answer, Join)
        if self._previewer is not None and (joined or answer is MISS):
            self._previewer.tool_runs(made)
        if isinstance(answer, Join):
            waited_for = answer.speculation
            yield self._bodies[waited_for.id].over
            answer, commands = session.claim(waited_for, place.simulation.now)
            self.do(commands)
        now = place.simulation.now
        if isinstance(answer, Commit):
            place.brakes.adopted(call.name, facts.rule.tool, arrived)
            self._answered(made)
            hit = answer.speculation
            if facts.rule.tool is not None and facts.rule.tool.read_through:
                session.remember(Remembered.of(hit), made.result, len(made.result), now)
            self._settle(made, turn, now, hit=hit, joined=joined, waited_s=now - arrived, tool_s=hit.ran_s)
        elif isinstance(answer, Remembered):
            self._settle(made, turn, now, hit=None, joined=False, waited_s=0.0, tool_s=0.0, repeat=True)
        else:
            yield from self._execute(made, facts, turn, arrived)

    def _execute(self, made: RecordedCall, facts: ToolFacts, turn: str, arrived: float) -> Process:
        """The body of a real call that nothing has answered."""
        place, session, policy = self.place, self.session, facts.rule.tool
        began, draft = place.simulation.now, None
        place.brakes.began(facts.name, policy, began)
        tags: frozenset[str] = frozenset()
        if self._ahead:
            tags, commands = session.begin_call(facts, made.call, began)
            self.do(commands)
            draft = session.begin_read(made.call, facts, TASK, began) if keyable(made.call) is not None else None
        slot = place.queue(facts).enter()
        if not slot.is_open:
            yield slot
        yield place.simulation.now + place.clockwork.of_call(made.call, self.script, made.seconds)
        place.queue(facts).leave()
        now = place.simulation.now
        place.brakes.ended(facts.name, policy, None, now)
        if self._ahead:
            if draft is not None:
                session.remember(draft, made.result, len(made.result), now)
            session.end_call(tags, now)
            self._answered(made)
            self._settle(made, turn, now, hit=None, joined=False, waited_s=now - arrived, tool_s=now - began)

    def _answered(self, made: RecordedCall) -> None:
        if self._previewer is not None:
            self._previewer.tool_ended(made)

    def _settle(self, made: RecordedCall, turn: str, now: float, **how: object) -> None:
        self.session.settle(made.call.name, now=now, call=made.id, turn=turn, **how)  # type: ignore[arg-type]
        self.place.publish(self.session)

    # -- early bodies ------------------------------------------------------------------------------------------------

    def do(self, commands: Sequence[Command]) -> None:
        """Carry out what the session decided."""
        for command in commands:
            if isinstance(command, Launch):
                speculation = command.speculation
                self._bodies[speculation.id] = Body(speculation, self, self.place.facts(speculation.call.name))
            elif isinstance(command, Cancel) and not command.drain and command.id in self._bodies:
                self._bodies[command.id].stop()
        self.place.publish(self.session)

    def previewed(self, preview: str, call: DraftCall) -> None:
        """A preview of the next message has written a call."""
        if self._turn is not None:
            proposal, now = self._turn.proposal(Candidate(call.call(), 1.0, "preview")), self.place.simulation.now
            self.do(self.session.previewed(self._turn.id, preview, proposal, now))

    def finish(self, speculation: Speculation, outcome: Outcome, size: int, started: float | None) -> None:
        """An early body has ended."""
        self.do(self.session.finish(speculation.id, outcome, size, self.place.simulation.now, started))

    def guest(self, speculation: Speculation, facts: ToolFacts) -> Guest | None:
        """A body that leaves its slot to the first real call that finds none, if it can be stopped."""
        policy = facts.rule.tool
        if policy is None or speculation.drain:
            return None
        guest = Guest(speculation.worth, lambda: self._gives_way(speculation))
        self.place.brakes.began_early(facts.name, policy, guest)
        return guest

    def _gives_way(self, speculation: Speculation) -> bool:
        gone, commands = self.session.give_way(speculation.id, self.place.simulation.now)
        self.do(commands)
        return gone


class _Turn(Reader):
    """One message of the model: what is expected of it, and what its stream makes of that."""

    def __init__(self, id: str, step: Step, play: Play) -> None:
        self.id = id
        self._step = step
        self._play = play
        self._place = play.place
        self._told: Sequence[Candidate] = ()
        self._guesses = Guesses()
        self.reading = Reading(self, reads_text=play.place.forecaster.follows)

    def begin(self) -> None:
        """Its model call starts."""
        session, now = self._play.session, self._place.simulation.now
        self._play.do(session.begin_turn(self.id, now))
        self._told = self._place.forecaster.further(self._step.history, self._place.width)
        self._launch(session.predicted(self.id, self._proposals(self._told), now))

    def end(self) -> None:
        """Its message is complete."""
        session, calls = self._play.session, [made.call for made in self._step.calls]
        alive = session.alive_tools()
        wanted = [call for call in calls if call.name in alive and keyable(call) is not None]
        self._play.do(session.end_turn(self.id, calls, wanted, self._place.simulation.now))
        self._place.learn(self._step.history, self._step.text, calls)

    # -- what `Reading` tells ----------------------------------------------------------------------------------------

    def heard(self, stage: Stage) -> None:
        """The stream says more: squash what it rules out, and launch what it makes likely."""
        draft = self.reading.draft
        answer = self._place.forecaster.narrow(self._step.history, draft, self._told, self._place.width)
        ruled_out, new = self._guesses.heard(draft, answer)
        if ruled_out or new:
            proposals, now = self._proposals(new, stage), self._place.simulation.now
            self._launch(self._play.session.narrowed(self.id, ruled_out, proposals, now))

    def written(self, call: DraftCall) -> None:
        """A call is complete: it runs now, under its own id."""
        proposal = self.proposal(Candidate(call.call(), 1.0, "stream"), Stage.COMPLETE)
        self._launch(self._play.session.written(self.id, proposal, self._place.simulation.now))

    def doubts(self) -> bool:
        """Whether what is being written contradicts a guess that has fitted so far."""
        return self._guesses.doubted(self.reading.draft)

    def revised(self) -> None:
        """What was written is void."""
        self._play.do(self._play.session.revised(self.id, self._place.simulation.now))

    def failed(self, error: Exception) -> None:
        """What was written cannot be read."""
        self.revised()

    # -- launching ---------------------------------------------------------------------------------------------------

    def _launch(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Launch) and command.speculation.stage is not Stage.COMPLETE:
                call = command.speculation.call
                self._guesses.add(call.key, call, fits=command.speculation.stage is not Stage.BEGIN)
        self._play.do(commands)

    def _proposals(self, candidates: Sequence[Candidate], stage: Stage = Stage.BEGIN) -> list[Proposal]:
        return [self.proposal(candidate, stage) for candidate in candidates]

    def proposal(self, candidate: Candidate, stage: Stage = Stage.BEGIN) -> Proposal:
        """A call that may be made, with what is known of it."""
        name, history = candidate.call.name, self._step.history
        facts = self._place.known(name)
        call = None if facts is None else keyable(candidate.call)
        if facts is None or call is None:
            return Proposal(candidate, None, facts, TASK, stage=stage)
        found = provenance(call, history, self._place.trusts, keyable) if facts.leaves else None
        asked = sum(past.name == name for past in history.calls) if facts.counts_thread else 0
        return Proposal(candidate, call, facts, TASK, found=found, asked=asked, stage=stage)
