"""Why a call may not run ahead: every reason by itself, in order, and denial whenever the gate is in doubt."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import Moment, RunView, ToolFacts
from langgraph_speculate.core.gate import ALLOW, Allow, Deny, Reason, decide, forbids
from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import Rule, ToolPolicy

CALL = Call("get_order", {"id": 7})
THREAD = "thread"


def facts(*, policy: dict[str, Any] | None = None, declared: bool = True, **changed: Any) -> ToolFacts:
    settings = {"read_only": True, "reads": ("order:{id}",), **(policy or {})}
    rule = Rule(ToolPolicy(**settings), "tools.get_order") if declared else Rule(None, "undeclared")
    return ToolFacts(**{"name": "get_order", "rule": rule, **changed})


def view(*, writing: set[str] | None = None, **changed: Any) -> RunView:
    epochs = Epochs()
    if writing:
        epochs.begin_write(frozenset(writing))
    return RunView(**{"level": "declared", "blocked": None, "epochs": epochs, **changed})


def launched(at: float = 100.0, **changed: Any) -> Speculation:
    settings: dict[str, Any] = {
        "id": "r:1",
        "call": CALL,
        "turn": "t",
        "step": 3,
        "probability": 0.5,
        "source": "",
        "venue": THREAD,
        "reads": frozenset({"order:7"}),
        "epoch": 0,
        "ttl_s": 10.0,
        "scope": "step",
        "drain": True,
        "launched_at": at,
    }
    return Speculation(**{**settings, **changed})


def commit(speculation: Speculation, tool: ToolFacts | None, run: RunView, *, step: int = 3, now: float = 105.0) -> Any:
    return decide(CALL, tool, THREAD, run, commits=speculation, real=Moment(now, step))


# -- each reason by itself ---------------------------------------------------------------------------------------------

STATIC: dict[Reason, tuple[ToolFacts | None, str, RunView, str]] = {
    Reason.UNKNOWN_TOOL: (None, THREAD, view(), "no reachable tool"),
    Reason.PIN: (facts(changed="its description changed", declared=False), THREAD, view(), "description changed"),
    Reason.UNDECLARED: (facts(declared=False), THREAD, view(), "[tools.get_order] read_only = true"),
    Reason.NOT_READ_ONLY: (facts(policy={"read_only": False}), THREAD, view(), "tools.get_order"),
    Reason.OPEN_WORLD: (facts(policy={"open_world": True}), THREAD, view(), "open_world = true"),
    Reason.GATED: (facts(gated=True), THREAD, view(), "approval"),
    Reason.CONTEXT: (facts(variables=frozenset({"tenant"})), THREAD, view(), "list tenant in propagate_context"),
    Reason.BLOCKED: (facts(), THREAD, view(blocked="a static interrupt"), "a static interrupt"),
    Reason.CALL_LIMIT: (facts(limited=("run_limit", "thread_limit")), THREAD, view(), "run_limit and thread_limit"),
    Reason.RETURN_DIRECT: (facts(return_direct=True), THREAD, view(), "ends the run"),
    Reason.INJECTED: (facts(injected=frozenset({"store", "state"})), THREAD, view(), "state, store"),
    Reason.CONTEXT: (facts(variables=frozenset({"tenant", "locale"})), THREAD, view(), "locale, tenant"),
    Reason.TRIPPED: (facts(), THREAD, view(tripped={"get_order"}), "only a real call may have"),
    Reason.TTL_ZERO: (facts(policy={"ttl_s": 0}), THREAD, view(), "ttl_s = 0"),
    Reason.VENUE: (facts(), "task", view(), "task"),
}


@pytest.mark.parametrize("reason", STATIC)
def test_what_the_tool_is_forbids_every_call_of_it(reason: Reason):
    """
    At issue and before arguments are known, each reason says so in words that name the place to look.
    """
    tool, venue, run, words = STATIC[reason]
    verdict = decide(CALL, tool, venue, run)
    assert isinstance(verdict, Deny)
    assert (verdict.reason, words in verdict.detail) == (reason, True)
    assert decide(None, tool, venue, run) == verdict
    assert forbids(tool, venue, run) == verdict


@pytest.mark.parametrize(
    ("tool", "reason", "words"),
    [
        (
            facts(thread_locals=frozenset({"session", "local"})),
            Reason.CONTEXT,
            "uses local, session, of which each thread has its own",
        ),
        (facts(unclear="looking at it fails with TypeError: no"), Reason.UNKNOWN_TOOL, "TypeError: no"),
    ],
    ids=["thread_locals", "unclear"],
)
def test_reasons_that_have_several_causes_name_each(tool: ToolFacts, reason: Reason, words: str):
    """
    A value that each thread has its own of, and a tool that nothing can be said about.
    """
    verdict = forbids(tool, THREAD, view())
    assert verdict is not None
    assert (verdict.reason, words in verdict.detail) == (reason, True)


def test_values_of_threads_forbid_nothing_on_the_runs_own_or_where_any_will_do():
    """
    A coroutine runs ahead on the thread of its run; and what a tool keeps for each thread may say nothing of whom it
    works for.
    """
    tool = facts(thread_locals=frozenset({"local"}))
    own = facts(policy={"read_only": True, "uses": ["thread_locals"]}, thread_locals=frozenset({"local"}))
    assert forbids(dataclasses.replace(tool, venues=frozenset({"task"})), "task", view()) is None
    assert forbids(own, THREAD, view()) is None


@pytest.mark.parametrize("reason", STATIC)
def test_what_forbids_a_launch_forbids_a_commit(reason: Reason):
    """
    The gate is asked again when a real call wants the result: what became true since counts.
    """
    tool, venue, run, _ = STATIC[reason]
    verdict = decide(CALL, tool, venue, run, commits=launched(), real=Moment(101.0, 3))
    assert isinstance(verdict, Deny)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("call", "run", "reason", "words"),
    [
        (None, view(), Reason.INVALID_ARGUMENTS, "schema"),
        (CALL, view(writing={"order:7"}), Reason.PENDING_WRITE, "being written"),
        (CALL, view(writing={"*"}), Reason.PENDING_WRITE, "being written"),
        (CALL, view(level="shadow"), Reason.SHADOW, "shadow"),
        (CALL, view(level="off"), Reason.SHADOW, "off"),
        (CALL, view(level=""), Reason.SHADOW, ""),
        (None, view(level="shadow"), Reason.INVALID_ARGUMENTS, "schema"),
    ],
)
def test_what_the_call_is_forbids_a_launch(call: Call | None, run: RunView, reason: Reason, words: str):
    """
    A guess that fits no schema, a read of what is being written, and every guess where nothing may run.
    """
    verdict = decide(call, facts(), THREAD, run)
    assert isinstance(verdict, Deny)
    assert (verdict.reason, words in verdict.detail) == (reason, True)
    assert forbids(facts(), THREAD, run) is None


@pytest.mark.parametrize("level", ["off", "shadow", "declared", "annotated", "open_world"])
def test_what_rests_on_annotations_needs_their_level(level: str):
    """
    The environment may lower the level after the graph was wrapped.
    """
    tool = facts(rule=Rule(ToolPolicy(read_only=True), "annotations of server 'billing'", needs="annotated"))
    verdict = decide(CALL, tool, THREAD, view(level=level))
    assert (verdict is ALLOW) is (level in ("annotated", "open_world"))
    assert level != "declared" or verdict.reason is Reason.UNDECLARED  # type: ignore[union-attr]


def test_why_a_rule_says_no_is_told_in_its_own_words():
    """
    An entry that a server's annotations narrowed does not say what it then amounts to.
    """
    for policy in (None, ToolPolicy(), ToolPolicy(read_only=True, open_world=True)):
        verdict = decide(CALL, facts(rule=Rule(policy, "tools.get_order", "its server says no")), THREAD, view())
        assert isinstance(verdict, Deny)
        assert verdict.detail == "its server says no"


@pytest.mark.parametrize("run", [view(), view(writing={"order:8", "stock"}), view(tripped={"other"})])
def test_a_declared_read_may_run_ahead(run: RunView):
    """
    Nothing forbids it: neither other tools' trips, nor writes elsewhere.
    """
    assert decide(CALL, facts(), THREAD, run) is ALLOW
    assert forbids(facts(), THREAD, run) is None


# -- commit ------------------------------------------------------------------------------------------------------------


def test_a_fresh_result_of_this_step_may_be_used():
    """
    Up to the last instant of its time to live.
    """
    assert commit(launched(), facts(), view(), now=100.0) is ALLOW
    assert commit(launched(), facts(), view(), now=110.0) is ALLOW


@pytest.mark.parametrize(
    ("speculation", "step", "now", "words"),
    [
        (launched(), 3, 110.001, "ttl_s = 10"),
        (launched(ttl_s=0.5), 3, 100.6, "ttl_s = 0.5"),
        (launched(), 4, 101.0, "turn is over"),
        (launched(), 2, 101.0, "turn is over"),
        (launched(scope="run"), 9, 110.5, "ttl_s = 10"),
    ],
)
def test_an_old_result_is_expired(speculation: Speculation, step: int, now: float, words: str):
    """
    Past its time to live, and past its own step unless its owner said otherwise.
    """
    verdict = commit(speculation, facts(), view(), step=step, now=now)
    assert isinstance(verdict, Deny)
    assert (verdict.reason, words in verdict.detail) == (Reason.EXPIRED, True)


def test_a_result_kept_for_the_run_survives_its_step():
    """
    `scope = "run"` is the owner's word that it stays right.
    """
    assert commit(launched(scope="run"), facts(), view(), step=9) is ALLOW


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("tag", ["order:7", "order:*", "*"])
def test_a_result_whose_resource_was_written_is_stale(tag: str, ended: bool):
    """
    The write need not have ended to count.
    """
    run = view()
    speculation = launched(epoch=run.epochs.now)
    run.epochs.begin_write(frozenset({tag}))
    if ended:
        run.epochs.end_write(frozenset({tag}))
    verdict = commit(speculation, facts(), run)
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.STALE


def test_a_result_whose_neighbour_was_written_is_not_stale():
    """
    Only what it read counts.
    """
    run = view()
    speculation = launched(epoch=run.epochs.now)
    run.epochs.begin_write(frozenset({"order:8"}))
    assert commit(speculation, facts(), run) is ALLOW


@pytest.mark.parametrize("level", ["shadow", "off"])
def test_nothing_is_used_where_nothing_may_run(level: str):
    """
    At commit the level is asked again, like every other rule.
    """
    assert commit(launched(), facts(), view(level=level)) != ALLOW


@pytest.mark.parametrize("call", [None, Call("get_order", {"id": 8}), Call("get_order", {"id": "7"})])
def test_the_result_of_another_call_is_never_used(call: Call | None):
    """
    The table matches by key; the gate, asked about two calls, does not take that on trust.
    """
    assert decide(call, facts(), THREAD, view(), commits=launched(), real=Moment(101.0, 3)) != ALLOW


@pytest.mark.parametrize("ttl_s", [math.nan, -1.0, math.inf, "10"])
def test_a_time_to_live_that_never_ends_cannot_be_declared(ttl_s: Any):
    """
    Comparisons with NaN are always false: the policy keeps it out, so the gate need not ask.
    """
    with pytest.raises(PolicyError):
        ToolPolicy(read_only=True, ttl_s=ttl_s)


# -- in doubt ----------------------------------------------------------------------------------------------------------


class Raises:
    """Whatever is asked of it, it raises."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def __getattribute__(self, name: str) -> Any:
        raise object.__getattribute__(self, "error")

    def __bool__(self) -> bool:
        raise object.__getattribute__(self, "error")

    def __contains__(self, item: object) -> bool:
        raise object.__getattribute__(self, "error")

    def __iter__(self) -> Any:
        raise object.__getattribute__(self, "error")

    def __eq__(self, other: object) -> bool:
        raise object.__getattribute__(self, "error")

    def __hash__(self) -> int:
        return 0


class Unprintable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


ERRORS = [RuntimeError("x"), AttributeError("x"), KeyError("x"), RecursionError(), AssertionError(), StopIteration()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["tool", "rule", "policy", "view", "epochs", "tripped", "call", "commits"])
@pytest.mark.parametrize("commits", [False, True])
def test_whatever_fails_inside_the_gate_is_a_denial(error: Exception, place: str, commits: bool):
    """
    Doubt means no, whichever part of what the gate looks at breaks.
    """
    bad: Any = Raises(error)
    tool: Any = {"tool": bad, "rule": facts(rule=bad), "policy": facts(rule=Rule(bad, "x"))}.get(place, facts())
    run: Any = {"view": bad, "epochs": view(epochs=bad), "tripped": view(tripped=bad)}.get(place, view())
    speculation: Any = bad if place == "commits" else launched()
    verdict = decide(
        bad if place == "call" else CALL,
        tool,
        THREAD,
        run,
        commits=speculation if commits else None,
        real=Moment(101.0, 3),
    )
    if (place == "call" and commits) or (place == "commits" and not commits):
        return  # not looked at
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.GATE_ERROR
    assert type(error).__name__ in verdict.detail


@pytest.mark.parametrize("place", ["tool", "call"])
def test_an_error_that_cannot_be_shown_is_a_denial_too(place: str):
    """
    Saying why must not undo saying no.
    """
    bad: Any = Raises(Unprintable())
    verdict = decide(bad if place == "call" else CALL, bad if place == "tool" else facts(), THREAD, view())
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.GATE_ERROR


def test_a_result_of_other_circumstances_is_never_used():
    """
    Another user, other tags: the tool might have answered something else.
    """
    speculation = launched(circumstances={"user": "ann"})
    verdicts = [
        decide(CALL, facts(), THREAD, view(), commits=speculation, real=Moment(101.0, 3, {"user": user}))
        for user in ("ann", "bob")
    ]
    assert verdicts[0] is ALLOW
    assert isinstance(verdicts[1], Deny)
    assert verdicts[1].reason is Reason.CHANGED


@pytest.mark.parametrize("objection", ["guard mine said no", ""])
def test_a_guard_that_objects_denies_at_issue_and_at_commit(objection: str):
    """
    Whatever its words: only None means that no guard objects.
    """
    launches = decide(CALL, facts(), THREAD, view(), objection=objection)
    real = Moment(101.0, 3, objection=objection)
    commits = decide(CALL, facts(), THREAD, view(), commits=launched(), real=real)
    assert launches == commits == Deny(Reason.GUARD, objection)


@pytest.mark.parametrize(
    ("level", "disclosure", "allowed"),
    [
        ("declared", "declared", False),
        ("annotated", "declared", False),
        ("open_world", "none", False),
        ("open_world", "same_args_only", True),
        ("open_world", "declared", True),
    ],
)
def test_what_leaves_the_trust_boundary_needs_its_level_and_a_disclosure(level: str, disclosure: str, allowed: bool):
    """
    Neither alone is enough, and somebody must have looked where it goes.
    """
    tool = facts(policy={"open_world": True, "disclosure": disclosure})
    assert (decide(CALL, tool, THREAD, view(level=level), found=Provenance()) is ALLOW) is allowed
    assert isinstance(decide(CALL, tool, THREAD, view(level=level)), Deny)


@pytest.mark.parametrize(
    "found",
    [None, Provenance(complaint="no public address"), Provenance(frozenset({"a.org"}), None, frozenset({"a.org"}))],
)
def test_a_call_that_goes_where_nobody_trusted_sent_it_is_denied(found: Provenance | None):
    """
    The rule itself has tests of its own; the gate asks it.
    """
    tool = facts(policy={"open_world": True, "disclosure": "declared"})
    verdict = decide(CALL, tool, THREAD, view(level="open_world"), found=found)
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.EGRESS


def test_stopping_the_process_is_no_denial():
    """
    Ctrl-C goes through.
    """
    with pytest.raises(KeyboardInterrupt):
        decide(CALL, Raises(KeyboardInterrupt()), THREAD, view())  # type: ignore[arg-type]


# -- in words ---------------------------------------------------------------------------------------------------------

AHEAD = facts(policy={"open_world": True, "disclosure": "declared"})
NARROWED = Rule(ToolPolicy(), "tools.get_order", "its server says no")
OPENED = Rule(ToolPolicy(read_only=True, open_world=True), "tools.get_order", "its server says open")
SENTENCES: list[tuple[ToolFacts | None, str, RunView, Deny]] = [
    (None, THREAD, view(), Deny(Reason.UNKNOWN_TOOL, "the graph has no reachable tool of that name")),
    (facts(changed="it grew"), THREAD, view(), Deny(Reason.PIN, "it grew")),
    (
        facts(declared=False),
        THREAD,
        view(),
        Deny(Reason.UNDECLARED, "declare [tools.get_order] read_only = true if it only reads"),
    ),
    (facts(rule=Rule(None, "undeclared", "why")), THREAD, view(), Deny(Reason.UNDECLARED, "why")),
    (
        facts(rule=Rule(ToolPolicy(read_only=True), "annotations of server 'a'", needs="annotated")),
        THREAD,
        view(),
        Deny(Reason.UNDECLARED, "annotations of server 'a' need the level annotated"),
    ),
    (
        facts(policy={"read_only": False}),
        THREAD,
        view(),
        Deny(Reason.NOT_READ_ONLY, "tools.get_order does not say read_only = true"),
    ),
    (facts(rule=NARROWED), THREAD, view(), Deny(Reason.NOT_READ_ONLY, "its server says no")),
    (
        AHEAD,
        THREAD,
        view(),
        Deny(Reason.OPEN_WORLD, "tools.get_order says open_world = true, and level is declared"),
    ),
    (facts(rule=OPENED), THREAD, view(), Deny(Reason.OPEN_WORLD, "its server says open")),
    (facts(rule=OPENED), THREAD, view(level="open_world"), Deny(Reason.OPEN_WORLD, "its server says open")),
    (
        facts(policy={"open_world": True}),
        THREAD,
        view(level="open_world"),
        Deny(Reason.OPEN_WORLD, "tools.get_order does not say what an early call may disclose"),
    ),
    (facts(gated=True), THREAD, view(), Deny(Reason.GATED, "it waits for an approval")),
    (facts(), THREAD, view(blocked=""), Deny(Reason.BLOCKED, "")),
    (
        facts(limited=("run_limit", "thread_limit")),
        THREAD,
        view(),
        Deny(Reason.CALL_LIMIT, "its calls are limited; say run_limit and thread_limit in its entry"),
    ),
    (facts(return_direct=True), THREAD, view(), Deny(Reason.RETURN_DIRECT, "its result ends the run")),
    (
        facts(injected=frozenset({"store", "state"})),
        THREAD,
        view(),
        Deny(Reason.INJECTED, "the host injects state, store"),
    ),
    (
        facts(variables=frozenset({"tenant", "locale"})),
        THREAD,
        view(),
        Deny(Reason.CONTEXT, "list locale, tenant in propagate_context"),
    ),
    (
        facts(),
        THREAD,
        view(tripped={"get_order"}),
        Deny(Reason.TRIPPED, "run ahead before, it reached for something only a real call may have"),
    ),
    (facts(policy={"ttl_s": 0}), THREAD, view(), Deny(Reason.TTL_ZERO, "tools.get_order says ttl_s = 0")),
    (facts(), "task", view(), Deny(Reason.VENUE, "it has no body that can run in a task here")),
]


@pytest.mark.parametrize(("tool", "venue", "run", "verdict"), SENTENCES, ids=lambda value: getattr(value, "reason", ""))
def test_each_reason_about_the_tool_has_its_sentence(tool: ToolFacts | None, venue: str, run: RunView, verdict: Deny):
    """
    To the letter, for people read them in logs and reports.
    """
    assert forbids(tool, venue, run) == verdict


def test_each_reason_about_a_launch_has_its_sentence():
    """
    The same for what the arguments, the guards and the level say.
    """
    assert decide(None, facts(), THREAD, view()) == Deny(
        Reason.INVALID_ARGUMENTS, "the guessed arguments do not fit the tool's schema"
    )
    assert decide(CALL, facts(), THREAD, view(writing={"order:7"})) == Deny(
        Reason.PENDING_WRITE, "something it reads is being written"
    )
    assert decide(CALL, facts(), THREAD, view(level="shadow")) == Deny(Reason.SHADOW, "level is shadow")
    outside = view(level="open_world")
    assert decide(CALL, AHEAD, THREAD, outside) == Deny(Reason.EGRESS, "nobody looked where it goes")
    assert decide(CALL, AHEAD, THREAD, outside, found=Provenance(complaint="why")) == Deny(Reason.EGRESS, "why")


def test_each_reason_against_a_commit_has_its_sentence():
    """
    And the same for what has happened since the launch.
    """
    other = Deny(Reason.OTHER_CALL, "it is the result of another call")
    late = Deny(Reason.EXPIRED, "its model turn is over")
    old = Deny(Reason.EXPIRED, "older than ttl_s = 10")
    here = {"user": "ann"}
    assert decide(Call("get"), facts(), THREAD, view(), commits=launched(), real=Moment(101.0, 3)) == other
    assert decide(None, facts(), THREAD, view(), commits=launched(), real=Moment(101.0, 3)) == other
    assert decide(CALL, facts(), THREAD, view(), commits=launched()) == other
    assert decide(None, facts(), THREAD, view(), commits=launched()) == other
    assert commit(launched(), facts(), view(), step=4) == late
    assert commit(launched(), facts(), view(), now=110.5) == old
    assert commit(launched(), facts(), view(writing={"order:7"})) == Deny(
        Reason.STALE, "something it read was written since"
    )
    assert commit(launched(circumstances=here), facts(), view()) == Deny(
        Reason.CHANGED, "what a tool sees of its run is not what it was when this ran"
    )
    assert commit(launched(), facts(), view(level="shadow")) == Deny(Reason.SHADOW, "level is shadow")


def test_a_result_may_be_kept_for_less_than_a_second():
    """
    Zero alone is not at all.
    """
    assert decide(CALL, facts(policy={"ttl_s": 0.5}), THREAD, view()) is ALLOW


@pytest.mark.parametrize(("tool", "leaves"), [(facts(), False), (facts(declared=False), False), (AHEAD, True)])
def test_only_a_declared_tool_can_be_known_to_leave(tool: ToolFacts, leaves: bool):
    """
    What nobody declared does not run ahead at all.
    """
    assert tool.leaves is leaves


@pytest.mark.parametrize("limit", [None, 0, 3])
def test_a_tool_is_counted_over_its_thread_if_its_entry_limits_it_there(limit: int | None):
    """
    Zero is a limit.
    """
    assert facts(policy={"thread_limit": limit}).counts_thread is (limit is not None)
    assert not facts(declared=False).counts_thread


# -- never ------------------------------------------------------------------------------------------------------------


def sound(policy: dict[str, Any]) -> dict[str, Any]:
    """What the policy itself would refuse is not asked of the gate."""
    inside = {} if policy["open_world"] else {"disclosure": "none"}
    return policy | inside | ({"scope": "step"} if policy["open_world"] else {})


@given(
    policy=st.fixed_dictionaries(
        {
            "read_only": st.booleans(),
            "open_world": st.booleans(),
            "ttl_s": st.sampled_from([0.0, 5.0]),
            "reads": st.sampled_from([(), ("*",), ("order:{id}",), ("order:{missing}",)]),
            "scope": st.sampled_from(["step", "run"]),
            "disclosure": st.sampled_from(["none", "same_args_only", "declared"]),
        }
    ).map(sound),
    declared=st.booleans(),
    gated=st.booleans(),
    return_direct=st.booleans(),
    injected=st.frozensets(st.just("state")),
    venues=st.frozensets(st.sampled_from(["task", "thread"])),
    venue=st.sampled_from(["task", "thread", ""]),
    objection=st.sampled_from([None, "", "guard mine said no"]),
    level=st.sampled_from(["off", "shadow", "declared", "annotated", "open_world", ""]),
    blocked=st.sampled_from([None, "", "interrupt"]),
    tripped=st.sets(st.sampled_from(["get_order", "other"])),
    writing=st.sets(st.sampled_from(["order:7", "order:8", "*"])),
    call=st.sampled_from([None, CALL]),
    asks_to_commit=st.booleans(),
    age=st.sampled_from([0.0, 5.0, 5.1]),
    step=st.integers(2, 3),
)
def test_nothing_runs_ahead_unless_every_condition_holds(
    policy: dict[str, Any],
    declared: bool,
    gated: bool,
    return_direct: bool,
    injected: frozenset[str],
    venues: frozenset[str],
    venue: str,
    objection: str | None,
    level: str,
    blocked: str | None,
    tripped: set[str],
    writing: set[str],
    call: Call | None,
    asks_to_commit: bool,
    age: float,
    step: int,
):
    """
    Allowed means: declared read-only, inside the trust boundary, ungated, unblocked, reachable, at this level, fresh.
    """
    assume(not (policy["open_world"] and policy["scope"] == "run"))  # the policy refuses it
    tool = facts(
        policy=policy, declared=declared, gated=gated, return_direct=return_direct, injected=injected, venues=venues
    )
    run = view(level=level, blocked=blocked, tripped=tripped, writing=writing)
    reads = frozenset({"order:7"} if "order:{id}" in policy["reads"] else {"*"} if policy["reads"] else ())
    written = any(read == "*" or tag in ("*", read) for read in reads for tag in writing)
    allowed = (
        declared
        and policy["read_only"]
        and not (policy["open_world"] and (level != "open_world" or policy["disclosure"] == "none"))
        and objection is None
        and not (gated or return_direct or injected or blocked is not None or "get_order" in tripped)
        and policy["ttl_s"] > 0
        and venue in venues
        and not written
    )
    if asks_to_commit:
        speculation = launched(ttl_s=policy["ttl_s"], scope=policy["scope"], reads=reads)
        verdict = decide(call, tool, venue, run, commits=speculation, real=Moment(100.0 + age, step, None, objection))
        allowed = allowed and age <= policy["ttl_s"] and (policy["scope"] == "run" or step == 3)
    else:
        verdict = decide(call, tool, venue, run, objection=objection, found=Provenance())
        allowed = allowed and call is not None
    allowed = allowed and level in ("declared", "annotated", "open_world")
    assert isinstance(verdict, Allow) is allowed
    assert isinstance(verdict, Allow) or verdict.reason in Reason


def test_every_reason_has_a_case_here():
    """
    A reason nobody can reach would be a promise nobody keeps.
    """
    issue = {Reason.INVALID_ARGUMENTS, Reason.PENDING_WRITE, Reason.SHADOW, Reason.GUARD, Reason.EGRESS}
    commit_only = {Reason.EXPIRED, Reason.STALE, Reason.OTHER_CALL, Reason.CHANGED}
    assert set(STATIC) | issue | commit_only | {Reason.GATE_ERROR} == set(Reason)


def test_facts_of_an_undeclared_tool_mean_everything():
    """
    What nobody declared reads and writes all there is, and may see nothing of the run.
    """
    unknown, read, write = facts(declared=False), facts(), facts(policy={"read_only": False, "reads": ("*",)})
    assert (unknown.reads, unknown.writes, unknown.uses) == (("*",), ("*",), ())
    assert (read.reads, read.writes) == (("order:{id}",), ())
    assert write.writes == ("*",)


def test_what_the_gate_looks_at_and_answers_is_frozen():
    """
    Nobody can turn a denial into something else on its way.
    """
    for record in (facts(), view(), ALLOW, Deny(Reason.GATED)):
        field = next(iter(dataclasses.fields(record)), None)
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            setattr(record, field.name if field else "reason", None)


def test_the_most_telling_reason_comes_first():
    """
    Where several hold, the owner's own statement is named before what surrounds the tool.
    """
    order = list(STATIC)
    worse = [
        facts(policy={"open_world": True}, gated=True, return_direct=True, injected=frozenset({"state"})),
        facts(gated=True, return_direct=True, injected=frozenset({"state"}), policy={"ttl_s": 0}),
        facts(return_direct=True, injected=frozenset({"state"}), policy={"ttl_s": 0}),
        facts(injected=frozenset({"state"}), policy={"ttl_s": 0}),
    ]
    found = [forbids(tool, "nowhere", view(tripped={"get_order"})) for tool in worse]
    places = [order.index(verdict.reason) for verdict in found if verdict is not None]
    assert len(places) == len(worse)
    assert all(before < after for before, after in itertools.pairwise(places))
