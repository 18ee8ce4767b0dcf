"""A project's runs from LangSmith's API, for those who may not export in bulk."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.skips import Skipped

PREFIX = "langsmith:"
_FIELDS = (
    *("ID", "NAME", "RUN_TYPE", "START_TIME", "END_TIME", "ERROR", "INPUTS", "OUTPUTS", "EXTRA", "METADATA"),
    *("TRACE_ID", "THREAD_ID", "DOTTED_ORDER", "REFERENCE_EXAMPLE_ID"),
)
_WANTED = 'in(run_type, ["llm", "tool"])'
_EVER = "2020-01-01T00:00:00Z"  # the API looks back one day unless told how far


def records(project: str, client: Any = None) -> Iterator[tuple[int, Mapping[str, Any]] | Skipped]:
    """Yield the model and tool runs of a project as (their number from 1, the run), or what went wrong.

    Asks with `Client.runs`, and with `list_runs` where the server is older than that.

    Args:
        project: Its name.
        client: A `langsmith.Client`; None: one from the environment (`LANGSMITH_API_KEY`, `LANGSMITH_ENDPOINT`).
    """
    from langsmith import Client

    client = client if client is not None else Client()
    number = 0
    try:
        for number, run in enumerate(_runs(client, project), 1):
            yield number, run
    except Exception as error:  # noqa: BLE001 - a network's and a server's
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        yield Skipped(f"{PREFIX}{project}", number, "LangSmith cannot be read on" if number else "no LangSmith", why)


def _runs(client: Any, project: str) -> Iterator[dict[str, Any]]:
    id = str(client.read_project(project_name=project).id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older way says that it is the older way
        try:
            runs = client.runs
        except Exception:  # noqa: BLE001 - the server is too old for it
            yield from map(_plain, client.list_runs(project_id=id, filter=_WANTED))
            return
    query = getattr(runs, "query", None) or runs.query_v2
    pages = query(project_ids=[id], filter=_WANTED, min_start_time=_EVER, selects=list(_FIELDS), page_size=1000)
    yield from map(_plain, _waited(pages) if hasattr(pages, "__aiter__") else pages)


def _waited(found: AsyncIterator[Any]) -> Iterator[Any]:
    """An async iterator's items, for those who cannot wait; the paginator is async even of the client that is not."""
    loop = asyncio.new_event_loop()
    try:
        items = found.__aiter__()
        while (item := loop.run_until_complete(_next(items))) is not _END:
            yield item
    finally:
        loop.close()


_END = object()


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items, _END)


def _plain(run: Any) -> dict[str, Any]:
    dump = getattr(run, "model_dump", None) or run.dict
    record: dict[str, Any] = dump()
    record["trace_id"] = str(record.get("trace_id") or "")
    record["run_type"] = str(record.get("run_type") or "")
    return record
