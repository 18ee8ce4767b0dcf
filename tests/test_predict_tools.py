"""Which tools come next."""

import pytest

from langgraph_speculate.core import Call, History
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.predict.knowledge import NEXT
from langgraph_speculate.predict.markov import NextTools, details, signatures


def history_of(*names, user="Hello"):
    sent = [{"role": "user", "content": user}]
    for number, name in enumerate(names):
        sent.append({"role": "assistant", "tool_calls": [{"id": str(number), "name": name, "args": {}}]})
        sent.append({"role": "tool", "tool_call_id": str(number), "content": "Error: no" if name == "bad" else "fine"})
    return History.from_messages(sent)


def after(*names):
    """The context after these calls."""
    return signatures(history_of(*names), 4)


def test_an_event_is_named_by_kind_tool_and_ending():
    """
    Payloads are no part of a signature; failures, and whether the user named something, are.
    """
    assert signatures(history_of("find", "bad"), 9) == ("^", "user", "find", "bad!")
    assert signatures(history_of(user="Order A1234"), 1) == ("user#",)
    assert signatures(History().after([Call("find")]), 2) == ("^", "find")  # pending, it would be another event
    answered = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert signatures(History.from_messages(answered), 2) == ("user", "answer")


def test_calls_of_one_message_are_one_event():
    """
    Parallel calls stand side by side, in the order of the message, each tool once.
    """
    calls = [{"id": str(n), "name": name, "args": {}} for n, name in enumerate(["find", "read", "find"])]
    history = History.from_messages([{"role": "assistant", "tool_calls": calls}])
    assert signatures(history, 1) == ("find?+read?",)


def test_a_longer_context_wins_where_it_was_seen():
    """
    After A then B comes C, after X then B comes D, and an unknown way to B leaves both open.
    """
    tools = NextTools()
    for _ in range(5):
        tools.learn(after("A", "B"), ["C"])
        tools.learn(after("X", "B"), ["D"])
    assert next(iter(tools.predict(after("A", "B")))) == "C"
    assert next(iter(tools.predict(after("X", "B")))) == "D"
    unknown = tools.predict(after("Y", "B"))
    assert unknown["C"] == pytest.approx(unknown["D"], abs=0.05)


def test_an_answer_takes_its_share():
    """
    What the tools leave of one is the chance that nothing is called.
    """
    tools = NextTools()
    for _ in range(20):
        tools.learn(after("find"), [])
        tools.learn(after("find"), ["read"])
    assert tools.predict(after("find"))["read"] == pytest.approx(0.5, abs=0.1)


def test_a_command_counts_as_a_tool_in_what_happened():
    """
    A shell that listed files goes on differently from one that read a file.
    """
    call = {"id": "a", "name": "bash", "args": {"command": "cat notes.txt"}}
    history = History.from_messages([{"role": "assistant", "tool_calls": [call]}])
    assert signatures(history, 1) == ("bash cat?",)


def test_what_the_user_brings_shifts_the_tools():
    """
    After a booking code comes the booking, after a name the user, although both were said in the same place.
    """
    code, name = history_of(user="It is VA5SGQ"), history_of(user="I am mia_li_3668")
    tools = NextTools()
    for _ in range(6):
        tools.learn(signatures(code, 4), ["get_booking"], details(code))
        tools.learn(signatures(name, 4), ["get_user"], details(name))
    other = history_of(user="Mine is 4OG6TX")
    told = tools.predict(signatures(other, 4), details(other))
    assert told["get_booking"] > 2 * told["get_user"]
    assert tools.predict(signatures(other, 4))["get_user"] == pytest.approx(0.5, abs=0.1)


def test_several_tools_of_one_message_each_count():
    """
    A message that always calls two tools gives both a high probability.
    """
    tools = NextTools()
    for _ in range(20):
        tools.learn(after("find"), ["read", "check", "read"])
    assert all(chance > 0.85 for chance in tools.predict(after("find")).values())


def test_where_nothing_like_it_was_seen_common_tools_are_told_and_rare_ones_are_not():
    """
    Of hundreds of tools, those that one message in 200 holds are told, also when they became common, or rare, later on.
    """
    tools = NextTools()
    for number in range(300):
        tools.learn(after("start"), [f"rare{number}"])
        if number % 100 == 99:
            tools.learn(after("start"), ["soon_common"])
    told = tools.predict(after("never seen"))
    assert list(told) == ["soon_common"]
    assert told["soon_common"] == pytest.approx(3 / 304)
    for _ in range(500):
        tools.learn(after("start"), ["rare7"])
    assert list(tools.predict(after("never seen"))) == ["rare7"]


def test_common_tools_are_known_again_from_what_was_written_down():
    """
    What was recalled is told as what was learned is.
    """
    tools = NextTools()
    tools.recall((NEXT, "start", "find"), 300.0)
    tools.recall((NEXT, "start", "read"), 1.0)
    tools.settle()
    assert list(tools.predict(after("never seen"))) == ["find"]


def test_memory_is_bounded():
    """
    The number of contexts never exceeds its limit; recent ones are kept.
    """
    tools = NextTools(contexts=50)
    for number in range(500):
        tools.learn(after(f"tool{number}"), ["next"])
    assert len(tools._counts) == 50
    assert tools.predict(after("tool499"))["next"] > 0.5


def test_bad_settings_are_refused():
    """
    Settings are checked where they are given.
    """
    with pytest.raises(ValueError, match="decay"):
        NextTools(decay=0.0)


def test_it_tells_how_likely_a_call_is_at_all():
    """
    After a result that always led to an answer it expects one, and after the user's turn a call.
    """
    predictor = default_predictor()
    asked = [{"role": "user", "content": "Where is SO-7?"}]
    told = [
        *asked,
        {"role": "assistant", "tool_calls": [{"id": "1", "name": "get", "args": {"id": "SO-7"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "sent"},
    ]
    first, then = History.from_messages(asked), History.from_messages(told)
    assert predictor.call_chance(first) == 0.0
    for _ in range(8):
        predictor.learn(first, [Call("get", {"id": "SO-7"})])
        predictor.learn(then, [])
    assert predictor.call_chance(first) > 0.8
    assert predictor.call_chance(then) < 0.2
