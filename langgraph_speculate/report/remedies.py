"""What reasons mean, and what to change if one of them stands in the way too often."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.speculation import Discard
from langgraph_speculate.policy.checks import printable

_AS_IT_SHOULD_BE = "nothing: this is how it should be"
_TIME_OF_RESULTS = "a larger ttl_s of the tool, if its results stay true for longer"
_RESOURCES = "name what tools read and write more narrowly (reads, writes), or separate users with partition_by"
_BUDGET = "the setting of that name under [limits]"

_REMEDIES: Mapping[str, str] = {
    Reason.UNKNOWN_TOOL: "hand tools that nodes fetch at run time to speculate(tools=[…]), each name once",
    Reason.PIN: "look at what changed, and set pin to the new fingerprint if you agree with it",
    Reason.NOT_READ_ONLY: "read_only = true if it only reads; nothing if it writes",
    Reason.OPEN_WORLD: 'level = "open_world" and disclosure, if outsiders may learn what the user has not asked for',
    Reason.GATED: "nothing: whoever approves calls should see them first",
    Reason.BLOCKED: "name middleware that lets calls through unchanged in transparent",
    Reason.EGRESS: "allowed_hosts, if the destination is one that you trust",
    Reason.GUARD: "ask the guard: it is yours",
    Reason.RETURN_DIRECT: _AS_IT_SHOULD_BE,
    Reason.INJECTED: 'reads_state with the keys of the state that it reads, or uses = ["context"] if it takes the '
    "runtime and reads no state; its own id is there once the call is written",
    Reason.TRIPPED: "let the tool read no streams, stores or callbacks of its run, or leave it undeclared",
    Reason.TTL_ZERO: "ttl_s above 0, if its results stay true for a moment",
    Reason.VENUE: "give the tool an async body as well, or a sync one",
    Reason.INVALID_ARGUMENTS: "nothing: the guess did not fit, and the next ones learn from that",
    Reason.PENDING_WRITE: _RESOURCES,
    Reason.SHADOW: 'level = "declared", once you like what would be foreseen',
    Reason.OTHER_CALL: _AS_IT_SHOULD_BE,
    Reason.CHANGED: "reads_state with fewer keys of the state, if it needs fewer",
    Reason.EXPIRED: _TIME_OF_RESULTS,
    Reason.STALE: _RESOURCES,
    Reason.GATE_ERROR: "report it: the gate should never fail",
    Refusal.LOW_PROBABILITY: "a lower eagerness of the tool, if waste costs little",
    Refusal.NOT_WORTH_IT: "a lower thrift, if waste costs little; it changes by itself as more is learned",
    Refusal.TOO_FAST: "nothing: there is no time to be saved",
    Refusal.DUPLICATE: _AS_IT_SHOULD_BE,
    Refusal.MAX_PER_TURN: _BUDGET,
    Refusal.MAX_IN_FLIGHT: _BUDGET,
    Refusal.MAX_PER_RUN: _BUDGET,
    Refusal.MAX_IN_PROCESS: _BUDGET,
    Refusal.MAX_WASTED: _BUDGET,
    Refusal.MAX_WASTED_S: _BUDGET,
    Refusal.MAX_WASTED_THREAD: _BUDGET,
    Refusal.MAX_GHOST: _BUDGET,
    Refusal.REMEMBERED: _AS_IT_SHOULD_BE,
    Refusal.BREAKER: "nothing: it is tried again by itself",
    Refusal.COOLING_DOWN: "look after the service; it is asked again by itself",
    Refusal.SLOTS: "more slots for its host, if the service bears them",
    Refusal.RATE: "a larger rate for its host, or a larger rate_share, if the service bears them",
}

_MEANINGS: Mapping[str, str] = {
    Reason.UNDECLARED: "nobody said that it only reads",
    Reason.CONTEXT: "it reads context variables, or thread-locals, that an early call does not see",
    Refusal.LOW_PROBABILITY: "less likely than its eagerness asks for",
    Refusal.NOT_WORTH_IT: "expected to cost more than it saves",
    Refusal.TOO_FAST: "its tool answers so fast that there is nothing to gain",
    Refusal.DUPLICATE: "the same call was started already",
    Refusal.MAX_PER_TURN: "enough guesses of this model step stood already",
    Refusal.MAX_IN_FLIGHT: "enough guesses of this run were running already",
    Refusal.MAX_PER_RUN: "this run had made enough guesses",
    Refusal.MAX_IN_PROCESS: "enough guesses of this process were running already",
    Refusal.MAX_WASTED: "too many guesses of this run had been in vain",
    Refusal.MAX_WASTED_S: "guesses of this run had been in vain for too long",
    Refusal.MAX_WASTED_THREAD: "too many guesses of this thread had been in vain",
    Refusal.MAX_GHOST: "outsiders had seen enough calls that nobody asked for",
    Refusal.REMEMBERED: "the run has an answer that may be given again",
    Refusal.CALL_LIMIT: "the limit on its calls leaves no room for one that nobody may want",
    Refusal.BREAKER: "guesses like it have cost more than they saved: only scored for a while",
    Refusal.COOLING_DOWN: "its service is overloaded or failing, and left alone for a while",
    Refusal.SLOTS: "its service could not have served a real call as well",
    Refusal.RATE: "its service's rate is left to real calls",
    Discard.CONTRADICTED: "the model’s message did not ask for it",
    Discard.MODEL_FAILED: "the model’s message broke off",
    Discard.EXPIRED: "nobody asked for it in time",
    Discard.STALE: "something it read was written",
    Discard.FAILED: "the tool raised",
    Discard.TAINTED: "it reached for something only a real call may have",
    Discard.TOO_LARGE: "its result was larger than max_result_bytes",
    Discard.EVICTED: "newer results needed its place",
    Discard.OVERRUN: "a real call waited for it too long",
    Discard.ABANDONED: "the real call that waited for it was cancelled",
    Discard.DENIED: "the gate no longer let its result be used",
    Discard.LINEAGE: "it rested on a guess that came to nothing",
    Discard.NO_SLOT: "no thread was free",
    Discard.PREEMPTED: "it made room for something better",
    Discard.YIELDED: "a real call needed its slot",
    Discard.RUN_ENDED: "the run was over",
    Discard.HEDGED: "of two bodies of one call, the other was first",
}
_REMEDY_IN_DETAIL = frozenset({Reason.UNDECLARED, Reason.CONTEXT, Reason.CALL_LIMIT})


def meaning(reason: str) -> str:
    """What a refusal or a discard says with its reason; nothing for a reason that this version does not know.

    >>> meaning("stale")
    'something it read was written'
    """
    return _MEANINGS.get(reason, "")


def remedy(reason: str) -> str:
    """What to change if guesses are held back for a reason.

    >>> remedy("max_per_turn")
    'the setting of that name under [limits]'
    """
    return _REMEDIES.get(reason, "")


def advice(reason: str, detail: str) -> tuple[str, str]:
    """Why the gate denied something, and what to change; its detail holds the one or the other.

    >>> advice("undeclared", "declare [tools.get] read_only = true if it only reads")
    ('nobody said that it only reads', 'declare [tools.get] read_only = true if it only reads')
    """
    if reason in _REMEDY_IN_DETAIL:
        return meaning(reason), printable(detail, 300)
    return printable(detail, 300) or meaning(reason), remedy(reason)
