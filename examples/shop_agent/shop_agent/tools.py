"""The agent's tools: five that look things up and one, `open_return`, that changes something.

Nothing here knows about speculation. Which tools may run ahead of the model is written down in `speculate.toml`.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import quote

import httpx
from langchain_core.tools import BaseTool, StructuredTool, tool

from shop_agent.database import Shop

_TLS = ssl.create_default_context()  # loading the certificates takes longer than a request: once is enough


def shop_tools(shop: Shop, shipping_url: str) -> list[BaseTool]:
    """The tools over one shop and one shipping service."""

    @tool
    def get_customer(email: str) -> dict[str, Any]:
        """Find a customer by e-mail address."""
        return shop.get_customer(email)

    @tool
    def list_orders(customer_id: str) -> dict[str, Any]:
        """List a customer's orders, newest first."""
        return shop.list_orders(customer_id)

    @tool
    def get_order(order_id: str) -> dict[str, Any]:
        """Show one order: its items, its status and the tracking id of its parcel."""
        return shop.get_order(order_id)

    @tool
    def search_products(query: str) -> dict[str, Any]:
        """Search the catalogue by words of a product's name or category."""
        return shop.search_products(query)

    @tool
    def open_return(order_id: str, reason: str) -> dict[str, Any]:
        """Open a return for an order. Only when the customer asks for it."""
        return shop.open_return(order_id, reason)

    return [get_customer, list_orders, get_order, search_products, open_return, _tracking_tool(shipping_url)]


def _tracking_tool(shipping_url: str) -> BaseTool:
    def url(tracking_id: str) -> str:
        return f"{shipping_url}/shipments/{quote(tracking_id, safe='')}"

    def track(tracking_id: str) -> Any:
        with httpx.Client(verify=_TLS, timeout=10, trust_env=False) as client:
            return client.get(url(tracking_id)).json()

    async def atrack(tracking_id: str) -> Any:
        async with httpx.AsyncClient(verify=_TLS, timeout=10, trust_env=False) as client:
            return (await client.get(url(tracking_id))).json()

    description = "Ask the carrier where a parcel is and when it is expected."
    return StructuredTool.from_function(track, atrack, name="track_shipment", description=description)
