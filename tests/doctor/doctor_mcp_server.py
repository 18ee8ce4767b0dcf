"""A small MCP server over standard input and output, whose tools say each something else about themselves."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations

server = FastMCP("billing", log_level="WARNING")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=False))
def get_invoice(number: str) -> str:
    """Look up an invoice."""
    raise AssertionError("a doctor calls no tool")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True, openWorldHint=True))
def exchange_rate(currency: str) -> str:
    """Ask the bank for a rate."""
    raise AssertionError("a doctor calls no tool")


@server.tool(annotations=ToolAnnotations(readOnlyHint=False, destructiveHint=True))
def get_rid_of(number: str) -> str:
    """Delete an invoice."""
    raise AssertionError("a doctor calls no tool")


@server.tool()
def list_invoices(customer: str) -> str:
    """List invoices."""
    raise AssertionError("a doctor calls no tool")


if __name__ == "__main__":
    server.run("stdio")
