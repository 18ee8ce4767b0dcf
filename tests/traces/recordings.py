"""A real agent whose runs are recorded by whatever a test is about, and what a reader should make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from langgraph_speculate.traces import Run, Skips, read_runs

QUESTIONS = ("Where are my orders?", "And the last one?")
TOLD: list[tuple[Any, ...]] = [
    ("user", QUESTIONS[0]),
    ("assistant", "Let me look.", [("list_orders", {"email": "ada@example.org"}), ("get_customer", {"id": 7})]),
    ("tool", '["SO-1", "SO-2"]'),
    ("tool", "Ada"),
    ("assistant", "Two orders: SO-1 and SO-2.", []),
    ("user", QUESTIONS[1]),
    ("assistant", "", [("get_order", {"order_id": "SO-2", "full": True})]),
    ("tool", '{"status": "sent"}'),
    ("assistant", "It was sent.", []),
]
"""What the agent does when asked both questions, one after the other."""


@tool
def list_orders(email: str) -> list[str]:
    """List the orders of a customer."""
    return ["SO-1", "SO-2"]


@tool
def get_customer(id: int) -> str:
    """Look up a customer."""
    return "Ada"


@tool
def get_order(order_id: str, full: bool = False) -> dict[str, str]:
    """Look up an order."""
    return {"status": "sent"}


TOOLS = (list_orders, get_customer, get_order)


class Scripted(BaseChatModel):
    """Says what the script says next, told by how many messages of the model there are."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name if hasattr(tool, "name") else "tool" for tool in tools])

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        place = sum(message.type == "ai" for message in messages)
        _, text, calls = [event for event in TOLD if event[0] == "assistant"][place]
        made = [{"name": name, "args": args, "id": f"c{place}-{at}"} for at, (name, args) in enumerate(calls)]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, tool_calls=made))])


def converse(agent: Any = None, config: Mapping[str, Any] | None = None, **given: Any) -> None:
    """Ask both questions in one thread; an agent without a checkpointer is told what was said before."""
    agent = agent if agent is not None else create_agent(Scripted(), list(TOOLS), **given)
    messages: list[Any] = []
    for question in QUESTIONS:
        asked = [("user", question)]
        messages = agent.invoke({"messages": asked if given else [*messages, *asked]}, config)["messages"]


def told(run: Run) -> list[tuple[Any, ...]]:
    """What a run says, in the form of `TOLD`: parallel answers in the order of their calls."""
    return list(_told(run.events))


def _told(events: Sequence[Mapping[str, Any]]) -> Iterable[tuple[Any, ...]]:
    order = [call["id"] for event in events for call in event.get("tool_calls") or ()]
    answers = {event["tool_call_id"]: event["content"] for event in events if event["role"] == "tool"}
    for event in events:
        if event["role"] == "assistant":
            calls = event.get("tool_calls") or ()
            yield "assistant", event["content"], [(call["name"], call["args"]) for call in calls]
            yield from (("tool", answers[call["id"]]) for call in calls if call["id"] in answers)
        elif event["role"] == "user":
            yield "user", event["content"]
    assert len(set(order)) == len(order)


def read(path: Any, **options: Any) -> list[Run]:
    """The runs of a file of which nothing may be skipped."""
    skips = Skips()
    runs = list(read_runs(path, on_skip=skips, **options))
    assert not skips.count, list(skips.lines())
    return runs
