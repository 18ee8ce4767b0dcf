"""A program: who runs what on which graph, how it ends, and who guesses; everything from one seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.sim.graphs import Form
from tests.sim.models import Ask, Script, Turn
from tests.sim.tools import DECEPTIVE, TENANT, WRITES, policy_of
from tests.sim.world import WORLDS

STREAM_MODES = ("values", "updates", "messages", "custom", "tasks", "debug", "checkpoints")
MODES = ("perfect", "noisy", "random", "wrong", "ahead", "forbidden", "raising", "slow", "default")
"""How predictors of the zoo guess."""
MEMORIES = ("nothing", "right", "partly", "wrong", "swapped", "mixed")
"""What a program's memory holds: nothing; what the plain run was answered with; some of that; something else for each
call; each call's result under another; or right and wrong results by turns."""
NEED_THEIR_CALL = ("of_call", "look_up", "of_runtime")
"""Tools that need the id of their call: they may run early only as a call that the model has made."""


@dataclass(frozen=True)
class Visit:
    """One conversation of one user, on a thread of its own.

    Attributes:
        tag: Its name, which the user's message begins with.
        user: Whose.
        script: What the model answers in it.
        starts_s: When it begins.
        inputs: How often the user speaks.
        then: What happens afterwards: nothing, `fork` or `rewrite` an earlier checkpoint.
    """

    tag: str
    user: str
    script: Script
    starts_s: float = 0.0
    inputs: int = 1
    then: str = ""


@dataclass(frozen=True)
class Ending:
    """How a visit ends.

    Attributes:
        kind: `normal`, `cancel`, `break`, `timeout` in the middle, or `limit`: a timeout that only a hang can reach.
        at: Virtual seconds, or chunks for `break`.
    """

    kind: str = "normal"
    at: float = 0.0


@dataclass(frozen=True)
class Program:
    """What both sides of a pair run.

    Attributes:
        seed, shape: Where it comes from.
        form: Its graph.
        visits: The conversations, side by side.
        predictor: How its predictor guesses.
        modes: Stream modes; none means `ainvoke`.
        racy: The plain graph may have several outcomes.
        parallel: Some message has more than one call, so that chunks of one step come in any order.
        forbidden: Tools that must never run early, besides those nobody declared read-only.
        faults: What goes wrong in attempts only, by tool.
        limits: Settings of `Limits`.
        settings: Further settings of the policy.
        propagates: Whether the policy passes the tenant's variable on.
        denied: Users that a guard lets do nothing.
        revoked: When users lose their rights.
        guards: Whether the policy has a guard that knows about both.
        early_limits: What the policy says of bodies per run, by tool.
        config: Further entries of the caller's config.
        checkpointed: With a checkpointer and a store.
        stops: `interrupt_before`/`interrupt_after` of the call.
        subgraphs: Stream what happens in graphs that are nodes.
        queue_wait_s: Seconds that jobs wait for an executor.
        ending: How visits end.
        inline: Whether all of the user's callback handlers run on the loop.
        said: What the owner says of tools besides, by tool.
        remembered: What is remembered of tools before it begins, one of `MEMORIES`.
        steady: Tools that answer one and the same unless something was written.
        usual_s: Seconds that the process has seen every tool take, or None if it has seen nothing.
    """

    seed: int
    shape: str
    form: Form
    visits: tuple[Visit, ...]
    predictor: str = "perfect"
    modes: tuple[str, ...] = ()
    racy: bool = False
    parallel: bool = False
    forbidden: tuple[str, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    propagates: bool = False
    denied: tuple[str, ...] = ()
    revoked: Mapping[str, float] = field(default_factory=dict)
    guards: bool = False
    early_limits: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    checkpointed: bool = False
    stops: Mapping[str, Any] = field(default_factory=dict)
    subgraphs: bool = False
    queue_wait_s: float = 0.0
    ending: Ending = Ending()
    inline: bool = True
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remembered: str = "nothing"
    steady: tuple[str, ...] = ()
    usual_s: float | None = None

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of its tools."""
        return tuple(name for name, _ in self.form.tools)

    @property
    def policy(self) -> dict[str, Any]:
        """What the owner says."""
        tools = policy_of(self.tools)
        for name, limit in self.early_limits.items():
            tools[name] = {**tools[name], "run_limit": limit}
        for name, more in self.said.items():
            tools[name] = {**({"read_only": True} if tools[name] is True else tools[name]), **more}
        policy = {"tools": tools, "limits": dict(self.limits), **self.settings}
        if self.propagates:
            policy["propagate_context"] = [TENANT]
        if self.guards:
            policy["guards"] = [self.lets]
        return policy

    def lets(self, call: Any) -> bool:
        """The guard of the policy."""
        user = call.configurable["user_id"]
        return user not in self.denied and not WORLDS().was_revoked(user)

    @property
    def may_run_early(self) -> frozenset[str]:
        """Tools of which a body may run as a speculation."""
        said = {name: entry.get("read_only") for name, entry in policy_of(self.tools).items()}
        return frozenset(name for name in self.tools if said.get(name)) - {*self.forbidden, "open_page"}

    def scripts(self) -> dict[str, Script]:
        """The model's scripts by tag."""
        return {visit.tag: visit.script for visit in self.visits}


class Draw(random.Random):
    """Draws the parts of programs.

    Attributes:
        ids: Which things calls are about; few of them make conflicts likely.
        words: What they search for.
        marks: What the texts that they write end with.
    """

    ids: tuple[object, ...] = (0, 1, 2, 3, "1", 2.0)
    words: tuple[str, ...] = ("a", "b", "c")
    marks: tuple[str, ...] = ()

    def pace(self) -> float:
        """Seconds a model thinks."""
        return self.choice((0.0, 0.02, 0.05, 0.05, 0.1, 0.2))

    def flavour(self) -> str:
        """Which bodies a tool has."""
        return self.choice(("async", "async", "sync", "both"))

    def tools(self, *names: str, flavour: str | None = None) -> tuple[tuple[str, str], ...]:
        """Tools with flavours."""
        return tuple((name, flavour or self.flavour()) for name in names)

    def ask(self, tool: str) -> Ask:
        """A call of a tool."""
        if tool in ("find", "draw", "open_page"):
            return Ask(tool, {"query": self.choice(self.words)})
        if tool in ("list_items", "clear_items", "tenant", "next_page", "pop_code"):
            return Ask(tool, {})
        if tool == "echo":
            return Ask(tool, {"value": self.choice((1, "1", 1.0, True, [1], None))})
        args: dict[str, Any] = {"id": self.choice(self.ids)}
        if tool in ("set_item", "set_note", "import_data"):  # texts are unique enough to tell one write from another
            args["text"] = f"t{self.randrange(100)}{self.choice(self.marks) if self.marks else ''}"
        if tool == "risky":
            args["how"] = self.choice(("ok", "ok", "tool"))
        return Ask(tool, args, follows="id" if self.random() < 0.2 else None)

    def turn(self, tools: tuple[str, ...], most: int = 3, racy: bool = False) -> Turn:
        """A message with calls; without races unless told otherwise."""
        count = self.choice((1, 1, 2, 3)[: most + 1])
        asks = [self.ask(self.choice(tools)) for _ in range(min(count, most))]
        effects = [ask for ask in asks if ask.tool in EFFECTS]
        if effects and not racy:  # what else stands beside a write might read what it writes
            asks = effects[:1]
        return Turn(tuple(asks), self.pace())

    def script(self, tools: tuple[str, ...], most: int = 3, racy: bool = False, turns: int | None = None) -> Script:
        """Some turns and an answer."""
        count = self.choice((1, 2, 2, 3, 4)) if turns is None else turns
        return (*(self.turn(tools, most, racy) for _ in range(count)), Turn((), self.pace()))

    def modes(self, *also: str) -> tuple[str, ...]:
        """Which streams the caller wants."""
        if not also and self.random() < 0.4:
            return ()
        return tuple(dict.fromkeys((*also, *self.sample(STREAM_MODES[:5], self.choice((1, 1, 2))))))

    def limits(self) -> dict[str, Any]:
        """Budgets."""
        if self.random() < 0.7:
            return {}
        small = {"max_in_flight": self.randrange(4), "max_per_turn": self.randrange(1, 4)}
        return {**small, "max_per_run": self.randrange(1, 8), "max_wasted_per_run": self.randrange(1, 6)}


EFFECTS = frozenset({*WRITES, *DECEPTIVE, "import_data", "command", "of_store", "set_mood"})
"""Tools that change something, or that nobody declared."""


def finished(program: Program, draw: Draw) -> Program:
    """A program with the parts that all shapes draw alike."""
    parallel = any(_has_several(turn) for visit in program.visits for turn in visit.script)
    return replace(
        program,
        predictor=program.predictor or "perfect",
        parallel=parallel,
        limits=program.limits or draw.limits(),
        queue_wait_s=draw.choice((0.0, 0.0, 0.001, 0.02)),
        inline=draw.random() < 0.8,
    )


def _has_several(turn: Turn) -> bool:
    return len(turn.asks) > 1 or (bool(turn.asks) and turn.stream is not None and turn.stream.multiplies)
