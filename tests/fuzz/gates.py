"""Random questions to the gate, some of them honest and most with hostile objects in one to three places.

What the gate must keep: it never raises; it never allows what raised while it looked; and it never allows where an
honest part of the question speaks against it, however agreeable the rest pretends to be.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import Moment, RunView, ToolFacts
from langgraph_speculate.core.gate import Allow, Deny, Reason, decide, forbids
from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.policy import Rule
from langgraph_speculate.policy.templates import filled
from tests.fuzz.judge import Failure

RUNS = ("declared", "annotated", "open_world")
DEPTH = 5_000
NAMING = "naming a resource"  # where what sprang is excused


@dataclass(frozen=True)
class Answer:
    """What came of one question.

    Attributes:
        question: Which places of it were hostile.
        verdict: What the gate said.
        failures: What was wrong with that.
    """

    question: str
    verdict: str
    failures: tuple[Failure, ...]


def ask(seed: int) -> Answer:
    """Ask the gate one question and judge its answer."""
    question = Question(Random(seed))
    failures = []
    try:
        static = forbids(question.tool, question.venue, question.view)
        sprung = set(question.sprung)
        question.sprung.clear()  # what raised then may answer now
        verdict = question.put()
    except Exception as error:  # noqa: BLE001 - that it raises at all is what this looks for
        told = f"{type(error).__name__} with {question.hostile}"
        return Answer(str(question), "raised", (Failure(seed, "the gate raised", told, "--gate-seed"),))
    if static is None and sprung:
        failures.append(("forbids lets pass what raised", f"{sorted(sprung)} sprung"))
    if static is not None and not isinstance(static, Deny):
        failures.append(("forbids answers with something else", type(static).__name__))
    if isinstance(verdict, Allow):
        failures += [("allowed what raised", f"{place} sprung") for place in sorted(question.unexcused())]
        failures += [("allowed against an honest no", why) for why in question.objections()]
    elif not isinstance(verdict, Deny) or verdict.reason not in Reason:
        failures.append(("decide answers with something else", type(verdict).__name__))
    told = "allow" if isinstance(verdict, Allow) else str(getattr(verdict, "reason", verdict))
    return Answer(
        str(question),
        told,
        tuple(Failure(seed, what, f"{how}; hostile: {question.hostile}", "--gate-seed") for what, how in failures),
    )


# -- questions ---------------------------------------------------------------------------------------------------------

# Every place that may be hostile, under what it is a part of.
PARENTS: dict[str, str] = {
    **dict.fromkeys(("tool", "view", "venue", "call", "objection", "found", "commits", "real"), ""),
    **dict.fromkeys(("rule", "name", "gated", "changed", "limited", "return_direct", "injected"), "tool"),
    **dict.fromkeys(("variables", "venues"), "tool"),
    **dict.fromkeys(("policy", "needs", "detail", "origin"), "rule"),
    **dict.fromkeys(("read_only", "open_world", "disclosure", "allowed_hosts", "ttl_s", "reads"), "policy"),
    **dict.fromkeys(("destinations", "complaint", "untrusted_hosts", "unsent"), "found"),
    **dict.fromkeys(("level", "blocked", "epochs", "tripped"), "view"),
    **dict.fromkeys(("args", "call_name"), "call"),
    **dict.fromkeys(("commits.call", "commits.scope", "commits.step", "commits.ttl_s", "launched_at"), "commits"),
    **dict.fromkeys(("commits.reads", "commits.epoch", "commits.circumstances"), "commits"),
    **dict.fromkeys(("real.now", "real.step", "real.objection", "real.circumstances"), "real"),
}
PLACES = tuple(PARENTS)
AT_ISSUE = {place for place in PLACES if "found" in (place, PARENTS[place])}
AT_COMMIT = {place for place in PLACES if place.split(".")[0] in ("commits", "real") or place == "launched_at"}


class Question:
    """One question: honest values by place, those that were replaced, and what sprang while the gate looked."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.sprung: list[str] = []
        self.commits = rng.random() < 0.5
        self.honest = self._drawn()
        places = [place for place in PLACES if place not in (AT_ISSUE if self.commits else AT_COMMIT)]
        chosen = rng.sample(places, rng.choice([0, 1, 1, 1, 2, 3]))
        self.hostile = tuple(sorted(chosen))
        self._values = self.honest | {place: self._hostile_value(place) for place in chosen}
        self.tool, self.view, self.venue = self._made("tool"), self._made("view"), self._values["venue"]

    def __str__(self) -> str:
        return f"{'commit' if self.commits else 'issue'}, hostile: {', '.join(self.hostile) or 'nothing'}"

    def put(self) -> Any:
        """Ask it."""
        call, against = self._made("call"), self._values["objection"]
        if not self.commits:
            found = self._made("found")
            return decide(call, self.tool, self.venue, self.view, objection=against, found=found)
        speculation, real = self._made("commits"), self._made("real")
        return decide(call, self.tool, self.venue, self.view, objection=against, commits=speculation, real=real)

    def unexcused(self) -> set[str]:
        """What sprang without the excuse there is: a resource that cannot be named counts as everything.

        That excuse holds only while nothing at all is being written.
        """
        written = self._is_written() and "epochs" not in self._tainted()
        return set(self.sprung) - (set() if written else {NAMING})

    def objections(self) -> list[str]:
        """Why the honest part of the question must be answered with no."""
        value, tainted = self.honest, self._tainted()
        open_world = value["open_world"] and (value["level"] != "open_world" or value["disclosure"] == "none")
        unkept = value["needs"] == "annotated" and value["level"] == "declared"
        against: list[tuple[str, bool, tuple[str, ...]]] = [
            ("undeclared", value["policy"] is None, ("policy",)),
            ("not read-only", not value["read_only"], ("read_only",)),
            ("changed", value["changed"] is not None, ("changed",)),
            ("needs a higher level", unkept, ("needs", "level")),
            ("open world", open_world, ("open_world", "level", "disclosure")),
            ("level", value["level"] not in RUNS, ("level",)),
            ("gated", value["gated"], ("gated",)),
            ("blocked", value["blocked"] is not None, ("blocked",)),
            ("limited", bool(value["limited"]), ("limited",)),
            ("return direct", value["return_direct"], ("return_direct",)),
            ("injected", bool(value["injected"]), ("injected",)),
            ("variables", bool(value["variables"]), ("variables",)),
            ("tripped", value["name"] in value["tripped"], ("name", "tripped")),
            ("ttl", value["ttl_s"] <= 0, ("ttl_s",)),
            ("venue", value["venue"] not in value["venues"], ("venue", "venues")),
            ("no call", value["call"] is None, ("call",)),
        ]
        if self.commits:
            aged = not value["real.now"] - value["launched_at"] <= value["commits.ttl_s"]
            turned = value["commits.scope"] == "step" and value["commits.step"] != value["real.step"]
            other = value["real.circumstances"] != value["commits.circumstances"]
            against += [
                ("no real call", value["real"] is None, ("real",)),
                ("expired", aged, ("real.now", "launched_at", "commits.ttl_s")),
                ("another turn", turned, ("commits.scope", "commits.step", "real.step")),
                ("a guard", value["real.objection"] is not None, ("real.objection",)),
                ("circumstances", other, ("real.circumstances", "commits.circumstances")),
                ("another call", not value["same_call"], ("call", "args", "call_name", "commits.call")),
                ("stale", self._is_written(), ("epochs", "commits.reads", "commits.epoch")),
            ]
        else:
            nowhere = value["open_world"] and value["found"] is None
            unknown = value["open_world"] and value["complaint"] is not None
            astray = value["open_world"] and value["untrusted_hosts"] and not value["allowed_hosts"]
            unseen = value["open_world"] and value["disclosure"] == "same_args_only" and value["unsent"]
            against += [
                ("nobody looked where it goes", nowhere, ("open_world", "found")),
                ("a complaint", unknown, ("open_world", "complaint")),
                ("an untrusted host", astray, ("open_world", "destinations", "untrusted_hosts", "allowed_hosts")),
                ("unsent arguments", bool(unseen), ("open_world", "disclosure", "unsent")),
                ("a guard", value["objection"] is not None, ("objection",)),
                ("pending write", self._is_written(), ("epochs", "reads", "call", "args")),
            ]
        return [why for why, holds, needed in against if holds and not tainted.intersection(needed)]

    def _tainted(self) -> set[str]:
        """The hostile places and everything that is a part of one."""
        found = set(self.hostile)
        for place in PLACES:  # parents stand before their parts
            if PARENTS[place] in found:
                found.add(place)
        return found

    def _is_written(self) -> bool:
        """Whether what an honest call reads is being written, and was not when the speculation began."""
        return bool(self.honest["writing"])

    def _drawn(self) -> dict[str, Any]:
        """Honest values for every place; each speaks against the call in about one question of twenty-five."""
        rng = self._rng

        def rarely(no: Any, yes: Any) -> Any:
            return no if rng.random() < 0.04 else yes

        same_call = rarely(False, True)
        outside = rng.random() < 0.3  # a tool that leaves the trust boundary, where it may
        return {
            "policy": rarely(None, SimpleNamespace),
            "name": "get_order",
            "origin": "tools.get_order",
            "detail": "",
            "needs": rarely("annotated", "declared"),
            "read_only": rarely(False, True),
            "open_world": rarely(not outside, outside),
            "disclosure": rarely("none", rng.choice(["declared", "same_args_only"])) if outside else "none",
            "allowed_hosts": rng.choice([(), ("*.python.org",)]) if outside else (),
            "found": rarely(None, Provenance),
            "destinations": frozenset({"docs.python.org"}),
            "complaint": rarely("no public address", None),
            "untrusted_hosts": frozenset({"docs.python.org"} if rng.random() < 0.3 else ()),
            "unsent": frozenset(rarely({"id"}, ())),
            "ttl_s": rarely(0.0, 10.0),
            "reads": rng.choice([("order:{id}",), ("*",), ("order:{id}", "stock:*")]),
            "changed": rarely("its schema", None),
            "gated": rarely(True, False),
            "limited": rarely(("run_limit",), ()),
            "return_direct": rarely(True, False),
            "injected": frozenset(rarely({"state"}, ())),
            "variables": frozenset(rarely({"user"}, ())),
            "venues": frozenset({"thread"}),
            "venue": rarely("task", "thread"),
            "level": rarely(rng.choice(["off", "shadow", "", "declared"]), RUNS[2] if outside else rng.choice(RUNS)),
            "blocked": rarely("a static interrupt", None),
            "tripped": frozenset({rarely("get_order", "other")}),
            "writing": rarely(rng.choice(["order:7", "*", "order:*"]), ""),
            "call": rarely(None, Call),
            "call_name": "get_order",
            "args": {"id": 7},
            "objection": None if self.commits else rarely("guard mine said no", None),
            "same_call": same_call,
            "commits.call": Call("get_order", {"id": 7 if same_call else 8}),
            "commits.scope": rng.choice(["step", "run"]),
            "commits.step": 3,
            "commits.ttl_s": 10.0,
            "commits.reads": frozenset({"order:7"}),
            "commits.epoch": 0,
            "commits.circumstances": {"user": "ann"},
            "launched_at": 100.0,
            "real": rarely(None, Moment),
            "real.now": 100.0 + rarely(10.5, rng.uniform(0, 10)),
            "real.step": rarely(4, 3),
            "real.objection": rarely("guard mine said no", None),
            "real.circumstances": {"user": rarely("bob", "ann")},
        }

    def _made(self, place: str) -> Any:
        """The object at a place, made of its parts, or what was put there instead."""
        value = self._values
        if place in self.hostile or (place in ("policy", "call", "found", "real") and value[place] is None):
            return value[place]
        if place == "policy":
            kept = ("read_only", "open_world", "disclosure", "allowed_hosts", "ttl_s", "reads")
            return SimpleNamespace(**{name: value[name] for name in kept})
        if place == "rule":
            return Rule(self._made("policy"), value["origin"], value["detail"], value["needs"])
        if place == "tool":
            kept = ("name", "gated", "changed", "limited", "return_direct", "injected", "variables", "venues")
            return ToolFacts(rule=self._made("rule"), **{name: value[name] for name in kept})
        if place == "view":
            return RunView(value["level"], value["blocked"], self._made("epochs"), value["tripped"])
        if place == "epochs":
            epochs = Epochs()
            if value["writing"]:
                epochs.begin_write(frozenset({value["writing"]}))
            return epochs
        if place == "found":
            parts = ("destinations", "complaint", "untrusted_hosts", "unsent")
            return Provenance(**{name: value[name] for name in parts})
        if place == "call":
            return Call(value["call_name"], value["args"])
        if place == "real":
            parts = ("now", "step", "objection", "circumstances")
            return Moment(**{name: value[f"real.{name}"] for name in parts})
        parts = ("call", "scope", "step", "ttl_s", "reads", "epoch", "circumstances")
        rest = {"id": "r:1", "turn": "t", "probability": 0.5, "source": "", "venue": "thread", "drain": True}
        rest["launched_at"] = value["launched_at"]
        return Speculation(**rest, **{name: value[f"commits.{name}"] for name in parts})

    def _hostile_value(self, place: str) -> Any:
        """Something that does not belong there."""
        rng = self._rng
        kind = rng.random()
        if place == "args" and kind < 0.6:
            inner = Wild(rng, place, self.sprung) if kind < 0.3 else rng.choice(STRANGE)()
            return {"id": inner} if rng.random() < 0.8 else WildArguments(inner)
        value = Wild(rng, place, self.sprung) if kind < 0.6 else rng.choice(STRANGE)()
        return () if value is None and place == "commits" else value  # None would not ask to commit


# -- hostile objects ---------------------------------------------------------------------------------------------------


class Unshowable(Exception):
    """An error of which nothing can be told but its type."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def errors() -> tuple[Exception, ...]:
    return (
        RuntimeError("x"),
        AttributeError("x"),
        KeyError("x"),
        TypeError("x"),
        ValueError("x"),
        StopIteration(),
        StopAsyncIteration(),
        RecursionError(),
        MemoryError(),
        AssertionError(),
        NotImplementedError(),
        OSError(5, "x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        ZeroDivisionError(),
        ExceptionGroup("x", [ValueError()]),
        Unshowable(),
    )


ERRORS = errors()


class Wild:
    """Answers each question about itself at random: agreeably, differently each time, or by raising.

    Whatever raises notes the place where it stands.
    """

    __slots__ = ("_calm", "_place", "_rng", "_sprung")

    def __init__(self, rng: Random, place: str, sprung: list[str]) -> None:
        self._rng, self._place, self._sprung = Random(rng.random()), place, sprung
        self._calm = rng.choice([0.0, 0.3, 0.8, 1.0])

    def _answer(self, *calm: Any, errors: Sequence[Exception] = ERRORS) -> Any:
        if self._rng.random() < self._calm:
            return self._rng.choice(calm)
        frame = sys._getframe()
        while frame is not None and frame.f_code is not filled.__code__:
            frame = frame.f_back  # type: ignore[assignment]
        self._sprung.append(self._place if frame is None else NAMING)
        raise self._rng.choice(errors)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by Python itself, for what this is no answer to
            raise AttributeError(name)
        return self._answer(self, True, False, None, "declared", "step", 0, 1, (), math.nan)

    def __bool__(self) -> bool:
        return bool(self._answer(True, False))

    def __eq__(self, other: object) -> bool:
        return bool(self._answer(True, False))

    def __hash__(self) -> int:
        return int(self._answer(hash("declared"), hash("thread"), 0))

    def __len__(self) -> int:
        # Python itself takes a TypeError from here for "unknown" where it only wants a hint.
        return int(self._answer(0, 1, 10**6, errors=(ERRORS[0],)))

    def __iter__(self) -> Any:
        return iter(self._answer((), ("order:{id}",), ("a", "b"), (self,), (1, "a")))

    def __contains__(self, item: object) -> bool:
        return bool(self._answer(True, False))

    def __getitem__(self, key: object) -> Any:
        return self._answer(self, 7, "x", None)

    def keys(self) -> Any:
        return self._answer((), ("id",), (self,))

    def __call__(self, *args: object, **named: object) -> Any:
        return self._answer(self, True, False, None, ())

    def __repr__(self) -> str:
        return str(self._answer("", "wild"))

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return str(self._answer("", "wild"))

    def __float__(self) -> float:
        return float(self._answer(0.0, math.nan, math.inf))

    def __index__(self) -> int:
        return int(self._answer(0, 7))

    def _ordered(self, other: object) -> bool:
        return bool(self._answer(True, False))

    __lt__ = __le__ = __gt__ = __ge__ = _ordered

    def _computed(self, other: object) -> Any:
        return self._answer(self, 0, math.nan)

    __add__ = __radd__ = __sub__ = __rsub__ = _computed


class WildArguments(Mapping[str, Any]):
    """A mapping that has every argument, and lies about which."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getitem__(self, key: str) -> Any:
        return self._inner

    def __iter__(self) -> Any:
        return iter(self._inner)

    def __len__(self) -> int:
        return 1


class Agreeable(str):
    """A text that equals everything and hashes like `declared`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return hash("declared")


class Odd(float):
    """A number that compares as it likes."""

    __slots__ = ()

    def __le__(self, other: object) -> bool:
        return True

    def __rsub__(self, other: object) -> Any:
        return self

    __lt__ = __ge__ = __gt__ = __eq__ = __le__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def deep(wrap: Callable[[Any], Any]) -> Any:
    value: Any = 7
    for _ in range(DEPTH):
        value = wrap(value)
    return value


DEEP_LIST, DEEP_TABLE, DEEP_TUPLE = deep(lambda v: [v]), deep(lambda v: {"id": v}), deep(lambda v: (v,))


def cyclic_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_table() -> Any:
    value: dict[str, Any] = {"id": 7}
    value["id"] = value
    return value


NUMBERS = (0, 1, -1, 10**5000, -(10**400), 0.0, math.nan, math.inf, -math.inf, 1j, Decimal("NaN"), Decimal("sNaN"))
TEXTS = ("", "*", "declared", "open_world", "step", "run", "thread", "\ud800", "\0", "{x", b"", b"declared")
OTHERS = (None, True, False, NotImplemented, ..., (), (None,), frozenset({""}), range(3), object, type, len)
LIARS = (date(2024, 1, 1), Agreeable("x"), Odd(1.0), DEEP_LIST, DEEP_TABLE, DEEP_TUPLE)
STRANGE: tuple[Callable[[], Any], ...] = (
    *((lambda value=value: value) for value in (*NUMBERS, *TEXTS, *OTHERS, *LIARS)),
    list,
    dict,
    set,
    object,
    bytearray,
    cyclic_list,
    cyclic_table,
    lambda: {"id": DEEP_LIST},
    lambda: {1: 2, "a": 3},
    lambda: {"id": math.nan},
    lambda: (item for item in ("a",)),
    lambda: {math.nan},
)
