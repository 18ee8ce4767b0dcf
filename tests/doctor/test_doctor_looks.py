"""What a tool looks like: hints that err on the side of doubt."""

from __future__ import annotations

import pytest

from langgraph_speculate.doctor.looks import looks_of
from langgraph_speculate.policy.annotations import Annotations


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("get_order", ["order_id"], "reads"),
        ("getOrder", ["orderId"], "reads"),
        ("list_open_orders", [], "reads"),
        ("get_customer", ["email"], "reads"),
        ("search_products", ["query"], "reads"),
        ("open_return", ["order_id"], "writes"),
        ("order_pizza", ["size"], "writes"),
        ("get_or_create_user", ["name"], "writes"),
        ("list_and_delete", [], "writes"),
        ("sendMail", ["text"], "writes"),
        ("contact", ["recipient", "text"], "writes"),
        ("search_web", ["query"], "leaves"),
        ("get_page", ["url"], "leaves"),
        ("bash", ["command"], "depends"),
        ("query_db", ["sql"], "depends"),
        ("track_shipment", ["tracking_id"], "reads"),
        ("mcp__shop__get_order", ["order_id"], "reads"),
        ("crm_get_customer", ["id"], "reads"),
        ("find_and_replace", ["text"], "writes"),
        ("check_in_guest", ["guest"], "unclear"),
        ("ship_parcel", ["order_id"], "unclear"),
        ("", [], "unclear"),
    ],
)
def test_a_name_gives_a_hint(name: str, arguments: list[str], kind: str) -> None:
    """
    Reading is said only of what begins like it and holds no word of another kind.
    """
    assert looks_of(name, arguments).kind == kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Annotations(read_only=True, open_world=False), "reads"),
        (Annotations(read_only=True, open_world=True), "leaves"),
        (Annotations(read_only=True, open_world=False, destructive=True), "writes"),
        (Annotations(read_only=False), "writes"),
        (Annotations(read_only=True), "unclear"),  # about the open world it says nothing
        (Annotations(), "unclear"),
    ],
)
def test_a_server_that_speaks_is_quoted(said: Annotations, kind: str) -> None:
    """
    What it leaves unsaid is left to the name, which here says nothing.
    """
    assert looks_of("quux", [], said).kind == kind
