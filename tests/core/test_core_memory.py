"""What is remembered of tools: what comes back, how likely it is thought to be, and for whom and how long."""

from __future__ import annotations

import random
from typing import Any

import pytest
from cachetools import LRUCache
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate.core.memory import Kept, Memory, Reading, Result
from langgraph_speculate.core.resources import Epochs


def result(content: Any) -> Result:
    made = Result.of({"content": content, "status": "success"})
    assert made is not None
    return made


def forever() -> Reading:
    """Of a call that reads nothing that is ever written."""
    return Reading(frozenset(), Epochs(), 0)


def memory(**settings: Any) -> Memory:
    return Memory({}, {}, **settings)


def told(of: Memory, *answers: str, key: str = "k", tool: str = "get", partition: str = "") -> Memory:
    for answer in answers:
        of.learn(partition, tool, key, result(answer), forever())
    return of


def test_nothing_is_expected_of_a_tool_nobody_called():
    """
    Without a result there is nothing to bet on.
    """
    assert memory().expect("", "get", "k") is None


def test_a_call_is_expected_to_answer_what_it_last_did():
    """
    The latest result is the one that comes back.
    """
    expected = told(memory(), "old", "new").expect("", "get", "k")
    assert expected is not None
    assert expected.result.parts["content"] == "new"


def test_what_stays_the_same_is_trusted_and_what_changes_is_not():
    """
    The probability of "the same again" comes from how often it was.
    """
    steady = told(memory(), *["same"] * 10).expect("", "get", "k")
    restless = told(memory(), *map(str, range(10))).expect("", "get", "k")
    assert steady is not None
    assert restless is not None
    assert steady.probability > 0.9
    assert restless.probability < 0.15


def test_one_call_that_changes_does_not_spoil_its_tools_others():
    """
    A call is judged by itself the better it is known, and by its tool as long as it is not.
    """
    kept = memory()
    for number in range(12):
        told(kept, "same", key="steady")
        told(kept, str(number), key="restless")
    steady, restless = kept.expect("", "get", "steady"), kept.expect("", "get", "restless")
    assert steady is not None
    assert restless is not None
    assert steady.probability > 0.8 > 0.2 > restless.probability


@pytest.mark.parametrize(("answers", "likely"), [(["ok"] * 12, True), ([str(number) for number in range(12)], False)])
def test_a_tool_that_always_says_the_same_is_known_for_new_arguments_too(answers: list[str], likely: bool):
    """
    "sent", whatever was sent.
    """
    kept = memory()
    for number, answer in enumerate(answers):
        told(kept, answer, key=f"arguments {number}")
    expected = kept.expect("", "get", "new arguments")
    assert expected is not None
    assert (expected.probability > 0.7) is likely


def test_partitions_know_nothing_of_each_other():
    """
    Neither results nor habits cross from one user to another.
    """
    kept = told(memory(), *["ann's"] * 5, partition="ann")
    assert kept.expect("bob", "get", "k") is None
    assert kept.expect("ann", "get", "k") is not None


def test_a_result_is_old_once_what_it_read_was_written():
    """
    From the start of the write on; what it did not read does not matter.
    """
    kept, epochs = memory(), Epochs()
    kept.learn("", "get", "7", result("seven"), Reading(frozenset({"order:7"}), epochs, epochs.now))
    kept.learn("", "get", "8", result("eight"), Reading(frozenset({"order:8"}), epochs, epochs.now))
    epochs.begin_write(frozenset({"order:7"}))
    seven, eight = kept.expect("", "get", "7"), kept.expect("", "get", "8")
    assert seven is None or seven.result.parts["content"] != "seven"
    assert eight is not None
    assert eight.result.parts["content"] == "eight"


def test_a_result_that_was_old_says_nothing_about_its_call():
    """
    What changed because something was written is no sign that the call is restless.
    """
    kept, epochs = memory(), Epochs()
    for number in range(8):
        tags = frozenset({"order:7"})
        kept.learn("", "get", "7", result(str(number)), Reading(tags, epochs, epochs.now))
        epochs.begin_write(tags)
        epochs.end_write(tags)
    kept.learn("", "get", "7", result("last"), Reading(frozenset({"order:7"}), epochs, epochs.now))
    expected = kept.expect("", "get", "7")
    assert expected is not None
    assert expected.probability >= 0.5


def test_what_is_too_large_is_not_remembered():
    """
    Nor is what it was before: that is no longer what the call says.
    """
    kept = told(memory(most_bytes=200), "small")
    told(kept, "x" * 300)
    assert kept.expect("", "get", "k") is None


def test_it_takes_no_more_room_than_it_was_given():
    """
    The results that were used last stay.
    """
    room: LRUCache[Any, Kept] = LRUCache(2_000, getsizeof=lambda kept: kept.size)
    kept = Memory(room, LRUCache(10))
    for number in range(50):
        told(kept, f"answer {number}", key=str(number))
    assert room.currsize <= 2_000
    assert 0 < len(room) < 10
    last = kept.expect("", "get", "49")
    assert last is not None
    assert last.result.parts["content"] == "answer 49"


def test_a_result_that_cannot_be_compared_is_none():
    """
    An object has no bytes to compare.
    """
    assert Result.of({"content": object()}) is None


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 0.95), st.integers(0, 10_000))
def test_its_probabilities_come_true_as_often_as_they_say(share: float, seed: int):
    """
    Calibrated: of bets at about a probability that share is won, whatever the tool is like.
    """
    rng, kept, bets = random.Random(seed), memory(), []
    number = 0
    for _ in range(400):
        expected = kept.expect("", "get", "k")
        number += rng.random() > share
        if expected is not None:
            bets.append((expected.probability, expected.result.parts["content"] == str(number)))
        told(kept, str(number))
    settled = bets[100:]
    won = sum(hit for _, hit in settled) / len(settled)
    thought = sum(probability for probability, _ in settled) / len(settled)
    assert abs(won - thought) < 0.12


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("012")), max_size=40))
def test_what_it_expects_was_once_answered_in_that_partition(calls: list[tuple[str, str, str]]):
    """
    No expectation is made up, none is of another partition, and probabilities are such.
    """
    kept, answered = memory(), set()
    for partition, key, answer in calls:
        told(kept, answer, key=key, partition=partition)
        answered.add((partition, answer))
        for one in "ab":
            for which in "xyz":
                expected = kept.expect(one, "get", which)
                if expected is not None:
                    assert (one, expected.result.parts["content"]) in answered
                    assert 0.0 < expected.probability < 1.0


def turned_over(kept: Memory, *keys: str, reading: Reading | None = None) -> Memory:
    """Another process that was given the page."""
    page, other = kept.page("", "get", keys), memory()
    assert page is not None
    other.recall("", "get", page, reading or forever())
    return other


def test_a_page_tells_another_process_what_to_expect():
    """
    Results and counts come along, those of the calls that were asked for.
    """
    kept = told(told(memory(), *["same"] * 6, key="one"), *["same"] * 6, key="two")
    other = turned_over(kept, "one")
    expected = other.expect("", "get", "one")
    assert expected is not None
    assert (expected.result.parts["content"], expected.probability > 0.8) == ("same", True)
    assert other.expect("", "get", "two") is None
    assert memory().page("", "get", ["one"]) is None


def test_what_another_process_saw_weighs_little_beside_what_this_one_does():
    """
    A result that never changed there and always does here is soon no longer bet on.
    """
    other = turned_over(told(memory(), *["same"] * 60), "k")
    before = other.expect("", "get", "k")
    after = told(other, *map(str, range(12))).expect("", "get", "k")
    assert before is not None
    assert after is not None
    assert before.probability > 0.85 > 0.4 > after.probability


def test_what_this_process_knows_is_not_replaced_by_what_another_did():
    """
    A page may arrive late.
    """
    mine = told(memory(), "mine", "mine")
    page = told(memory(), "theirs", "theirs").page("", "get", ["k"])
    assert page is not None
    mine.recall("", "get", page, forever())
    expected = mine.expect("", "get", "k")
    assert expected is not None
    assert expected.result.parts["content"] == "mine"


def test_what_was_recalled_is_old_once_something_was_written():
    """
    It counts as read when its reading says, however old it is.
    """
    epochs = Epochs()
    other = turned_over(told(memory(), "same", "same"), "k", reading=Reading(frozenset({"*"}), epochs, epochs.now))
    assert other.expect("", "get", "k") is not None
    epochs.begin_write(frozenset({"anything"}))
    assert other.expect("", "get", "k") is None
