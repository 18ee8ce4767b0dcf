"""A small MCP server that speaks over its standard input and output: a dictionary."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP

server = FastMCP("dictionary", log_level="WARNING")
MEANINGS = {
    "anvil": "a block on which metal is shaped",
    "bellows": "a bag that blows air",
    "chisel": "a tool that cuts stone or wood",
    "gimlet": "a small tool that bores holes",
    "mallet": "a hammer of wood",
    "trowel": "a small spade",
}


@server.tool()
def define(word: str) -> str:
    """Tell what a word means."""
    return MEANINGS.get(word, "unknown")


if __name__ == "__main__":
    server.run("stdio")
