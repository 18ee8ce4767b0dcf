"""Tools of MCP servers: whose they are.

No adapter says so in a way that can be relied on. One leaves the server's name out, the other passes on what the server
calls itself, and the rest of the metadata is what the server sent. Only who opened the connection knows.
"""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.tools import BaseTool

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import checks
from langgraph_speculate.policy.annotations import SERVER_KEY, ServerName


def from_server(tools: Iterable[BaseTool], server: str) -> list[BaseTool]:
    """Return copies of *tools* that are known to come from the MCP server *server*.

    It is your word that they do: the policy's `trusted_servers` decides by that name whether to believe what the tools'
    annotations say. The tools given stay as they are.

    Args:
        tools: The tools of one server, and of no other, as an adapter made them.
        server: Your name for it.

    Raises:
        PolicyError: *server* is no text or empty, or one of *tools* is no LangChain tool.

    >>> from langchain_core.tools import StructuredTool
    >>> hints = {"readOnlyHint": True, "openWorldHint": False}
    >>> get_invoice = StructuredTool.from_function(lambda id: "paid", name="get_invoice", description="Look it up.")
    >>> get_invoice.metadata = hints
    >>> policy = {"level": "annotated", "trusted_servers": ["billing"]}
    >>> from langgraph_speculate import SpeculationPolicy
    >>> [tool] = from_server([get_invoice], "billing")
    >>> print(SpeculationPolicy.load(policy).explain("get_invoice", metadata=tool.metadata))
    get_invoice may run ahead: a trusted server annotates it read-only (annotations of server 'billing')
    """
    if not isinstance(server, str) or not server:
        raise PolicyError(f"server: must be text, not empty, got {checks.shown(server)}")
    given = list(tools)
    for tool in given:
        if not isinstance(tool, BaseTool):
            raise PolicyError(f"from_server() takes LangChain tools, got {checks.shown(tool)}")
    name = ServerName(server)
    return [tool.model_copy(update={"metadata": {**(tool.metadata or {}), SERVER_KEY: name}}) for tool in given]
