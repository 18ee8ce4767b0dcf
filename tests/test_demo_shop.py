"""The example project: its tools, its policy and its agent under the scripted model."""

import asyncio
import json
import socket
import struct
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from langchain_openai import ChatOpenAI

from langgraph_speculate.demo.loopback import LoopbackServer
from langgraph_speculate.demo.project import open_project
from langgraph_speculate.demo.script import QUESTIONS, respond

FOLDER = open_project()

from shop_agent.agent import build_agent, model_from_environment  # noqa: E402
from shop_agent.database import Shop  # noqa: E402
from shop_agent.shipping import ShippingService  # noqa: E402
from shop_agent.tools import shop_tools  # noqa: E402


@pytest.fixture
def shop():
    with closing(Shop(latency=0)) as shop:
        yield shop


@pytest.fixture(scope="module")
def carrier():
    with closing(ShippingService(latency=0)) as service:
        yield service


@pytest.fixture
def tools(shop, carrier):
    return {tool.name: tool for tool in shop_tools(shop, carrier.url)}


def test_a_client_that_does_not_wait_leaves_no_trace(capsys):
    """
    An early call may be dropped with its run, and its connection with it.
    """
    with closing(ShippingService(latency=0.5)) as service:
        address = urlsplit(service.url)
        for _ in range(3):
            client = socket.create_connection((address.hostname, address.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
            client.sendall(b"GET /shipments/none HTTP/1.1\r\n\r\n")
            client.close()
        time.sleep(0.3)
    assert capsys.readouterr().err == ""


def test_ids_lead_from_one_read_to_the_next(tools):
    """
    Customer, orders, order and parcel: each result holds what the next tool asks for.
    """
    customer = tools["get_customer"].invoke({"email": "Jonas.Berg@mail.example"})
    orders = tools["list_orders"].invoke({"customer_id": customer["customer_id"]})["orders"]
    assert [order["placed_on"] for order in orders] == ["2025-05-06", "2024-10-27", "2024-06-15"]
    order = tools["get_order"].invoke({"order_id": orders[0]["order_id"]})
    assert [(item["name"], item["quantity"]) for item in order["items"]] == [("Trail 45 backpack", 1)]
    parcel = tools["track_shipment"].invoke({"tracking_id": order["tracking_id"]})
    assert parcel == {
        "tracking_id": order["tracking_id"],
        "status": "being packed",
        "location": "Rotterdam",
        "expected_on": "2025-05-13",
    }


async def test_parcels_are_tracked_over_http_from_async_code_too(tools):
    """
    The HTTP tool has a native coroutine, which gives the same answers as its synchronous twin.
    """
    found = await asyncio.gather(
        *(tools["track_shipment"].ainvoke({"tracking_id": id}) for id in ("PX-8341-0072", "../x y", "nothing"))
    )
    assert found[0] == tools["track_shipment"].invoke({"tracking_id": "PX-8341-0072"})
    assert found[0]["location"] == "Lisbon"
    assert "error" in found[1]
    assert found[2] == {"error": "there is no shipment nothing"}


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("get_customer", {"email": "nobody@mail.example"}),
        ("get_order", {"order_id": "SO-1"}),
        ("open_return", {"order_id": "SO-1", "reason": "none"}),
        ("track_shipment", {"tracking_id": "PX-1"}),
    ],
)
def test_what_does_not_exist_is_said_in_the_answer(tools, tool, args):
    """
    A model can read why it got nothing.
    """
    assert "error" in tools[tool].invoke(args)


def test_the_catalogue_is_searched_by_name_and_category(tools):
    """
    Products in stock come first.
    """
    found = tools["search_products"].invoke({"query": "backpack"})["products"]
    assert [(product["name"], product["stock"]) for product in found] == [
        ("Trail 45 backpack", 17),
        ("Trail 60 backpack", 0),
    ]
    assert not tools["search_products"].invoke({"query": "piano"})["products"]


def test_a_return_is_opened_once(tools, shop):
    """
    The write changes the order; asking again finds the return that is open.
    """
    first = tools["open_return"].invoke({"order_id": "SO-20417", "reason": "torn"})
    again = tools["open_return"].invoke({"order_id": "SO-20417", "reason": "very torn"})
    assert first == again == {"return_id": 1, "order_id": "SO-20417", "reason": "torn"}
    assert tools["get_order"].invoke({"order_id": "SO-20417"})["status"] == "return opened"
    assert shop.returns() == [first]


def test_every_shop_is_its_own():
    """
    A return opened in one shop is not seen in another.
    """
    with closing(Shop(latency=0)) as one, closing(Shop(latency=0)) as other:
        one.open_return("SO-20417", "torn")
        assert (len(one.returns()), other.returns()) == (1, [])


def test_many_threads_may_ask_at_once(shop):
    """
    Reads and writes from sixteen threads: all answered, none lost.
    """
    ids = ["SO-20417", "SO-20533", "SO-20610", "SO-20122"] * 16

    def ask(order_id):
        return shop.open_return(order_id, "torn")["order_id"], shop.get_order(order_id)["status"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, ids))
    assert answers == [(order_id, "return opened") for order_id in ids]
    assert sorted(row["order_id"] for row in shop.returns()) == sorted(set(ids))


def test_the_policy_names_every_tool_and_lets_only_reads_ahead(tools):
    """
    `speculate.toml` and the tools agree; the one that writes is not read-only.
    """
    policy = tomllib.loads((FOLDER / "speculate.toml").read_text(encoding="utf-8"))
    assert set(policy["tools"]) == set(tools)
    assert {name for name, entry in policy["tools"].items() if not entry.get("read_only")} == {"open_return"}


def test_the_project_is_one_that_langgraph_can_serve(monkeypatch):
    """
    `langgraph.json` names a module and a graph that exist, without a key as soon as a base URL is set.
    """
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delitem(sys.modules, "shop_agent.graph", raising=False)
    config = json.loads((FOLDER / "langgraph.json").read_text(encoding="utf-8"))
    assert config["http"] == {"app": "langgraph_speculate.live:app"}
    path, _, name = config["graphs"]["shop"].partition(":")
    assert (FOLDER / path).is_file()

    import shop_agent.graph

    assert name == "graph"
    assert {"model", "tools"} <= set(shop_agent.graph.graph.nodes)


def test_the_model_comes_from_the_environment(monkeypatch):
    """
    Address, key and name of the model are the environment's to set.
    """
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("SHOP_MODEL", "other")
    model = model_from_environment()
    assert (model.model_name, model.openai_api_key.get_secret_value()) == ("other", "secret")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert model_from_environment().openai_api_key.get_secret_value() == "none"


@pytest.mark.parametrize(
    ("question", "called", "answer"),
    [
        (0, ["get_customer", "list_orders", "get_order", "track_shipment"], "SO-20417 of 2025-05-02 is in transit"),
        (2, ["get_customer", "list_orders", "get_order", "open_return"], "return number is 1"),
        (4, ["get_order", "get_order", "track_shipment", "track_shipment"], "Order SO-20122 is in transit"),
        (5, ["get_customer", "list_orders", "get_order", "search_products"], "similar: the Ridge 2 tent"),
        (9, ["get_customer"], "no customer has the address nobody@mail.example"),
    ],
)
async def test_the_scripted_model_works_through_a_question(shop, carrier, question, called, answer):
    """
    Every kind of question takes its own way through the tools, and the answer is made of their results.
    """
    with LoopbackServer(respond) as server:
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key="none")
        agent = build_agent(model, shop=shop, shipping_url=carrier.url)
        state = await agent.ainvoke({"messages": [("user", QUESTIONS[question])]})
    calls = [call["name"] for message in state["messages"] for call in getattr(message, "tool_calls", ())]
    assert calls == called
    assert answer in state["messages"][-1].content


async def test_the_scripted_model_asks_for_what_it_needs(shop, carrier):
    """
    Without an address it asks for one; an order that does not exist it says so; a second turn is a new question.
    """
    with LoopbackServer(respond) as server:
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key="none")
        agent = build_agent(model, shop=shop, shipping_url=carrier.url)
        state = await agent.ainvoke({"messages": [("user", "hello")]})
        assert "Which e-mail address" in state["messages"][-1].content
        state = await agent.ainvoke({"messages": [*state["messages"], ("user", "When will SO-1 arrive?")]})
        assert "there is no order SO-1" in state["messages"][-1].content
