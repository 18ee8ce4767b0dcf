"""What deciding costs: microseconds that the core takes over the 16 candidates of a model turn.

    python -m benchmarks.decisions

Gate, admission and budgets of one run, without a host: no graph, no tool, no clock. The canonical keys of the calls are
there before, because the host needs them to fit arguments to a tool's schema; what they take is told beside. The
median turn and the 99th percentile, on one core, the garbage collector at rest. A turn is over long before the system
gives the core to somebody else, so a busy machine shows in the percentile rather than in the median.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.command import rounds_parser, show
from benchmarks.surroundings import no_collection, one_core
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Launch, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

_FIRST_LINE = (__doc__ or "").split("\n")[0]
CANDIDATES = 16
LIMIT_US = 50.0
TURNS = 12  # of a run; its budget bears three launches in each
GOOD, POOR, UNDECLARED, MIXED = "likely reads", "unlikely reads", "undeclared tools", "reads, writes, repeats"
_TOOLS = 8


def _facts(number: int, *, read_only: bool = True) -> ToolFacts:
    policy = ToolPolicy(read_only=read_only, reads=("order:{order_id}",), run_limit=1000)
    return ToolFacts(f"tool_{number}", Rule(policy, f"tools.tool_{number}"))


_READS = [_facts(number) for number in range(_TOOLS)]
_WRITES = [_facts(number, read_only=False) for number in range(_TOOLS)]
_NOBODYS = [ToolFacts(f"tool_{number}", Rule(None, "")) for number in range(_TOOLS)]


def proposals(kind: str, turn: int) -> list[Proposal]:
    """The candidates of one turn, best first, none made before."""
    made = []
    for number in range(CANDIDATES):
        facts = (_NOBODYS if kind == UNDECLARED else _READS)[number % _TOOLS]
        if kind == MIXED and number % 3 == 1:
            facts = _WRITES[number % _TOOLS]
        order = turn * CANDIDATES + (number // 2 if kind == MIXED else number)
        args = {"order_id": f"#W{order:07}", "fields": ["status", "items"], "verbose": True}
        probability = 0.001 if kind == POOR else 0.9 / (1 + number / 4)
        call = Call(facts.name, args)
        made.append(Proposal(Candidate(call, probability, "made up"), call, facts, "thread"))
    return made


@dataclass
class Costs:
    """What turns took.

    Attributes:
        decisions: Microseconds of each.
        keys: The same for the keys of its candidates.
        launches: In all.
    """

    decisions: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    launches: int = 0


def turns(kind: str, runs: int) -> Costs:
    """What the turns of so many runs took."""
    costs = Costs()
    for number in range(runs):
        session = Session(f"run {number}", RunView("declared", None, Epochs()), Limits())
        for turn in range(TURNS):
            name, now = f"turn {turn}", float(turn)
            session.begin_turn(name, now)
            candidates = proposals(kind, turn)
            began = time.perf_counter_ns()
            for proposal in candidates:
                _ = proposal.candidate.call.key
            keyed = time.perf_counter_ns()
            commands = session.predicted(name, candidates, now)
            decided = time.perf_counter_ns()
            costs.keys.append((keyed - began) / 1e3)
            costs.decisions.append((decided - keyed) / 1e3)
            for command in commands:
                if isinstance(command, Launch):  # its body ends within the turn, so that the next has room
                    costs.launches += 1
                    session.finish(command.speculation.id, Outcome("done"), 4, now + 0.1, now)
            session.end_turn(name, [], [], now + 0.5)
            session.take_events()
        session.close(float(TURNS))
    return costs


def measure(runs: int) -> dict[str, Any]:
    """Every kind of candidates."""
    kinds = {}
    with one_core():
        for kind in (GOOD, POOR, UNDECLARED, MIXED):
            turns(kind, 2)
            with no_collection():
                costs = turns(kind, runs)
            median = statistics.median(costs.decisions)
            kinds[kind] = {
                "median_us": median,
                "p99_us": sorted(costs.decisions)[int(len(costs.decisions) * 0.99)],
                "keys_us": statistics.median(costs.keys),
                "launches_a_turn": costs.launches / len(costs.decisions),
                "within": median <= LIMIT_US,
            }
    return {"candidates": CANDIDATES, "turns": runs * TURNS, "limit_us": LIMIT_US, "kinds": kinds}


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{report['candidates']} candidates a turn, {report['turns']} turns; at most {report['limit_us']:.0f} µs"
    yield f"{'µs a turn':24} {'median':>7} {'p99':>7} {'keys':>6} {'launches a turn':>16}"
    for kind, f in report["kinds"].items():
        yield (
            f"{kind:24} {f['median_us']:7.1f} {f['p99_us']:7.1f} {f['keys_us']:6.1f} {f['launches_a_turn']:16.1f}"
            f"{'' if f['within'] else '  OVER'}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    options = rounds_parser("decisions", _FIRST_LINE, rounds=200).parse_args(argv)
    show(measure(options.rounds), table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
