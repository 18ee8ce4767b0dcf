"""The agent: a model, a prompt and the shop's tools. This file does not know about speculation either."""

from __future__ import annotations

import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langgraph.graph.state import CompiledStateGraph

from shop_agent.database import Shop
from shop_agent.shipping import shared_service
from shop_agent.tools import shop_tools

PROMPT = """You answer customers of an outdoor shop.
Look things up before you answer, and open a return only when the customer asks for one."""


def build_agent(
    model: BaseChatModel | None = None, *, shop: Shop | None = None, shipping_url: str | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The compiled agent; what is not given is a model from the environment, a new shop and the shared service."""
    tools = shop_tools(shop or Shop(), shipping_url or shared_service().url)
    return create_agent(model or model_from_environment(), tools, system_prompt=PROMPT)


def model_from_environment() -> ChatOpenAI:
    """`OPENAI_API_KEY`, `OPENAI_BASE_URL` and `SHOP_MODEL` decide; a server of your own needs no key."""
    settings: dict[str, Any] = {"model": os.environ.get("SHOP_MODEL", "gpt-4.1-mini")}
    if os.environ.get("OPENAI_BASE_URL") and not os.environ.get("OPENAI_API_KEY"):
        settings["api_key"] = "none"
    return ChatOpenAI(**settings)
