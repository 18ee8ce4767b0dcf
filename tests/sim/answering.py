"""The answering zoo: programs whose calls come again and are answered from what the run remembers, and programs whose
early bodies hang, so that a second one answers."""

from __future__ import annotations

from typing import Any

from tests.sim.graphs import Form
from tests.sim.models import Turn
from tests.sim.programs import MODES, Draw, Ending, Program, Visit
from tests.sim.shapes import Zoo

ZOO = Zoo("answering", 19, MODES)
shape = ZOO.shape
USUAL_S = 0.02
"""Seconds that tools of hedging programs are known to take."""


def _remembering(*names: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {name: {"read_through": True, **more} for name in names}


def _one(draw: Draw, names: tuple[str, ...], most: int = 2, **settings: Any) -> tuple[Visit, ...]:
    return (Visit("u1", "u1", draw.script(names, most, **settings)),)


# -- calls that come again ---------------------------------------------------------------------------------------------


@shape(weight=2)
def _repeats_and_writes(seed: int, draw: Draw) -> Program:
    reads = ("get_item", "get_note", "list_items")
    names = (*reads, "set_item", "set_note", "clear_items")
    draw.ids = (0, 1)
    kind = draw.choice(("agent", "react", "tool_node", "hand_written", "fan"))
    form = Form(kind, draw.tools(*names, flavour=draw.flavour()))
    return Program(seed, "", form, _one(draw, names, turns=5), modes=draw.modes(), said=_remembering(*reads))


@shape(weight=2)
def _reads_that_a_write_overlaps(seed: int, draw: Draw) -> Program:
    names = ("get_item", "list_items", "set_item")
    draw.ids = (0,)
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names, flavour=draw.flavour()))
    visits = _one(draw, names, 3, turns=4, racy=True)
    return Program(seed, "", form, visits, racy=True, said=_remembering("get_item", "list_items"))


@shape(weight=3)
def _writes_of_another_run(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_item", "list_items", "set_item")
    draw.ids = (0,) if draw.random() < 0.7 else (0, 1)
    visits = tuple(Visit(f"u1{mark}", "u1", draw.script(names, 1, turns=4), draw.pace() / 4) for mark in "ab")
    form = Form("agent", draw.tools(*dict.fromkeys(names), flavour=draw.flavour()))
    return Program(seed, "", form, visits, racy=True, said=_remembering("get_item", "list_items"))


@shape()
def _volatile_repeats(seed: int, draw: Draw) -> Program:
    names = ("ticks_on", "get_note")
    draw.ids = (0,)
    form = Form("agent", draw.tools(*names))
    return Program(seed, "", form, _one(draw, names, turns=5), said=_remembering("ticks_on"))


@shape()
def _repeats_that_tell(seed: int, draw: Draw) -> Program:
    names = ("tells", "get_item")
    draw.ids = (0, 1)
    form = Form(draw.choice(("agent", "tool_node", "fan")), draw.tools(*names))
    visits = _one(draw, names, turns=4)
    return Program(seed, "", form, visits, modes=draw.modes("custom"), said=_remembering(*names))


@shape()
def _repeats_of_many_users(seed: int, draw: Draw) -> Program:
    names = ("get_item", "whoami", "set_item")
    draw.ids = (0,)
    visits = tuple(Visit(f"u{n}", f"u{n}", draw.script(names, turns=3), draw.choice((0.0, 0.02))) for n in range(3))
    settings = {"partition_by": ("user_id",)} if draw.random() < 0.8 else {}
    said = _remembering("get_item", "whoami")
    return Program(
        seed, "", Form("agent", draw.tools(*names)), visits, modes=draw.modes(), settings=settings, said=said
    )


@shape()
def _repeats_under_another_config(seed: int, draw: Draw) -> Program:
    names = ("whoami", "get_item")
    draw.ids = (0,)
    form = Form("retagging", draw.tools(*names))
    return Program(seed, "", form, _one(draw, names, turns=4), modes=draw.modes(), said=_remembering(*names))


@shape()
def _repeats_of_lost_rights(seed: int, draw: Draw) -> Program:
    names = ("secret", "get_item")
    draw.ids = (0,)
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    script = (*(Turn((draw.ask("secret"),), 0.05) for _ in range(3)), Turn((), draw.pace()))
    revoked, visits = {"u1": draw.choice((0.06, 0.09, 0.12))}, (Visit("u1", "u1", script),)
    said = _remembering("secret")
    return Program(seed, "", form, visits, racy=True, revoked=revoked, guards=True, said=said)


@shape()
def _repeats_of_what_is_no_plain_answer(seed: int, draw: Draw) -> Program:
    names = ("blocks", "artifact", "commands", "risky")
    draw.ids = (0, 1)
    form = Form("agent", draw.tools(*names), (("lists",),))
    settings: dict[str, Any] = {"settings": {"transparent": ("Lists",)}}
    visits = _one(draw, names, 1, turns=5)
    return Program(seed, "", form, visits, modes=draw.modes("values"), said=_remembering(*names), **settings)


@shape()
def _repeats_of_injected(seed: int, draw: Draw) -> Program:
    names = ("of_state", "of_call", "of_runtime", "get_item")
    draw.ids = (0,)
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names))
    said = _remembering(*names)
    visits = _one(draw, names, turns=4)
    return Program(seed, "", form, visits, modes=draw.modes(), said=said, forbidden=("of_state",), checkpointed=True)


@shape()
def _repeats_resumed(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "set_item")
    draw.ids = (0,)
    visits = (Visit("u1", "u1", (*draw.script(names, 1, turns=2), *draw.script(names, 1, turns=2)), inputs=2),)
    form = Form("agent", draw.tools(*names))
    said = _remembering("get_item", "get_note")
    return Program(seed, "", form, visits, modes=draw.modes(), checkpointed=True, said=said)


# -- early bodies that hang --------------------------------------------------------------------------------------------


def _hedging(
    seed: int, draw: Draw, names: tuple[str, ...], slow: str, *, turns: int | None = None, **program: Any
) -> Program:
    said = {slow: {"on_mispredict": draw.choice(("drain", "cancel"))}}
    form = program.pop("form", None) or Form(draw.choice(("agent", "tool_node", "fan")), draw.tools(*names))
    visits = program.pop("visits", None) or _one(draw, names, turns=turns)
    limits = {**program.pop("limits", {}), "attempt_timeout_s": draw.choice((0.2, 1.0, 3.0))}
    faults = {slow: program.pop("fault", "first")}
    modes = program.pop("modes", None) or draw.modes()
    return Program(
        seed, "", form, visits, modes=modes, limits=limits, faults=faults, said=said, usual_s=USUAL_S, **program
    )


@shape(weight=2)
def _hedged(seed: int, draw: Draw) -> Program:
    return _hedging(seed, draw, ("get_item", "get_note", "find"), "get_item")


@shape()
def _hedged_and_told(seed: int, draw: Draw) -> Program:
    return _hedging(seed, draw, ("tells", "get_item"), "tells", modes=draw.modes("custom"))


@shape(weight=2)
def _hedged_beside_writes(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item")
    draw.ids = (0,)
    form = Form(draw.choice(("agent", "tool_node")), draw.tools(*names, flavour=draw.flavour()))
    visits = _one(draw, names, 3, turns=3, racy=True)
    return _hedging(seed, draw, names, "get_item", form=form, visits=visits, racy=True)


@shape()
def _hedged_within_limits(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note")
    tight = {"max_in_flight": draw.randrange(1, 4), "max_wasted_per_run": draw.randrange(1, 4)}
    return _hedging(seed, draw, names, "get_item", turns=4, limits=tight)


@shape()
def _hedged_within_calls(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note")
    draw.ids = (0, 1)
    return _hedging(seed, draw, names, "get_item", turns=4, early_limits={"get_item": draw.randrange(1, 4)})


@shape()
def _hedged_in_vain(seed: int, draw: Draw) -> Program:
    fault = draw.choice(("hang", "raise", "late"))
    return _hedging(seed, draw, ("flaky", "get_item"), "flaky", fault=fault)


@shape()
def _hedged_and_cancelled(seed: int, draw: Draw) -> Program:
    ending = Ending(draw.choice(("cancel", "timeout")), draw.choice((0.05, 0.1, 0.15, draw.random() / 2)))
    return _hedging(seed, draw, ("get_item", "get_note"), "get_item", turns=3, ending=ending)
