"""The scripted model of the demonstration: how a support agent's model goes about the questions of twelve customers.

A small state machine over the conversation. It has no knowledge of its own: ids and addresses come out of the
customer's message and out of tool results, as they would for a real model, so a wrong result leads to another
conversation.

`python -m langgraph_speculate.demo.script --port 8123` serves it alone, for `langgraph dev` without a key.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_speculate.demo.loopback import LoopbackServer, Message, Pace, Reply

PACE = Pace(first_token_s=0.14, per_token_s=0.004)  # a quick model: 140 ms to the first token, then 250 a second

QUESTIONS = (
    "Hello, I am ines.faria@mail.example. Where is my latest order?",
    "Hi! Where is my parcel? My address is tom.okafor@mail.example.",
    "I want to return the boots from my last order, they are too small. Mail: amir.haddad@mail.example",
    "This is jonas.berg@mail.example, where is my order now?",
    "When will SO-20122 and SO-20288 arrive?",
    "I am lucia.romano@mail.example and liked my last order. Is there something similar in stock?",
    "Could you tell me where my order is? greta.klein@mail.example",
    "Please take back my last order, the lamp does not charge. Write to paul.mercer@mail.example.",
    "When will SO-20199 and SO-20391 arrive?",
    "Where is my order? I used nobody@mail.example.",
    "noor.visser@mail.example here. What similar things do you have to what I ordered last?",
    "I want to return my latest order, a pole is bent. I am marek.nowak@mail.example.",
)

_EMAIL = re.compile(r"[\w.]+@[\w.]+\w")
_ORDER = re.compile(r"SO-\d+")

Step = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Conversation:
    """What the scripted model can see: the customer's words and the results of its calls so far.

    Attributes:
        text: The customer's message.
        results: `(tool, result)` of every call so far, oldest first.
    """

    text: str
    results: Sequence[tuple[str, Any]]

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Conversation:
        """Read the messages of a request."""
        text = ""
        names: dict[str, str] = {}
        results: list[tuple[str, Any]] = []
        for message in messages:
            if message["role"] == "user":
                text, results = str(message["content"]), []
            for call in message.get("tool_calls") or ():
                names[call["id"]] = call["function"]["name"]
            if message["role"] == "tool":
                results.append((names[message["tool_call_id"]], json.loads(message["content"])))
        return cls(text, results)

    def all(self, tool: str) -> list[Any]:
        """The results of *tool*, oldest first."""
        return [result for name, result in self.results if name == tool]

    def last(self, tool: str) -> Any:
        """The latest result of *tool*, or None."""
        return next(reversed(self.all(tool)), None)

    @property
    def email(self) -> str:
        """The address the customer gave."""
        return str(_EMAIL.findall(self.text)[0])


def respond(messages: list[Message], tools: list[dict[str, Any]]) -> Reply:
    """The next message of the scripted model."""
    talk = Conversation.of(messages)
    decision = _next(talk)
    if isinstance(decision, str):
        return Reply(decision)
    stem = f"call_{zlib.crc32(talk.text.encode()):08x}"
    numbers = range(len(talk.results), len(talk.results) + len(decision))
    return Reply(tool_calls=[(f"{stem}_{n}", name, args) for n, (name, args) in zip(numbers, decision, strict=True)])


def _next(talk: Conversation) -> list[Step] | str:
    """What to call next, or the answer."""
    if _ORDER.search(talk.text):
        return _named_orders(talk)
    if not _EMAIL.search(talk.text):
        return "Which e-mail address did you order with?"
    customer = talk.last("get_customer")
    if customer is None:
        return [("get_customer", {"email": talk.email})]
    if "error" in customer:
        return f"I am sorry, {customer['error']}. Could you look up which address you ordered with?"
    orders = talk.last("list_orders")
    if orders is None:
        return [("list_orders", {"customer_id": customer["customer_id"]})]
    order = talk.last("get_order")
    if order is None:
        return [("get_order", {"order_id": orders["orders"][0]["order_id"]})]
    if re.search(r"return|take back", talk.text):
        return _return(talk, order)
    if "similar" in talk.text:
        return _similar(talk, order)
    return _whereabouts(talk, customer, order)


def _named_orders(talk: Conversation) -> list[Step] | str:
    orders, shipments = talk.all("get_order"), talk.all("track_shipment")
    if not orders:
        return [("get_order", {"order_id": order_id}) for order_id in _ORDER.findall(talk.text)]
    if unknown := [order["error"] for order in orders if "error" in order]:
        return f"I am sorry, {unknown[0]}."
    if not shipments:
        return [("track_shipment", {"tracking_id": order["tracking_id"]}) for order in orders]
    lines = [
        f"Order {order['order_id']} is {shipment['status']} and should arrive on {shipment['expected_on']}."
        for order, shipment in zip(orders, shipments, strict=True)
    ]
    return " ".join(lines)


def _return(talk: Conversation, order: dict[str, Any]) -> list[Step] | str:
    opened = talk.last("open_return")
    if opened is None:
        reasons = [part.strip() for part in re.split(r"[.,]", talk.text) if re.search(r" too | not | bent", part)]
        reason = reasons[0] if reasons else "not given"
        return [("open_return", {"order_id": order["order_id"], "reason": reason})]
    return (
        f"Your return number is {opened['return_id']}. Please send order {order['order_id']} back within 30 days; "
        "the label is on its way to you by e-mail."
    )


def _similar(talk: Conversation, order: dict[str, Any]) -> list[Step] | str:
    liked = order["items"][0]
    found = talk.last("search_products")
    if found is None:
        return [("search_products", {"query": liked["category"]})]
    others = [item for item in found["products"] if item["sku"] != liked["sku"] and item["stock"]]
    names = ", ".join(f"the {item['name']} for {item['price']:.0f} euros" for item in others)
    return f"You ordered the {liked['name']}. In stock and similar: {names or 'nothing, I am afraid'}."


def _whereabouts(talk: Conversation, customer: dict[str, Any], order: dict[str, Any]) -> list[Step] | str:
    shipment = talk.last("track_shipment")
    if shipment is None:
        return [("track_shipment", {"tracking_id": order["tracking_id"]})]
    return (
        f"Hello {customer['name']}, your order {order['order_id']} of {order['placed_on']} is {shipment['status']}. "
        f"It was last seen in {shipment['location']}, and the carrier's date for it is {shipment['expected_on']}."
    )


def main() -> None:
    """Serve the scripted model until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m langgraph_speculate.demo.script", description=main.__doc__)
    parser.add_argument("--port", type=int, default=8123, help="port on 127.0.0.1 (default: 8123)")
    with LoopbackServer(respond, pace=PACE, port=parser.parse_args().port) as server:
        print(f"OPENAI_BASE_URL={server.base_url}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
