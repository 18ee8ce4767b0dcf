"""What the model's stream makes of guesses: probabilities stay probabilities, and nothing is learned by asking."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from langgraph_speculate.core import Call, Candidate, Draft, History, Origin
from langgraph_speculate.host.forecast import Forecaster
from langgraph_speculate.predict import BlendedPredictor, Order1, PartitionedPredictor
from langgraph_speculate.predict import toolwords as toolwords_module
from langgraph_speculate.predict.stream import Company, Partings, conditioned, fitted
from langgraph_speculate.predict.toolwords import ToolWords
from langgraph_speculate.testing import recorded_runs


def drafted(*pieces: tuple[Any, str | None, str | None, str | None], text: str = "") -> Draft:
    draft = Draft()
    if text:
        draft.say(text)
    for piece in pieces:
        draft.write(*piece)
    return draft


def get(text: str, name: str = "get") -> Draft:
    return drafted((0, "call_1", name, text))


def guesses(*made: tuple[str, dict[str, Any], float]) -> list[Candidate]:
    return [Candidate(Call(name, args), chance, "test") for name, args, chance in made]


def chances(candidates: list[Candidate]) -> dict[str, float]:
    return {f"{one.call.name} {one.call.args}": one.probability for one in candidates}


def are_sound(candidates: list[Candidate]) -> bool:
    told = [one.probability for one in candidates]
    return all(0.0 <= chance <= 1.0 for chance in told) and told == sorted(told, reverse=True)


# -- conditioned -----------------------------------------------------------------------------------------------------

TWO = guesses(("get", {"id": 1}, 0.4), ("get", {"id": 2}, 0.2), ("find", {}, 0.2))


def test_before_the_first_call_nothing_changes():
    """
    Text alone says nothing here, and what was taken back says no more.
    """
    assert conditioned(TWO, drafted(text="I will get it.")) == TWO
    assert conditioned(TWO, drafted((0, "a", "get", "["))) == TWO


def test_a_name_leaves_the_guesses_of_that_tool_with_its_share():
    """
    By Bayes' rule: 0.4 of the 0.6 foreseen for the tool and its part of the 0.2 that nobody foresaw.
    """
    told = chances(conditioned(TWO, get("")))
    assert told["get {'id': 1}"] == pytest.approx(0.4 / (0.6 + 0.2 * 0.6 / 0.8))
    assert told["get {'id': 2}"] == pytest.approx(0.2 / (0.6 + 0.2 * 0.6 / 0.8))
    assert told["find {}"] == pytest.approx(0.2 * 0.1)


def test_an_argument_decides_between_guesses():
    """
    That nine characters agree by chance is improbable; a contradicted guess is what another call of the message may be.
    """
    told = chances(conditioned(TWO, get('{"id": 1,')))
    assert told["get {'id': 1}"] == pytest.approx(0.4 / (0.4 + 0.2 * 0.75 * 0.9**9))
    assert told["get {'id': 2}"] == pytest.approx(0.2 * 0.1)


def test_what_was_nearly_sure_is_expected_of_another_call():
    """
    If P(find) was 0.95 and the message begins with `get`, then most messages that do so call both.
    """
    told = chances(conditioned(guesses(("get", {}, 0.5), ("find", {}, 0.95)), get("")))
    assert told["find {}"] == pytest.approx(1 - 0.05 / 0.5)


def test_no_chance_at_all_stays_none():
    """
    Where nothing that fits had any, nothing is divided by nothing.
    """
    told = chances(conditioned(guesses(("get", {}, 0.0), ("find", {}, 0.5)), get("")))
    assert told == {"find {}": pytest.approx(0.05), "get {}": 0.0}
    assert fitted(guesses(("get", {}, 0.0)), get("{").calls[0], 0.5) == guesses(("get", {}, 0.0))
    assert conditioned([], get("{")) == []


def test_the_longer_the_agreement_the_less_it_is_chance():
    """
    Down to nothing, without any error.
    """
    partings = Partings()
    told = [partings.surprise("get", length) for length in (0, 1, 3, 10**5)]
    assert told == [1.0, pytest.approx(0.9), pytest.approx(0.9**3), pytest.approx(0.0)]


def test_how_long_new_calls_look_like_foreseen_ones_is_learned_for_each_tool():
    """
    Queries begin alike for long, identifiers do not; what cannot be written as JSON has nothing in common.
    """
    partings = Partings()
    for number in range(200):
        partings.learn(Call("sql", {"q": f"select name from t{number}"}), [Call("sql", {"q": "select name from city"})])
        partings.learn(Call("get", {"id": f"{number}"}), [Call("get", {"id": "x"}), Call("get", {"id": object()})])
    assert partings.surprise("sql", 20) > 3 * partings.surprise("get", 20)


def test_how_often_another_call_follows_is_learned_for_each_tool():
    """
    Where nobody counted, one in ten.
    """
    company = Company()
    assert company.more("get") == 0.1
    for _ in range(30):
        company.learn([Call("get"), Call("get"), Call("find")])
    assert company.more("get") > 0.8 > 0.1 > company.more("find")


class Unequal:
    """As an array of numpy: equality is no truth value."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


HOSTILE = [
    *guesses(
        ("get", {}, 0.0),
        ("get", {"id": 1}, 1.0),
        ("get", {"id": Unequal()}, 0.5),
        ("get", {"id": Unequal()}, 0.5),
        ("get", {"id": float("nan")}, 1.0),
        ("get", {"id": [1] * 100}, 1.0),
        ("", {"": None}, 1.0),
        ("get", {"id": "\ud800"}, 0.3),
    )
]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_written_probabilities_stay_probabilities(seed: int):
    """
    Pieces of any shape in any order, guesses of any value; what contradicts the call becomes no more probable.
    """
    chance, draft = random.Random(seed), Draft()
    for _ in range(60):
        index, id = chance.choice([None, 0, 1, [], "x"]), chance.choice([None, "", "a", "b"])
        name = chance.choice([None, None, None, "get", ""])
        piece = chance.choice([None, "", "{", '"id"', ":", "1", ",", "}", '"', "\\", "[", '{"id": ', '"\\ud8', "x"])
        draft.write(index, id, name, piece)
        some = sorted(chance.sample(HOSTILE, 4), key=lambda one: -one.probability)
        told = conditioned(some, draft)
        assert are_sound(told)
        assert sorted(map(id_of, told)) == sorted(map(id_of, some))
        if draft.current is not None:
            fit = fitted(some, draft.current, 0.5)
            assert all(0.0 <= one.probability <= 1.0 for one in fit)
            before = {id_of(one): one.probability for one in some}
            for one in told:
                if not draft.current.may_become(one.call):
                    assert one.probability <= max(before[id_of(one)], 0.1) + 1e-9


def id_of(candidate: Candidate) -> int:
    return id(candidate.call)


# -- words of tools --------------------------------------------------------------------------------------------------


def test_what_is_said_is_worth_nothing_where_nothing_is_known():
    """
    The chances come back as they were; none of nothing makes no error.
    """
    words = ToolWords()
    assert words.tell("I look", {"get": 0.5}) == {"get": 0.5}
    words.learn("I look", {"get"})
    assert words.tell("I look", {}) == {}
    assert words.tell("I look", {"get": 0.0, "find": 0.0}) == {"get": 0.0, "find": 0.0}


def test_words_share_out_what_was_expected_and_no_more():
    """
    However telling they are, the sum stays, and no tool gets more than certain.
    """
    words = ToolWords()
    for _ in range(200):
        words.learn("Let me look up the order", {"get"})
        words.learn("I search the web", {"find"})
    told = words.tell("I look up your order", {"get": 0.3, "find": 0.3, "new": 0.1})
    assert sum(told.values()) == pytest.approx(0.7)
    assert next(iter(told)) == "get"
    assert told["get"] > 0.55
    assert max(words.tell("I look up your order", {"get": 1.0, "find": 0.9}).values()) <= 1.0


def test_names_that_models_make_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    """
    So many tools are remembered; the one that was called least recently is forgotten first.
    """
    monkeypatch.setattr(toolwords_module, "_TOOLS", 8)
    words = ToolWords()
    for number in range(1000):
        words.learn("the same words", {"get", f"made_up_{number}"})
    assert len(words._texts) <= 8
    assert max(len(counts) for counts in words._counts.values()) <= 2 * 8 + 2
    assert words.texts("get") == 1000
    assert words.texts("made_up_0") == 0


# -- the shipped predictor -------------------------------------------------------------------------------------------


def told_runs(seed: int = 0) -> Iterator[tuple[History, list[Call], str]]:
    """Runs whose messages say what they are going to do."""
    chance = random.Random(seed)
    for number in range(60):
        order = f"#W{chance.randrange(10**6):06}"
        origin = Origin(run=f"run-{seed}-{number}")
        history = History.from_messages([{"role": "user", "content": "Hello, I have a question"}], origin=origin)
        if chance.random() < 0.5:
            yield history, [Call("get_order", {"order_id": order})], f"Let me look up the order {order} for you."
        else:
            yield history, [Call("search", {"query": order})], f"I will search the web for {order}."


@pytest.fixture(scope="module")
def learned() -> BlendedPredictor:
    predictor = BlendedPredictor()
    for history, calls, text in told_runs():
        predictor.learn(with_text(history, text), calls)
    for history, calls in recorded_runs():
        predictor.learn(history, calls)
    return predictor


def with_text(history: History, text: str) -> History:
    return replace(history, writing=text)


def test_texts_tell_arguments_that_stand_nowhere_else(learned: BlendedPredictor):
    """
    From the text to the value, and before the first piece of the call.
    """
    right = 0
    for history, calls, text in list(told_runs(seed=1))[:20]:
        best = learned.narrow(history, drafted(text=text), k=1)
        right += bool(best) and best[0].call == calls[0] and best[0].probability > 0.5
    assert right >= 18


def some_drafts() -> list[Draft]:
    return [
        Draft(),
        drafted(text="Let me look up the order #W000001."),
        drafted(text="?" * 50_000),
        drafted((0, "a", "get_order", "")),
        drafted((0, "a", "get_order", '{"order_id": "#W'), text="I look it up"),
        drafted((0, "a", "find_user", '{"user_id": "user_1", ')),
        drafted((0, "a", "cancel_order", '{"why": "no longer needed", ')),
        drafted((0, "a", "get_order", '{"order_id": "#W1"}'), (1, "b", "get_order", "")),
        drafted((0, "a", "nobody_knows", '{"x": [')),
        drafted((0, "a", "get_order", "[")),
        drafted((None, None, None, "{"), ([], "", "", None)),
    ]


def digest(predictor: Any) -> str:
    return repr([predictor.predict(history, k=10) for history, _ in recorded_runs(4, seed=3)])


def test_narrowing_changes_nothing_and_answers_the_same_twice(learned: BlendedPredictor):
    """
    Whatever was asked before; each answer is sound, and fits what is being written or is another call.
    """
    before = digest(learned)
    moments = [history for history, _ in recorded_runs(4, seed=2)]
    answers = [learned.narrow(history, draft, k=10) for history in moments for draft in some_drafts()]
    assert answers == [learned.narrow(history, draft, k=10) for history in moments for draft in some_drafts()]
    assert digest(learned) == before
    assert sum(map(len, answers)) > 20
    for answer in answers:
        assert are_sound(answer)
        assert len({one.call.key for one in answer}) == len(answer)
    for k in (-1, 0, 1):
        assert all(len(learned.narrow(moments[0], draft, k=k)) <= max(k, 0) for draft in some_drafts())


def test_candidates_for_the_call_that_is_written_fit_it(learned: BlendedPredictor):
    """
    What contradicts it is told as another call of the message, with no more chance than it had at the beginning.
    """
    for history, _ in recorded_runs(4, seed=2):
        before = {one.call.key: one.probability for one in learned.predict(history, k=30)}
        for draft in some_drafts():
            if draft.current is None:
                continue
            for one in learned.narrow(history, draft, k=10):
                assert draft.current.may_become(one.call) or one.probability <= before[one.call.key]


def test_what_is_written_is_learned_by_nobody_but_learn(learned: BlendedPredictor):
    """
    What a predictor hands over to be written down is the same, asked or not.
    """
    asked, silent = BlendedPredictor(), BlendedPredictor()
    for history, calls in recorded_runs():
        for draft in some_drafts()[:6]:
            asked.narrow(history, draft, k=5)
        asked.learn(history, calls)
        silent.predict(history, k=5)
        silent.learn(history, calls)
    for history, _ in recorded_runs(4, seed=1):
        before, after = silent.predict(history, k=10), asked.predict(history, k=10)
        assert [one.call for one in before] == [one.call for one in after]
    assert asked.take() == silent.take()


def test_memory_of_what_is_looked_at_is_bounded():
    """
    Messages and runs without end leave no more than some hundred.
    """
    predictor = BlendedPredictor()
    for number in range(1000):
        history = History.from_messages([{"role": "user", "content": f"order {number}"}])
        predictor.narrow(history, drafted((0, "a", "get", "{"), text="x" * 100), k=5)
    assert len(predictor._named) <= 256
    assert len(predictor._looked) <= 256
    assert len(predictor._runs) <= 256


def test_partitions_are_kept_apart_while_messages_are_written():
    """
    What one tenant's messages taught is not told to another, nor makes it a partition.
    """
    predictor = PartitionedPredictor()
    for history, calls, text in told_runs():
        ours = History(history.events, Origin(partition="us", run=history.origin.run), text)
        predictor.learn(ours, calls)
    history, _, text = next(told_runs(seed=1))
    drafts = [drafted(text=text), drafted((0, "a", "get_order", ""), text=text)]
    for draft in drafts:
        assert predictor.narrow(History(history.events, Origin(partition="us")), draft, k=5)
        assert predictor.narrow(History(history.events, Origin(partition="them")), draft, k=5) == []
    assert list(predictor._predictors) == ["us"]


# -- predictors of others --------------------------------------------------------------------------------------------


class Narrows(Order1):
    bounded = True
    answer: Any = ()

    def narrow(self, history: History, draft: Draft, *, k: int) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def endless() -> Iterator[Candidate]:
    while True:
        yield Candidate(Call("get"), 0.5)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (ValueError("a user's words"), 0),
        (None, 0),
        (7, 0),
        ("text", 0),
        ([None, object()], 0),
        ([Candidate(Call("get"), 2.0), Candidate(Call("get"), float("nan"))], 0),
        ([Candidate(Call("get"), 0.5), "rubbish"], 1),
        (endless(), 5),
    ],
)
def test_a_predictor_that_answers_a_message_with_rubbish_harms_nothing(answer: Any, kept: int):
    """
    One warning, which quotes nobody; what is sound of the answer is kept, at most as much as was asked for.
    """
    predictor, warned = Narrows(), list[tuple[str, str]]()
    predictor.answer = answer
    forecaster = Forecaster(predictor, lambda cause, message: warned.append((cause, message)))
    assert len(forecaster.narrow(History(), get("{"), [], 5)) == kept
    assert bool(warned) is (kept != 5)
    assert "a user's words" not in repr(warned)


def test_only_predictors_that_answer_at_once_are_asked_about_messages():
    """
    For others, what they said at the beginning is re-scored: nothing waits for them.
    """
    predictor = Narrows()
    predictor.bounded = False
    predictor.answer = AssertionError("asked")
    forecaster = Forecaster(predictor, lambda *_: None)
    assert not forecaster.follows
    with forecaster.asking():  # it hangs
        assert forecaster.narrow(History(), get(""), TWO, 5) == conditioned(TWO, get(""))


def test_guesses_that_cannot_be_compared_with_a_message_are_none():
    """
    Values of somebody else's classes may raise at any question.
    """

    class Raises(dict[str, Any]):
        def __contains__(self, key: object) -> bool:
            raise RuntimeError("a user's words")

    warned = list[tuple[str, str]]()
    forecaster = Forecaster(Order1(), lambda cause, message: warned.append((cause, message)))
    told = [Candidate(Call("get", Raises(id=1)), 0.5)]
    assert forecaster.narrow(History(), get('{"id": 1,'), told, 5) == []
    assert len(warned) == 1
    assert "a user's words" not in repr(warned)


# -- many runs at once -------------------------------------------------------------------------------------------------


def _asking(run: int) -> History:
    return History.from_messages([{"role": "user", "content": f"I am user_{run}, where is order #W{run}?"}])


def test_a_stream_looks_things_up_once_however_many_runs_stream_at_once(monkeypatch: pytest.MonkeyPatch):
    """
    Each piece of each of a hundred messages finds what was looked up before its message began.
    """
    predictor = BlendedPredictor()
    for history, calls in recorded_runs(20):
        predictor.learn(history, calls)
    histories, drafts = [_asking(run) for run in range(100)], [get('{"order_id": "', "get_order") for _ in range(100)]
    for history in histories:
        predictor.predict(history, k=3)
    looked: list[History] = []
    look = BlendedPredictor._look
    monkeypatch.setattr(BlendedPredictor, "_look", lambda self, history: looked.append(history) or look(self, history))
    for _ in range(3):
        for history, draft in zip(histories, drafts, strict=True):
            draft.write(0, None, None, "#")
            predictor.narrow(history, draft, k=3)
    assert looked == []


def test_nothing_is_kept_of_a_run_that_has_answered():
    """
    Its histories hold all that its tools said, which is much of many runs.
    """
    predictor = BlendedPredictor()
    for run in range(50):
        history = _asking(run)
        predictor.predict(history, k=3)
        predictor.learn(history, [Call("get_order", {"order_id": f"#W{run}"})])
        later = history.after([Call("get_order", {"order_id": f"#W{run}"})], ["sent"])
        predictor.predict(later, k=3)
        assert predictor._runs
        predictor.learn(later, [])
    assert not predictor._looked
    assert not predictor._runs
