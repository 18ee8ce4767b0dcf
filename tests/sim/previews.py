"""The zoo of previews: programs of the other zoos whose model calls are started on remembered results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.sim.answering import ZOO as ANSWERING
from tests.sim.graphs import Form
from tests.sim.models import Ask, Script, Turn
from tests.sim.programs import MEMORIES, MODES, Draw, Ending, Program, Visit
from tests.sim.shapes import Shape, Zoo
from tests.sim.streaming import ZOO as STREAMING
from tests.sim.zoo import ZOO as PLAIN

ZOO = Zoo("previews", 41, (*MODES, "several"))
shape = ZOO.shape
FREE: dict[str, Any] = {"model_ahead": True, "thrift": 0.0}
"""Tokens cost nothing here, so that whatever is remembered is bet on."""


def _previewing(make: Shape) -> Shape:
    def previewing(seed: int, draw: Draw) -> Program:
        program = make(seed, draw)
        return replace(program, settings={**program.settings, **FREE}, remembered=draw.choice(MEMORIES))

    return previewing


BREAKING = ("tried_again",)
"""Shapes whose provider breaks the first stream and not the second: which call that was is nobody's promise."""

for _zoo in (PLAIN, STREAMING, ANSWERING):
    for _name, _make in _zoo.shapes.items():
        if _name not in {*_zoo.known, *BREAKING}:
            ZOO.put(f"seen_{_name}", _previewing(_make), _name not in _zoo.silent)


def _agent(seed: int, draw: Draw, names: tuple[str, ...], most: int = 3, **program: Any) -> Program:
    form = program.pop("form", None) or Form(
        draw.choice(("agent", "react", "tool_node", "fan")), draw.tools(*names, flavour=draw.flavour())
    )
    visits = program.pop("visits", None) or (Visit("u1", "u1", draw.script(names, most, turns=4)),)
    settings = {**FREE, **program.pop("settings", {})}
    return Program(seed, "", form, visits, modes=draw.modes(), settings=settings, **program)


QUIET = {"max_in_flight": 0}
"""No tool runs early, so that the previews are alone."""


@shape(may_speculate=False, weight=4)
def _known_calls(seed: int, draw: Draw) -> Program:
    names = ("get_any", "set_item")
    return _agent(seed, draw, names, remembered=draw.choice(MEMORIES[1:]), limits=QUIET)


@shape(may_speculate=False, weight=2)
def _results_change_places(seed: int, draw: Draw) -> Program:
    names = ("get_item",)
    draw.ids = (0, 1)
    return _agent(seed, draw, names, remembered=draw.choice(("swapped", "mixed", "right")), limits=QUIET)


@shape(may_speculate=False, weight=3)
def _stale_after_writes(seed: int, draw: Draw) -> Program:
    names = ("get_item", "set_item")
    draw.ids = (0,)
    script = tuple(
        replace(turn, asks=tuple(replace(ask, follows=None) for ask in turn.asks))
        for turn in draw.script(names, 1, turns=5)
    )
    return _agent(seed, draw, names, visits=(Visit("u1", "u1", script),), limits=QUIET, steady=("get_item",))


@shape(may_speculate=False, weight=3)
def _asked_in_another_way(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note")
    varies = draw.choice(("options", "reminders", "models"))
    form = Form("varying", draw.tools(*names), settings=(("varies", varies),))
    return _agent(seed, draw, names, 1, form=form, remembered="right", limits=QUIET)


@shape(may_speculate=False, weight=3)
def _many_users(seed: int, draw: Draw) -> Program:
    names = ("get_item", "whoami", "set_item")
    draw.ids = (0,)
    visits = tuple(Visit(f"u{n}", f"u{n}", draw.script(names, turns=3), draw.choice((0.0, 0.02))) for n in range(3))
    settings = {"partition_by": ("user_id",)} if draw.random() < 0.8 else {}
    memory = draw.choice(("nothing", "nothing", "right", "mixed"))
    return _agent(seed, draw, names, visits=visits, settings=settings, remembered=memory, limits=QUIET)


def _over_and_over(draw: Draw) -> Script:
    """The same call again and again: what is remembered of it, the run has learned itself."""
    pace_s = draw.choice((0.05, 0.1, 0.2))
    return (*(Turn((Ask("get_item", {"id": 0}),), pace_s) for _ in range(5)), Turn((), pace_s))


@shape(may_speculate=False, weight=4)
def _cancelled(seed: int, draw: Draw) -> Program:
    visits = (Visit("u1", "u1", _over_and_over(draw)),)
    ending = Ending(draw.choice(("cancel", "timeout")), 0.1 + draw.random())
    return _agent(seed, draw, ("get_item",), visits=visits, ending=ending, limits=QUIET)


@shape(may_speculate=False, weight=2)
def _few_tokens(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note")
    limits = {**QUIET, "max_wasted_tokens_per_run": draw.choice((0, 300, 600))}
    return _agent(seed, draw, names, remembered=draw.choice(("wrong", "mixed")), limits=limits)


@shape(may_speculate=False, weight=2)
def _failing(seed: int, draw: Draw) -> Program:
    script, last = _over_and_over(draw), draw.randrange(2, 5)
    visits = (Visit("u1", "u1", (*script[:last], replace(script[last], fails=True))),)
    return _agent(seed, draw, ("get_item",), visits=visits, limits=QUIET)


# -- calls that previews write ---------------------------------------------------------------------------------------

AMPLE = {"max_in_flight": 8, "max_per_turn": 8}
"""Whatever a preview writes may run early."""


def _digging(draw: Draw, names: tuple[str, ...], turns: int = 4) -> Script:
    """Slow tools by turns with others, so that previews have the time to write."""
    quick = (0.0, 0.02, 0.05)
    digs = [Turn((Ask("dig", {"id": draw.choice(draw.ids)}),), draw.choice(quick)) for _ in range(turns)]
    others = [replace(draw.turn(names, 2), pace_s=draw.choice(quick)) for _ in range(turns)]
    return (*(turn for pair in zip(digs, others, strict=True) for turn in pair), Turn((), 0.02))


def _continuing(seed: int, draw: Draw, names: tuple[str, ...], **program: Any) -> Program:
    memory = program.pop("remembered", None) or draw.choice(("right", "right", "mixed", "partly", "swapped"))
    visits = program.pop("visits", None) or (Visit("u1", "u1", _digging(draw, names)),)
    names = tuple(dict.fromkeys(("dig", *names)))
    return _agent(seed, draw, names, visits=visits, limits=AMPLE, remembered=memory, **program)


@shape(weight=4)
def _continued(seed: int, draw: Draw) -> Program:
    names = ("get_item", "get_note", "list_items", "draw", "whoami")
    draw.ids = draw.choice(((0, 1), (0, 1, 2, 3)))
    return _continuing(seed, draw, names)


@shape(weight=4)
def _continued_beside_writes(seed: int, draw: Draw) -> Program:
    draw.ids = (0,)
    return _continuing(seed, draw, ("get_item", "get_item", "set_item", "clear_items", "import_data"))


@shape(weight=2)
def _continued_with_ids(seed: int, draw: Draw) -> Program:
    form = Form("agent", draw.tools("dig", "get_item", "of_call"))
    return _continuing(seed, draw, ("get_item", "of_call"), form=form)


@shape(weight=4)
def _continued_beside_another_run(seed: int, draw: Draw) -> Program:
    """One run digs and reads, the other writes: what was read too early must not be used.

    There is little of it, so that the plain graph on another schedule soon has the same outcome.
    """
    draw.ids = (0,)
    script = tuple(replace(turn, asks=turn.asks[:1]) for turn in _digging(draw, ("get_item",), turns=1))
    write = Turn((draw.ask("set_item"),), draw.choice((0.1, 0.2, 0.3)))
    visits = (Visit("u1a", "u1", script), Visit("u1b", "u1", (write, Turn()), draw.choice((0.0, 0.1, 0.25))))
    return _continuing(seed, draw, ("get_item", "set_item"), visits=visits, racy=True, remembered="right")


@shape(weight=2)
def _continued_and_cancelled(seed: int, draw: Draw) -> Program:
    ending = Ending(draw.choice(("cancel", "timeout")), 0.2 + draw.random())
    return _continuing(seed, draw, ("get_item", "get_note"), ending=ending)
