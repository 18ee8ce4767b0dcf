"""Checks that every predictor must pass, for authors of predictors: call `check_predictor` from a test.

After the estimator checks of scikit-learn and river: whoever passes them can be put into `speculate(predictor=...)` and
be measured by `langgraph-speculate evaluate` beside the shipped one.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate, NamePredictor, Predictor, StreamPredictor
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.history import History, Origin
from langgraph_speculate.core.sums import Learner

Decision = tuple[History, list[Call]]
"""A moment before a model call, and the calls that it then made; no calls: it answered."""

_K = 10


def check_predictor(make: Callable[[], Predictor]) -> None:
    """Check what `speculate()` and `evaluate` rely on; of those that offer `narrow` (`StreamPredictor`) or
    `names` (`NamePredictor`), that too.

    Args:
        make: Builds a predictor that has learned nothing; called several times.

    Raises:
        AssertionError: A promise is broken; the message says which, and what was seen.

    >>> from langgraph_speculate.predict import Order1
    >>> check_predictor(Order1)
    """
    for check in (
        _is_a_predictor,
        _knows_nothing_at_first,
        _answers_soundly,
        _does_not_learn_by_predicting,
        _learns_the_same_from_the_same,
        _leaves_what_it_is_given,
        _survives_odd_runs,
        _hands_over_what_it_learned,
        _names_soundly,
        _narrows_soundly,
        _does_not_learn_by_narrowing,
    ):
        check(make)


def recorded_runs(runs: int = 24, seed: int = 0) -> Iterator[Decision]:
    """The decisions of small made-up support runs, for tests of predictors: users, lists of orders, reads and writes.

    >>> [history, calls] = next(recorded_runs())
    >>> history.user_turns[0].text, [call.name for call in calls]
    ('I am user_864, please look at my orders', ['find_user'])
    """
    draw = random.Random(seed)  # nosec B311
    for number in range(runs):
        user, orders = f"user_{draw.randrange(1000)}", [f"#W{draw.randrange(10**6):06}" for _ in range(3)]
        messages: list[dict[str, object]] = [
            {"role": "user", "content": f"I am {user}, please look at my orders"},
            *_asks(f"{number}-a", [("find_user", {"user_id": user}, {"id": user, "orders": orders})]),
            *_asks(f"{number}-b", [("get_order", {"order_id": one}, {"id": one, "state": "sent"}) for one in orders]),
            *_asks(f"{number}-c", [("cancel_order", {"order_id": orders[0], "why": "no longer needed"}, "done")]),
            {"role": "assistant", "content": "It is done."},
        ]
        origin = Origin(thread=f"thread-{number}", run=f"run-{number}")
        for index, message in enumerate(messages):
            if message["role"] == "assistant":
                asked = History.from_messages(messages[index : index + 1]).calls
                yield History.from_messages(messages[:index], origin=origin), [past.call for past in asked]


def _asks(prefix: str, calls: Sequence[tuple[str, dict[str, object], object]]) -> list[dict[str, object]]:
    ids = [f"{prefix}{place}" for place in range(len(calls))]
    wanted = [{"id": id, "name": name, "args": args} for id, (name, args, _) in zip(ids, calls, strict=True)]
    results: list[dict[str, object]] = [
        {"role": "tool", "tool_call_id": id, "content": json.dumps(result)}
        for id, (*_, result) in zip(ids, calls, strict=True)
    ]
    return [{"role": "assistant", "content": "", "tool_calls": wanted}, *results]


def _must(kept: bool, promise: str) -> None:
    """An `assert` that `python -O` leaves in."""
    if not kept:
        raise AssertionError(promise)


# -- the checks --------------------------------------------------------------------------------------------------------


def _is_a_predictor(make: Callable[[], Predictor]) -> None:
    predictor = make()
    _must(isinstance(predictor, Predictor), f"{type(predictor).__qualname__} needs predict(history, *, k) and learn()")


def _knows_nothing_at_first(make: Callable[[], Predictor]) -> None:
    """A guess needs a reason: where nothing was said, and nothing learned, there is none."""
    answer = make().predict(History(), k=_K)
    _must(not answer, f"nothing was said or learned, and yet it predicts {answer[:1]}")


def _answers_soundly(make: Callable[[], Predictor]) -> None:
    predictor = make()
    for history, calls in recorded_runs():
        for k in (0, 1, _K):
            _is_sound(predictor.predict(history, k=k), k)
        predictor.learn(history, calls)


def _is_sound(answer: Sequence[Candidate], k: int) -> None:
    _must(len(answer) <= k, f"{len(answer)} candidates where {k} were asked for")
    _must(all(isinstance(candidate, Candidate) for candidate in answer), "an answer is a list of Candidate")
    chances = [candidate.probability for candidate in answer]
    _must(all(math.isfinite(chance) and 0.0 <= chance <= 1.0 for chance in chances), f"{chances} in [0, 1]")
    _must(chances == sorted(chances, reverse=True), f"best first, not {chances}")
    keys = [key_of(candidate.call) for candidate in answer]
    _must(None not in keys, "arguments of a candidate must have a canonical form")
    _must(len(set(keys)) == len(keys), "each call once")


def _does_not_learn_by_predicting(make: Callable[[], Predictor]) -> None:
    asked, silent = make(), make()
    for history, calls in recorded_runs():
        first = asked.predict(history, k=_K)
        _must(first == asked.predict(history, k=_K), "two equal questions got two answers")
        asked.learn(history, calls)
        silent.learn(history, calls)
    for history, _ in recorded_runs(4, seed=1):
        same = asked.predict(history, k=_K) == silent.predict(history, k=_K)
        _must(same, "to be asked changed what it predicts later")


def _learns_the_same_from_the_same(make: Callable[[], Predictor]) -> None:
    one, other = make(), make()
    for history, calls in recorded_runs():
        one.learn(history, calls)
        other.learn(copy.deepcopy(history), copy.deepcopy(calls))
    for history, _ in recorded_runs(4, seed=1):
        answers = one.predict(history, k=_K), other.predict(history, k=_K)
        _must(answers[0] == answers[1], f"equal learning, different answers: {answers}")


def _leaves_what_it_is_given(make: Callable[[], Predictor]) -> None:
    predictor = make()
    for history, calls in recorded_runs():
        before = repr(history.events), repr(calls)
        predictor.predict(history, k=_K)
        predictor.learn(history, calls)
        _must((repr(history.events), repr(calls)) == before, "a predictor must not change histories or calls")


def _survives_odd_runs(make: Callable[[], Predictor]) -> None:
    """What real runs hold now and then: nothing at all, calls without results, results without end, strange values."""
    asked: list[dict[str, object]] = [
        {"role": "assistant", "tool_calls": [{"id": "1", "name": "get", "args": {"a": [[["b"]]]}}]},
        {"role": "tool", "tool_call_id": "1", "content": "[" * 500 + "1" + "]" * 500},
    ]
    odd: list[Decision] = [
        (History(), []),
        (History(), [Call("")]),
        (History(), [Call("get", {"id": None}), Call("get", {"id": None})]),
        (History.from_messages([{"role": "user", "content": ""}]), [Call("x" * 5000, {"": "\x00"})]),
        (History.from_messages([{"role": "user", "content": "7 " * 20_000}]), [Call("get", {"id": 10**40})]),
        (
            History.from_messages(asked[:1]),
            [Call("get", {"deep": {"list": [1, 2.5, True, None, {"x": "ü\ud800"}]}})],
        ),
        (
            History.from_messages(asked),
            [Call("get", {"object": object()}), Call("get", {f"a{n}": n for n in range(200)})],
        ),
    ]
    predictor = make()
    for _ in range(2):
        for history, calls in odd:
            predictor.learn(history, calls)
            predictor.predict(history, k=_K)


def _hands_over_what_it_learned(make: Callable[[], Predictor]) -> None:
    """For those whose knowledge can be written down: sums under keys of text, each handed over once."""
    predictor = make()
    if not isinstance(predictor, Learner):
        return
    for history, calls in recorded_runs():
        predictor.learn(history, calls)
    taken = predictor.take()
    _must(not predictor.take(), "what was taken is handed over once")
    for partition, sums in taken.items():
        for key, pair in sums.items():
            _must(isinstance(key, tuple), f"a key is a tuple of texts, not {key!r}")
            _must(all(isinstance(part, str) for part in key), f"a key is a tuple of texts, not {key!r}")
            _must(all(math.isfinite(number) for number in pair), f"sums are finite, not {pair}")
        one, other = make(), make()
        if not isinstance(one, Learner) or not isinstance(other, Learner):
            raise AssertionError("every predictor that make() builds must be a Learner, or none")
        one.install(partition, one.prepare(sums))
        other.install(partition, other.prepare(dict(reversed(sums.items()))))
        for history, _ in recorded_runs(4, seed=1):
            answers = one.predict(history, k=_K), other.predict(history, k=_K)
            _must(answers[0] == answers[1], f"the order of sums must not matter: {answers}")


# -- for those that tell how likely a tool is --------------------------------------------------------------------------


def _names_soundly(make: Callable[[], Predictor]) -> None:
    """Probabilities by tool, none where nothing was said or learned; to be asked for them changes nothing."""
    asked, silent = make(), make()
    if not isinstance(asked, NamePredictor):
        return
    _must(not asked.names(History()), "nothing was said or learned, and yet it names tools")
    for history, calls in recorded_runs():
        chances = asked.names(history)
        _must(all(isinstance(name, str) for name in chances), f"tools by their names, not {list(chances)}")
        _must(all(0.0 <= chance <= 1.0 for chance in chances.values()), f"{dict(chances)} in [0, 1]")
        asked.learn(history, calls)
        silent.learn(history, calls)
    for history, _ in recorded_runs(4, seed=1):
        same = asked.predict(history, k=_K) == silent.predict(history, k=_K)
        _must(same, "to be asked for names changed what it predicts later")


# -- for those that make use of what the model has written -------------------------------------------------------------


def _narrows_soundly(make: Callable[[], Predictor]) -> None:
    """Where nothing was said, learned or written there is no guess; else answers are as sound as others."""
    predictor = make()
    if not isinstance(predictor, StreamPredictor):
        return
    answer = predictor.narrow(History(), Draft(), k=_K)
    _must(not answer, f"nothing was said, learned or written, and yet it predicts {answer[:1]}")
    for history, calls in recorded_runs():
        for draft in _drafts(calls):
            before = draft.text, [call.call() for call in draft.calls]
            for k in (0, 1, _K):
                answer = predictor.narrow(history, draft, k=k)
                _is_sound(answer, k)
                _must(answer == predictor.narrow(history, draft, k=k), "two equal questions got two answers")
            _must((draft.text, [call.call() for call in draft.calls]) == before, "a predictor must not change drafts")
        predictor.learn(history, calls)


def _does_not_learn_by_narrowing(make: Callable[[], Predictor]) -> None:
    asked, silent = make(), make()
    if not isinstance(asked, StreamPredictor):
        return
    for history, calls in recorded_runs():
        asked.predict(history, k=_K)
        silent.predict(history, k=_K)
        for draft in _drafts(calls):
            asked.narrow(history, draft, k=_K)
        asked.learn(history, calls)
        silent.learn(history, calls)
    for history, _ in recorded_runs(4, seed=1):
        same = asked.predict(history, k=_K) == silent.predict(history, k=_K)
        _must(same, "to be asked about a message changed what it predicts later")


def _drafts(calls: Sequence[Call]) -> Iterator[Draft]:
    """Messages that begin in different ways: nothing, text, these calls piece by piece, and what was taken back."""
    yield Draft()
    text, named, revised = Draft(), Draft(), Draft()
    text.say("Let me look at that for you. " * 2)
    yield text
    named.write(0, "call_0", "nobody_knows", '{"a": [1, ')
    yield named
    revised.write(0, "call_0", "get_order", "no object")
    yield revised
    written = Draft()
    for index, call in enumerate(calls):
        arguments = json.dumps(dict(call.args))
        for name, piece in ((call.name, ""), (None, arguments[:-2]), (None, arguments[-2:])):
            written.write(index, f"call_{index}", name, piece)
            yield written
