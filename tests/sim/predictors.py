"""How predictors of the zoo guess: from knowing the script to never being right, failing, or being late."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.history import ModelTurn
from langgraph_speculate.predict import default_predictor
from tests.sim.loop import sleep
from tests.sim.models import turn_of
from tests.sim.programs import Draw, Program
from tests.sim.world import drawn


class Guess:
    """A predictor that may know the script.

    Args:
        program: The program.
        alter: Makes the guesses of a turn out of the right ones.
        slow_s: Seconds it takes on its own thread, or None for one that answers at once.
    """

    def __init__(
        self, program: Program, alter: Callable[[list[Call], random.Random], list[Call]], slow_s: float | None = None
    ) -> None:
        self.bounded = slow_s is None
        self._scripts = program.scripts()
        self._seed = program.seed
        self._alter = alter
        self._slow_s = slow_s
        self._ahead = program.predictor == "ahead"

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        tag = history.user_turns[0].text.partition(" ")[0] if history.user_turns else ""
        number = sum(isinstance(event, ModelTurn) for event in history.events)
        results = [call.result or "" for call in history.last_calls]
        script = self._scripts.get(tag, ())
        turn = turn_of(script, number)
        right = [Call(ask.tool, ask.arguments(results)) for ask in turn.asks]
        if self._ahead:
            later = [turn_of(script, number + n) for n in (1, 2)]
            right += [Call(ask.tool, ask.arguments(results)) for turn in later for ask in turn.asks]
        calls = self._alter(right, random.Random(drawn(self._seed, tag, number)))
        if self._slow_s is not None:
            sleep(self._slow_s)
        return [Candidate(call, 0.9 / (1 + n / 10), "zoo") for n, call in enumerate(calls)][:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


class Raising:
    """Fails at everything."""

    def __init__(self, bounded: bool) -> None:
        self.bounded = bounded

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        raise RuntimeError("no idea")

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        raise RuntimeError("never learns")


def predictor_of(program: Program, told: Sequence[Sequence[Any]]) -> Any:
    """The predictor of a program.

    Args:
        program: The program.
        told: Conversations the default predictor has learned from, as lists of messages.
    """
    draw = Draw(program.seed)
    wrong = [Call("get_item", {"id": 77}), Call("get_note", {"id": 78}), Call("find", {"query": "zz"})]

    def noisy(right: list[Call], chance: random.Random) -> list[Call]:
        return [call if chance.random() < 0.7 else _any(program, chance) for call in right]

    def forbidden(right: list[Call], chance: random.Random) -> list[Call]:
        early = program.may_run_early
        names = [name for name in program.tools if name not in early]
        mine = [call for call in right if call.name not in early]
        return [*mine, *(_call(draw, chance.choice(names)) for _ in range(2 if names else 0)), *right]

    def several(right: list[Call], chance: random.Random) -> list[Call]:
        """The right ones among others, which begin alike: a stream can tell them apart only piece by piece."""
        calls = [*right, *(near for call in right for near in _near(call)), _any(program, chance)]
        return chance.sample(calls, len(calls))

    ways: dict[str, Callable[[list[Call], random.Random], list[Call]]] = {
        "perfect": lambda right, _chance: right,
        "noisy": noisy,
        "random": lambda _right, chance: [_any(program, chance) for _ in range(3)],
        "wrong": lambda _right, _chance: [call for call in wrong if call.name in program.tools],
        "ahead": lambda right, _chance: right,
        "forbidden": forbidden,
        "slow": lambda right, _chance: right,
        "several": several,
    }
    if program.predictor == "default":
        return _taught(told)
    if program.predictor == "raising":
        return Raising(bounded=program.form.kind == "sync_nodes" or draw.random() < 0.5)
    slow_s = draw.choice((0.001, 0.004, 0.02, 2.0)) if program.predictor == "slow" else None
    return Guess(program, ways[program.predictor], slow_s)


def _any(program: Program, chance: random.Random) -> Call:
    return _call(Draw(chance.random()), chance.choice(program.tools))


def _near(call: Call) -> list[Call]:
    """Other calls of the same tool of which one argument begins as this one's does."""
    near: list[Call] = []
    for name, value in call.args.items():
        if isinstance(value, str):
            near.append(Call(call.name, {**call.args, name: value[:-1]}))
            near.append(Call(call.name, {**call.args, name: f"{value}b"}))
        elif type(value) is int:
            near.append(Call(call.name, {**call.args, name: value * 10 + 2}))
            near.append(Call(call.name, {**call.args, name: value // 10}))
    return near


def _call(draw: Draw, tool: str) -> Call:
    return Call(tool, draw.ask(tool).args)


def _taught(told: Sequence[Sequence[Any]]) -> Any:
    """The predictor that ships, having seen some conversations twice."""
    predictor = default_predictor()
    for messages in [*told, *told]:
        for index, message in enumerate(messages):
            if message.type == "ai":
                calls = [Call(call["name"], call["args"]) for call in message.tool_calls]
                predictor.learn(History.from_messages(messages[:index]), calls)
    return predictor
