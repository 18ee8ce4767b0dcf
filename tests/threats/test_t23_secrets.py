"""T23: what users and tools said in confidence turns up in telemetry: events, logs, statistics, warnings, error
messages.

The library promises that records name tools and ids, never values: not in arguments, not in results, not in what a
wrong policy was refused for beside the wrong value itself.
"""

from __future__ import annotations

import json
import logging
import random
import string
import warnings
from pathlib import Path
from typing import Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, ask, hand_written_graph, make_tool, tool_node_graph
from attacks import final
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, ToolException

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.observe.observers import at_once
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.predict import default_predictor


def _secret(draw: random.Random) -> str:
    letters = string.ascii_letters + string.digits
    return "SEC" + "".join(draw.choice(letters) for _ in range(20))


def _shapes(draw: random.Random) -> list[str]:
    """Twelve shapes that secrets come in."""
    s = _secret(draw)
    bare = [s, f"sk-{s}", f"Bearer {s}", f"password={s}", f"{s}@example.org", f"order {s}", f"ghp_{s}"]
    around = [f"https://user:{s}@example.org/?token={s}", f'{{"api_key": "{s}"}}', f"{s[:11]}-{s[11:]}"]
    return [*bare, *around, f"-----BEGIN KEY-----\n{s}\n-----END KEY-----", f"line one\n{s}\x1b[0m"]


class Vault:
    """Tools that answer with secrets, and now and then raise with one in the error."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.planted: list[str] = []

    def plant(self) -> str:
        self.planted.append(self.draw.choice(_shapes(self.draw)))
        return self.planted[-1]

    def found_in(self, text: str) -> list[str]:
        """Planted secrets (of each the part that makes it secret) that a text gives away."""
        return [secret for secret in self.planted if _core(secret) in text]

    def tools(self) -> list[BaseTool]:
        def look(key: str, more: Any = None) -> str:
            "Look something up."
            if self.draw.random() < 0.1:
                raise ToolException(self.plant())
            return json.dumps({"token": self.plant(), "next": self.plant()})

        def change(key: str, text: str) -> str:
            "Change something."
            return self.plant()

        made = [make_tool("look", look, "both"), make_tool("change", change, "both")]
        for tool in made:
            tool.handle_tool_error = True
        return made


def _core(secret: str) -> str:
    at = secret.index("SEC")
    return secret[at : at + 11]


def _script(vault: Vault) -> list[Any]:
    return [
        ask(
            ("look", {"key": vault.plant()}),
            ("look", {"key": vault.plant(), "more": [vault.plant()]}),
            text=vault.plant(),
        ),
        ask(("change", {"key": vault.plant(), "text": vault.plant()}), ("no_such_tool", {"key": vault.plant()})),
        ask(("look", {"key": vault.plant(), "more": {vault.plant(): 1}}), ("look", {"wrong": vault.plant()})),
        AIMessage(vault.plant()),
    ]


@pytest.mark.parametrize("learned", [False, True], ids=["oracle", "default predictor"])
@pytest.mark.parametrize("way", WAYS)
def test_no_secret_of_a_run_is_told_to_anybody(
    way: str, learned: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    More than 60 secrets a cell, 500 in all cells: none in events, logs at DEBUG, `explain()`, `stats()`, warnings, nor
    on the terminal. The control: each of them was in the conversation.
    """
    caplog.set_level(logging.DEBUG, logger="langgraph_speculate")
    vault, seen, said = Vault(random.Random(WAYS.index(way) * 2 + learned)), list[Any](), list[str]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for run in range(6):
            script = _script(vault)
            build = (tool_node_graph, hand_written_graph)[run % 2]
            if build is hand_written_graph:
                script[1] = ask(("change", {"key": vault.plant(), "text": vault.plant()}))
                script[2] = ask(("look", {"key": vault.plant()}))
            graph = speculate(
                build(ScriptedModel(script=script, pace_s=0.002), vault.tools()),
                {
                    "tools": {
                        "look": {"read_only": True, "reads": ["entry:{key}"]},
                        "change": {"writes": ["entry:{key}"]},
                    }
                },
                predictor=None if learned else Oracle(script, also=[("look", {"key": vault.plant()})]),
                observers=[at_once(seen.append)],
            )
            for _ in range(2):
                said += map(str, final(graph, way, {"messages": [("user", vault.plant())]}))
            handle = speculation_of(graph)
            assert learned or handle.stats().launched > 0
            seen += [handle.stats(), handle.explain(), str(handle.explain()), handle.policy.explain("look")]
    assert len(vault.planted) > 60
    assert not vault.found_in(repr(seen))
    assert not vault.found_in("\n".join(f"{r.getMessage()} {r.args} {r.exc_text}" for r in caplog.records))
    assert not vault.found_in(repr([str(one.message) for one in caught]))
    assert not vault.found_in("".join(capfd.readouterr()))
    assert len(vault.found_in("\n".join(said))) > 40
    assert len(seen) > 100


@pytest.mark.parametrize("verb", ["predict", "learn"])
def test_what_a_predictor_raises_does_not_tell_what_it_saw(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    A predictor that stumbles over a user's text: the warning says that it failed, and not over what.
    """

    class Stumbling:
        bounded = True

        def predict(self, history: Any, *, k: int) -> Any:
            return {}[history.user_turns[-1].text] if verb == "predict" else []

        def learn(self, history: Any, calls: Any) -> None:
            {}[history.user_turns[-1].text]

    vault = Vault(random.Random(1))
    graph = speculate(
        tool_node_graph(ScriptedModel(script=[AIMessage("done")]), vault.tools()),
        {"tools": {"look": True}},
        predictor=Stumbling(),
    )
    graph.invoke({"messages": [("user", vault.plant())]})
    assert "the predictor failed" in caplog.text
    assert not vault.found_in(caplog.text)


def test_a_file_of_secrets_loaded_by_mistake_is_not_read_out(tmp_path: Path) -> None:
    """
    200 files that are no policies (`.env`, TOML of secrets, tables of them, broken ones): the error names keys and
    lines, not what is behind them.
    """
    vault, file = Vault(random.Random(2)), tmp_path / "secrets.toml"
    for number in range(200):
        secret = json.dumps(vault.plant())
        file.write_text(
            (
                f"API_KEY={secret}",
                f"API_KEY={secret[1:-1]}",
                f"[tools.look]\nread_only = true\napi_key = {secret}",
                f"[[providers]]\nkey = {secret}\n[extra]\nmore = [{secret}]",
                f"level = 'declared'\ntoken = {secret}\ntoken = {secret}",
            )[number % 5],
            "utf-8",
        )
        with pytest.raises(PolicyError) as raised:
            SpeculationPolicy.load(file)
        assert not vault.found_in(f"{raised.value!r} {raised.value.__cause__}")


def test_metadata_of_a_tool_is_not_read_out() -> None:
    """
    A wrong setting in a tool's metadata is told; what else the metadata holds is not.
    """
    vault = Vault(random.Random(3))
    for _ in range(100):
        metadata = {
            "headers": {"authorization": vault.plant()},
            "speculation": {"read_onyl": True, "note": vault.plant()},
        }
        with pytest.raises(PolicyError, match="read_onyl") as raised:
            SpeculationPolicy().rule_for("look", metadata)
        assert not vault.found_in(str(raised.value))


# -- patterns on disk --------------------------------------------------------------------------------------------------


def _confidences(draw: random.Random, secrets: list[str], thread: str) -> list[Any]:
    """A run that has secrets wherever a run can have them."""
    s = [draw.choice(secrets) for _ in range(9)]
    asks = {"key": s[0], "deep": {"list": [s[1]], s[2]: "economy"}, "command": f"cat {s[3]}"}
    told = {"token": s[4], s[5]: {"id": s[6]}, "items": [{"id": s[6]}, {"id": s[0]}]}
    return [
        {"role": "user", "content": f"mine is {s[7]}, and {s[0]}"},
        {"role": "assistant", "content": s[8], "tool_calls": [{"id": "1", "name": "find", "args": {"key": s[7]}}]},
        {"role": "tool", "tool_call_id": "1", "content": json.dumps(told)},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "2", "name": "look", "args": asks}]},
        {"role": "tool", "tool_call_id": "2", "content": f"{s[4]}: {s[5]}\nname: {s[6]}"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "3", "name": "look", "args": {"key": s[6]}}]},
        {"role": "assistant", "content": "done"},
    ]


@pytest.mark.parametrize("partitioned", [False, True])
def test_secrets_are_in_no_byte_of_a_store_of_patterns(partitioned: bool, tmp_path: Path) -> None:
    """
    500 secrets of twelve shapes, in what users say, in arguments, results, keys, labels, commands and file names. Each
    comes in few threads, or in many threads of one tenant; what comes in many of many is there, as a control.
    """
    draw, vault = random.Random(23), [secret for seed in range(42) for secret in _shapes(random.Random(seed))][:500]
    predictor, store = default_predictor(), SqlitePatterns(tmp_path / "patterns.db")
    for number in range(500):
        mine = vault[number % 10 * 50 : number % 10 * 50 + 50] if partitioned else vault[number : number + 2]
        origin = Origin(f"tenant-{number % 10}" if partitioned else "", f"thread-{number}")
        messages = _confidences(draw, mine, origin.thread)
        for at, message in enumerate(messages):
            if message["role"] == "assistant":
                history = History.from_messages(messages[:at], origin=origin)
                calls = [Call(call["name"], call["args"]) for call in message.get("tool_calls", ())]
                predictor.predict(history, k=5)
                predictor.learn(history, [*calls, Call("book", {"class": "economy"})])
        for partition, sums in predictor.take().items():
            store.add(partition, sums)
    before = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    store.close()
    everything = before + b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [secret for secret in vault if _core(secret).encode() in everything]
    assert b"economy" in everything
    assert b"tenant-" not in everything
    assert b"thread-" not in everything
