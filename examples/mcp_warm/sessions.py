"""Sessions with an MCP server, each for one call, some of them opened ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


class Lease:
    """One session. It is opened and closed in a task of its own, because the client wants both in the same one."""

    def __init__(self, server: StdioServerParameters) -> None:
        self._server = server
        self._opened: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        try:
            async with stdio_client(self._server) as streams, ClientSession(*streams) as session:
                await session.initialize()
                self._opened.set_result(session)
                await self._enough.wait()
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)

    async def session(self) -> ClientSession:
        """The session, once it is open; whoever waits for it may be cancelled, it goes on."""
        return await asyncio.shield(self._opened)

    @property
    def is_over(self) -> bool:
        """Whether the server has gone."""
        return self._task.done()

    async def close(self) -> None:
        """End the session, and the server's process."""
        self._enough.set()
        await self._task


class Sessions:
    """Opens sessions, and keeps those that are opened ahead.

    Attributes:
        taken_warm: How many calls found one that had been begun before.
    """

    def __init__(self, server: StdioServerParameters) -> None:
        self.taken_warm = 0
        self._server = server
        self._ahead: list[Lease] = []

    async def warm(self) -> None:
        """Open a session for a call that is likely to come; what `ToolPolicy(warm=...)` is given."""
        if not self._ahead:
            self._ahead.append(Lease(self._server))
        lease = self._ahead[0]
        try:
            await lease.session()
        except Exception:
            if lease in self._ahead:  # no call shall find it
                self._ahead.remove(lease)
            raise

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        """A session for one call."""
        lease = self._ahead.pop() if self._ahead else None
        self.taken_warm += lease is not None
        if lease is None or lease.is_over:
            lease = Lease(self._server)
        try:
            yield await lease.session()
        finally:
            await lease.close()

    async def close(self) -> None:
        """Close what nobody took."""
        while self._ahead:
            await self._ahead.pop().close()
