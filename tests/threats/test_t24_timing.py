"""T24: one tenant finds out from how fast its own calls are answered what another tenant did (arXiv 2411.01076,
2409.20002).

The library promises that results are not shared between runs, so a call that somebody else has just made is no faster
for it, and that what was learned of one partition foresees nothing in another. "Fast" is told here by whether a call
was answered by an attempt; no clock is read.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from agents import EAGERLY, UNBRAKED, WAYS, Oracle, ScriptedModel, ask, make_tool, sync_only_graph, tool_node_graph
from attacks import final, holding
from langchain_core.messages import AIMessage

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.observe.observers import at_once

SECRETS = ("oncology", "dentistry")
POLICY: dict[str, Any] = {
    "tools": {"look": {**EAGERLY, "scope": "run", "ttl_s": 3600}},
    "partition_by": ["user"],
    "limits": UNBRAKED,
}


class Person:
    """Says nothing of itself: its text is its address, and addresses are used again."""


class Detached:
    """A row of a database that has gone away."""

    def __repr__(self) -> str:
        raise RuntimeError("not bound to a session")


class Clinic:
    """One graph for all tenants. Who is the victim, and what it looks up, changes from trial to trial."""

    def __init__(self, way: str, predictor: Any = None) -> None:
        self._way = way
        self._asked: list[Any] = []
        self._read = True  # nobody waits, unless something is foreseen

        def look(ward: str) -> str:
            "Look up a ward."
            self._read = True
            return f"about {ward}"

        model = ScriptedModel(
            script=[lambda messages: self._asked[0], AIMessage("done")],
            pace_s=0.002,
            during=holding(way, lambda: self._read),
        )
        build = sync_only_graph if way in ("invoke", "stream") else tool_node_graph
        self.graph = speculate(
            build(model, [make_tool("look", look, "both")]),
            POLICY,
            predictor=predictor,
        )

    def run(self, user: Any, *wards: str, foreseen: bool = False) -> list[bool]:
        """Have *user* look these up, the model waiting for what is *foreseen*; which calls an attempt answered."""
        self._read = not foreseen
        fast: list[bool] = []
        take_off = speculation_of(self.graph).events(
            at_once(lambda event: fast.append(event.id is not None) if type(event).__name__ == "CallSettled" else None)
        )
        self._asked[:] = [ask(*(("look", {"ward": ward}) for ward in wards)), AIMessage("done")]
        final(self.graph, self._way, {"messages": [("user", "my appointment")]}, {"configurable": {"user": user}})
        take_off()
        return fast


def _accuracy(way: str, attacker: Any, trials: int, victim: Any = "victim") -> float:
    """How often *attacker* names the victim's ward from whether its own look at one ward was fast."""
    draw, right = random.Random(24), 0
    for _ in range(trials):
        clinic, secret, probed = Clinic(way), draw.choice(SECRETS), draw.choice(SECRETS)
        for _ in range(3):
            clinic.run(victim, secret)
        fast = any(clinic.run(attacker, probed))
        right += secret == (probed if fast else next(ward for ward in SECRETS if ward != probed))
    return right / trials


@pytest.mark.parametrize("way", WAYS)
def test_a_result_that_somebody_else_has_just_read_makes_no_call_faster(way: str) -> None:
    """
    40 trials (chance plays no part here). Every read of the victim was read ahead and kept for an hour; the attacker's
    own, of which nothing is foreseen, always run.
    """
    foreseen: list[Any] = []
    clinic, draw = Clinic(way, Oracle(foreseen)), random.Random(1)
    for _ in range(40):
        secret, probed = draw.choice(SECRETS), draw.choice(SECRETS)
        foreseen[:] = [ask(("look", {"ward": secret})), AIMessage("done")]
        assert clinic.run("victim", secret, foreseen=True) == [True]  # the control: what is foreseen is fast
        foreseen[:] = [AIMessage("nothing foreseen")]
        assert clinic.run("attacker", probed) == [False]


@pytest.mark.parametrize("way", WAYS)
def test_what_was_learned_from_one_tenant_makes_no_call_of_another_faster(way: str) -> None:
    """
    16 trials with the default predictor and `partition_by`: the attacker names the victim's ward no better than by
    chance (within three standard deviations, 0.38).
    """
    assert abs(_accuracy(way, "attacker", trials=16) - 0.5) < 0.38


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "victim", [None, False, b"1", Person(), Detached(), {"id": 1}], ids=lambda it: type(it).__name__
)
def test_tenants_are_told_apart_whatever_they_are_told_by(victim: Any, way: str) -> None:
    """
    `None` and the text "None" are two tenants, and an object whose text says nothing of whose it is, or raises, is
    nobody: nothing is learned from its runs, though what it looks up each time would be foreseen. Runs go on.
    """
    clinic = Clinic(way)
    attacker = "an address" if isinstance(victim, Person | Detached) else str(victim)
    for _ in range(3):
        clinic.run(victim, SECRETS[0])
    assert clinic.run(attacker, SECRETS[0]) == [False]
    if isinstance(victim, Person | Detached):
        assert clinic.run(victim, SECRETS[0]) == [False]


def test_runs_of_nobody_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """
    The warning names the key, and comes once, however many runs there are.
    """
    clinic = Clinic("invoke")
    for _ in range(3):
        clinic.run(Person(), SECRETS[0])
    (told,) = [record.getMessage() for record in caplog.records if "partition_by" in record.getMessage()]
    assert "(user)" in told
