"""What every shipped predictor promises, whatever it has seen."""

import copy
import math
import time
from itertools import chain, zip_longest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate.core import Call, History, Predictor
from langgraph_speculate.predict import LastFollower, Never, Order1, default_predictor
from langgraph_speculate.predict.blend import BlendedPredictor
from langgraph_speculate.predict.ranker import Ranker, log_odds
from langgraph_speculate.testing import recorded_runs

ALL = [default_predictor, LastFollower, Never, Order1]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)
calls = st.builds(Call, st.sampled_from(["find", "read", "write"]), st.dictionaries(st.sampled_from("ab"), json_values))
messages = st.lists(st.tuples(st.text(max_size=12), st.lists(calls, max_size=2), st.text(max_size=20)), max_size=5)


def moments(steps, *, grow=False):
    """The decision points of a run: before each message of the model, with the calls it then made.

    With *grow*, each history is read on from the one before it, as a live run does.
    """
    sent = [{"role": "user", "content": "Find order A1234 for mia_li_3668"}]
    history = None
    for number, (text, made, result) in enumerate(steps):
        history = History.from_messages(sent, history if grow else None)
        yield history, made
        ids = [f"{number}-{at}" for at in range(len(made))]
        made_calls = [{"id": id_, "name": call.name, "args": call.args} for id_, call in zip(ids, made, strict=True)]
        sent.append({"role": "assistant", "content": text, "tool_calls": made_calls})
        sent.extend({"role": "tool", "tool_call_id": id_, "content": result} for id_ in ids)
        if not made:
            sent.append({"role": "user", "content": text})


def written(candidates):
    return [(candidate.call.name, repr(candidate.call.args), candidate.probability) for candidate in candidates]


@pytest.mark.parametrize("make", ALL)
def test_a_predictor_speaks_the_protocol_and_calls_itself_bounded(make):
    """
    Shipped predictors run where the model call starts, so they must say that they are quick.
    """
    assert isinstance(make(), Predictor)
    assert make().bounded is True


@pytest.mark.parametrize("make", ALL)
def test_nothing_learned_gives_nothing(make):
    """
    Without experience there are no candidates.
    """
    assert make().predict(History.from_messages([{"role": "user", "content": "Order A1234, please"}]), k=5) == []


@pytest.mark.parametrize("make", ALL)
@settings(max_examples=40, deadline=None)
@given(runs=st.lists(messages, max_size=4))
def test_probabilities_are_probabilities(make, runs):
    """
    Every candidate's probability lies in [0, 1], the list is sorted, holds no call twice and is not longer than asked.
    """
    predictor = make()
    for run in runs:
        for history, made in moments(run):
            candidates = predictor.predict(history, k=4)
            probabilities = [candidate.probability for candidate in candidates]
            assert all(0.0 <= probability <= 1.0 for probability in probabilities)
            assert len(candidates) <= 4
            assert probabilities == sorted(probabilities, reverse=True)
            assert len({repr(candidate.call) for candidate in candidates}) == len(candidates)
            predictor.learn(history, made)


@pytest.mark.parametrize("make", ALL)
@settings(max_examples=25, deadline=None)
@given(runs=st.lists(messages, max_size=3))
def test_predicting_changes_nothing(make, runs):
    """
    However often one asks in between, the same experience gives the same answers.
    """
    asked, silent = make(), make()
    points = [point for run in runs for point in moments(run)]
    for history, made in points:
        asked.predict(history, k=3)
        asked.predict(points[0][0], k=30)
        asked.learn(history, made)
        silent.learn(history, made)
    for history, _ in points:
        assert written(asked.predict(history, k=30)) == written(silent.predict(history, k=30))


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(messages, min_size=1, max_size=3))
def test_what_is_kept_between_turns_changes_nothing(runs):
    """
    Runs that take turns and grow step by step get the predictions of histories that are read afresh each time.
    """
    grown, fresh = default_predictor(), default_predictor()
    turns = zip_longest(*[moments(run, grow=True) for run in runs], fillvalue=(None, None))
    again = zip_longest(*[moments(run) for run in runs], fillvalue=(None, None))
    for (history, made), (same, _) in zip(chain(*turns), chain(*again), strict=True):
        if history is not None:
            assert written(grown.predict(history, k=30)) == written(fresh.predict(same, k=30))
            grown.learn(history, made)
            fresh.learn(same, made)


def test_expected_hits_match_what_happens():
    """
    The probabilities add up to the number of calls to expect: with one call a message, not to much more than one.
    """
    predictor = default_predictor()
    for number in range(60):
        said = f"Orders A{number}000 and B{number}000 of mia_{number}"
        history = History.from_messages([{"role": "user", "content": said}])
        candidates = predictor.predict(history, k=30)
        assert sum(candidate.probability for candidate in candidates) < (3.0 if number < 20 else 1.5)
        predictor.learn(history, [Call("get_order", {"id": f"{'AB'[number % 2]}{number}000"})])


def test_a_guess_is_doubted_until_guesses_turn_out_right():
    """
    What has seen little promises less than its counts say, and as much as them once they have proved true.
    """
    ranker, even = Ranker(2), (log_odds(0.5), 1.0)

    assert 0.1 < ranker.chance("find", even) < 0.4

    for step in range(400):
        ranker.learn("find", even, step % 2 == 0)

    assert ranker.chance("find", even) == pytest.approx(0.5, abs=0.05)


def test_a_tool_that_disappoints_is_trusted_less_than_others():
    """
    What was learned of one tool counts for all, and for that tool still more.
    """
    ranker, likely = Ranker(2), (log_odds(0.8), 1.0)
    before = ranker.chance("read", likely)

    for _ in range(50):
        ranker.learn("find", likely, False)

    assert ranker.chance("find", likely) < ranker.chance("read", likely) < before


def test_learning_is_online():
    """
    One run is enough to predict the next one of its kind, and each turn teaches the one after it.
    """
    predictor = default_predictor()
    history = History.from_messages([{"role": "user", "content": "Good morning"}])
    probabilities = []
    for _ in range(6):
        predictor.learn(history, [Call("list_orders", {"open": True})])
        probabilities.append(predictor.predict(history, k=1)[0].probability)
    assert probabilities[-1] > 0.8
    assert probabilities == sorted(probabilities)


def test_guesses_that_nobody_asked_for_are_made_as_long_as_they_teach_something(monkeypatch):
    """
    Learning makes them to know how far to trust such guesses: all at first, then one in four. Predicting asks for them.
    """
    looks, guesses = [], BlendedPredictor._guesses

    def counted(*told):
        looks.append(told)
        return guesses(*told)

    monkeypatch.setattr(BlendedPredictor, "_guesses", counted)
    predictor = BlendedPredictor()
    lessons = list(recorded_runs(700))
    for history, calls in lessons[:300]:
        predictor.learn(history, calls)
    assert len(looks) == 300
    for history, calls in lessons:
        predictor.learn(history, calls)
    assert 500 < len(looks) < 0.9 * (300 + len(lessons))
    looks.clear()
    for history, calls in lessons[:100]:
        predictor.predict(history, k=3)
        predictor.learn(history, calls)
    assert len(looks) == 100


def test_drift_is_followed():
    """
    When an agent changes its ways, the new way wins within a few turns.
    """
    predictor = default_predictor()
    history = History.from_messages([{"role": "user", "content": "Good morning"}])
    for _ in range(30):
        predictor.learn(history, [Call("old_way", {})])
    for _ in range(40):
        predictor.learn(history, [Call("new_way", {})])
    assert predictor.predict(history, k=1)[0].call.name == "new_way"


def test_free_text_stays_quiet():
    """
    A tool whose arguments are never found anywhere gives no candidate that anyone would launch.
    """
    predictor = default_predictor()
    for number in range(80):
        history = History.from_messages([{"role": "user", "content": f"Tell me about topic {number}"}])
        candidates = predictor.predict(history, k=10)
        assert number < 3 or all(candidate.probability < 0.25 for candidate in candidates)
        predictor.learn(history, [Call("think", {"thought": f"is {number * 7919} like {number**3}?"})])


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("args", "result"),
    [
        ({"x": math.nan}, "NaN"),
        ({"x": deep(10_000)}, "[" * 10_000 + "]" * 10_000),
        ({"x": object()}, '{"a": ' * 200 + "1" + "}" * 200),
        ({"x": {1, 2}, "y": b"\xff"}, "\x00\ud800"),
        ({"x": "y" * 1_000_000}, "word_1 " * 200_000),
        ({"x": list(range(20_000))}, str(list(range(300_000)))),
        ({f"key{n}": n for n in range(500)}, '{"k": "v", ' + ", ".join(f'"k{n}": {n}' for n in range(20_000)) + "}"),
        ({"x": 10**30}, "(" * 5_000 + "'" * 5_000),
        ({"x": "A" * 3_000 + " " + "A b " * 800}, "Aa the " * 3_000 + "a: " * 2_000),
    ],
    ids=["nan", "deep", "object", "bytes", "long text", "long list", "many keys", "punctuation", "phrases"],
)
def test_rubbish_neither_raises_nor_takes_long(args, result):
    """
    Whatever a model writes or a tool returns, predicting and learning end, and soon.
    """
    predictor = default_predictor()
    sent = [{"role": "user", "content": "go"}]
    for number in range(6):
        call = {"id": str(number), "name": "odd", "args": args}
        sent.append({"role": "assistant", "tool_calls": [call]})
        sent.append({"role": "tool", "tool_call_id": str(number), "content": result})
        history = History.from_messages(sent)
        started = time.thread_time()
        predictor.predict(history, k=5)
        predictor.learn(history, [Call("odd", copy.copy(args))])
        assert time.thread_time() - started < 0.25  # all of it new, on a slow machine; usually below 5 ms


@given(messages)
def test_a_look_further_ahead_changes_nothing_of_what_is_learned(steps):
    """
    What was only imagined between a prediction and the truth leaves no trace.
    """
    plain, looking = BlendedPredictor(), BlendedPredictor()
    for history, made in moments(steps, grow=True):
        expected, candidates = plain.predict(history, k=5), looking.predict(history, k=5)
        assert written(candidates) == written(expected)
        for candidate in candidates:
            looking.predict(history.after([candidate.call]), k=5)
        for predictor in (plain, looking):
            predictor.learn(history, made)
    assert looking.take() == plain.take()
