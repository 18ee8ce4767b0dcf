"""LangSmith on loopback: takes in what the real SDK sends, and shows which runs came of it."""

from __future__ import annotations

import email
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_DNS, uuid5

from langsmith import Client, tracing_context
from zstandard import ZstdDecompressor

from tests.json_server import JsonServer

PROJECT = "speculation"
_ZSTD = bytes.fromhex("28b52ffd")  # what bodies begin with that are compressed
_INFO = {
    "version": "0.16.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
    },
}


@dataclass
class TracedRun:
    """One run, as LangSmith would show it.

    Attributes:
        posts, patches: How many times it was sent as new, and as changed.
        fields: What is known of it.
        changed: Names of those that were sent as changed.
    """

    id: str
    posts: int = 0
    patches: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def kind(self) -> str:
        return str(self.fields["run_type"])

    @property
    def parent(self) -> str | None:
        return self.fields.get("parent_run_id")

    @property
    def trace(self) -> str:
        return str(self.fields["trace_id"])

    @property
    def tags(self) -> list[str]:
        return sorted(self.fields.get("tags") or ())

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.fields.get("extra", {}).get("metadata") or {})

    @property
    def speculation(self) -> dict[str, Any]:
        """What its metadata say of speculation, without the prefix."""
        prefix = "speculation_"
        return {key.removeprefix(prefix): value for key, value in self.metadata.items() if key.startswith(prefix)}

    @property
    def ms(self) -> float:
        """How long it took."""
        began, ended = (datetime.fromisoformat(self.fields[name]) for name in ("start_time", "end_time"))
        return (ended.replace(tzinfo=None) - began.replace(tzinfo=None)).total_seconds() * 1000

    @property
    def bytes(self) -> int:
        """What it takes as JSON, without what the SDK says of itself and of the machine in each run."""
        extra = {key: value for key, value in self.fields.get("extra", {}).items() if key != "runtime"}
        return len(json.dumps({**self.fields, "extra": extra}))

    @property
    def pending(self) -> bool:
        return not self.fields.get("end_time")


class LangSmithServer(JsonServer):
    """LangSmith, from `with` on.

    Args:
        compressed: Whether it tells the SDK to compress what it sends, as the SDK expects of a new one.

    Attributes:
        runs: What it was sent, by id.
        feedback: Scores that it was sent.
        bytes: The size of all bodies.
        operations: How many times runs were sent, as new or as changed.
    """

    def __init__(self, *, compressed: bool = False) -> None:
        super().__init__()
        self._info = {**_INFO, "instance_flags": {"zstd_compression_enabled": compressed}}
        self.runs: dict[str, TracedRun] = {}
        self.feedback: list[dict[str, Any]] = []
        self.bytes = 0
        self._lock = threading.Lock()

    def client(self, **settings: Any) -> Client:
        """The SDK's client of this server."""
        return Client(api_url=self.url, api_key="none", **settings)

    @contextmanager
    def tracing(self, **settings: Any) -> Iterator[None]:
        """Everything in the block is traced; when it ends, all of it has arrived."""
        client = self.client(**settings)
        with tracing_context(enabled=True, client=client, project_name=PROJECT):
            yield
        client.flush()

    # -- what it receives --------------------------------------------------------------------------------------------

    def read(self, path: str) -> Any:
        """What a GET of *path* answers."""
        name = parse_qs(urlsplit(path).query).get("name", [""])[0]
        if "/sessions" in path:
            id = str(uuid5(NAMESPACE_DNS, name))
            began = "2026-01-01T00:00:00"
            return [{"id": id, "name": name, "tenant_id": id, "start_time": began, "reference_dataset_id": None}]
        return self._info

    def take(self, path: str, kind: str, body: bytes) -> Any:
        """Take in the body of a POST."""
        with self._lock:
            self.bytes += len(body)
            if body.startswith(_ZSTD):
                body = ZstdDecompressor().decompressobj().decompress(body)
            if path.endswith("/runs/multipart"):
                for name, part in _parts(kind, body):
                    self._take_part(name, part)
            elif path.endswith("/feedback"):
                self.feedback.append(json.loads(body))
        return {}

    def _take_part(self, name: str, part: Any) -> None:
        what, id, *place = name.split(".")
        if what == "feedback":
            self.feedback.append(part)
            return
        run = self.runs.setdefault(id, TracedRun(id))
        told = {place[0]: part} if place else part
        if what == "patch":
            run.fields.update(told)
            run.changed.update(told)
        else:  # it may come after what was changed: the SDK sends from several threads
            run.fields.update({name: value for name, value in told.items() if name not in run.changed})
        run.posts += what == "post" and not place
        run.patches += what == "patch" and not place

    # -- what came of it ---------------------------------------------------------------------------------------------

    @property
    def operations(self) -> int:
        return sum(run.posts + run.patches for run in self.runs.values())

    @property
    def roots(self) -> list[TracedRun]:
        return [run for run in self.runs.values() if run.parent is None]

    def below(self, parent: str | None) -> list[TracedRun]:
        """The children of a run, in the order in which they began."""
        found = [run for run in self.runs.values() if run.parent == parent]
        return sorted(found, key=lambda run: str(run.fields["dotted_order"]))

    def tagged(self, tag: str) -> list[TracedRun]:
        """What the filter `has(tags, tag)` finds."""
        return [run for run in self.walk() if tag in run.tags]

    def walk(self, parent: str | None = None) -> Iterator[TracedRun]:
        """All runs, parents before their children."""
        for run in self.below(parent):
            yield run
            yield from self.walk(run.id)

    def tree(self, parent: str | None = None, indent: str = "") -> list[str]:
        """The runs as lines of text, children indented, with what speculation adds."""
        lines = []
        for run in self.below(parent):
            tags = [tag for tag in run.tags if tag.startswith("speculation")]
            lines.append(" ".join([f"{indent}{run.kind} {run.name}", *tags]))
            lines += self.tree(run.id, indent + "  ")
        return lines


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, Any]]:
    """The named parts of a multipart body, each of them JSON."""
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    for part in message.get_payload():
        assert isinstance(part, email.message.Message)
        name = part.get_param("name", header="Content-Disposition")
        yield str(name), json.loads(part.get_payload(decode=True))
