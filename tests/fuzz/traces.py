"""Files of traces, mutated: whatever a file holds, reading it ends soon, needs little memory, and raises nothing.

`python -m tests.fuzz.traces --files 10000` mutates files of every source; `--atheris 600 --source otlp` lets libFuzzer
look for 600 seconds where coverage leads it (needs `pip install atheris`).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_speculate.traces import Limits, Skips, read_runs
from langgraph_speculate.traces.readers import SOURCES
from tests.traces.recordings import converse

SLOW_S = 5.0  # no file this small takes longer, on the slowest of machines
GREW_MB = 200
SMALL = Limits(line_bytes=200_000, unpacked_bytes=2_000_000, values=50_000)
_PIECES = (b"{", b"[", b'"', b"\\", b"\x00", b"\xff", b"1e999", b"null", b"-1", b"\n", b"\xed\xa0\x80", b'{"lc":1,')


@dataclass(frozen=True)
class Broken:
    """A promise that a file broke."""

    source: str
    seed: int
    what: str

    def __str__(self) -> str:
        return f"--source {self.source} --seed {self.seed}: {self.what}"


def examples() -> dict[str, bytes]:
    """One valid file of each source, and of another container of one, named after both."""
    asked = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "get", "args": {"id": 7}}]}
    neutral = {"id": "r", "events": [{"role": "user", "content": "?"}, asked]}
    chat = {
        "messages": [{"role": "user", "content": "?"}, asked, {"role": "tool", "tool_call_id": "c", "content": "1"}]
    }
    model = {
        **{
            "run_type": "llm",
            "trace_id": "t",
            "start_time": "2026-01-01T00:00:00Z",
            "end_time": "2026-01-01T00:00:01Z",
        },
        **{"inputs": json.dumps({"messages": [[{"type": "human", "data": {"content": "?"}}]]}), "name": "m"},
        "outputs": {"generations": [[{"message": {"lc": 1, "id": ["AIMessage"], "kwargs": asked}}]]},
    }
    tool = {"run_type": "tool", "trace_id": "t", "name": "get", "inputs": {"id": 7}, "outputs": {"output": "sent"}}
    observation = {"trace_id": "t", "type": "GENERATION", "name": "m", "start_time": "2026-01-01 00:00:00"}
    observation |= {"input": json.dumps(chat["messages"][:1]), "output": json.dumps(asked)}
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(chat["messages"][:1])}
    attributes |= {"gen_ai.output.messages": json.dumps([asked]), "llm.input_messages.0.message.role": "user"}
    listed = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    span = {"traceId": "ab", "startTimeUnixNano": "1760000000000000000", "attributes": listed, "status": {"code": 2}}
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    event = {"event": "TurnBegan", "run": "r", "at": 0.5, "turn": "t"}
    lines = {"neutral": [neutral], "messages": [chat, chat["messages"]], "langsmith": [model, tool]}
    said = '<tool_call>{"name": "get", "arguments": {"id": 7}}</tool_call>'
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": said}, {"from": "tool", "value": "1"}]
    turns += [{"from": "function_call", "value": '[{"name": "get", "arguments": "{}"}]'}]
    lines |= {"langfuse": [observation], "otlp": [request], "events": [event], "sharegpt": [{"conversations": turns}]}
    made = {name: b"".join(json.dumps(line).encode() + b"\n" for line in found) for name, found in lines.items()}
    cells = io.StringIO(newline="")
    csv.writer(cells).writerows([observation.keys(), observation.values()])
    return made | {"checkpoints": _database(), "langfuse.csv": cells.getvalue().encode()}


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoints.sqlite")
        with SqliteSaver.from_conn_string(str(path)) as saver:
            converse(config={"configurable": {"thread_id": "t"}}, checkpointer=saver)
            saver.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def mutated(example: bytes, draw: random.Random) -> bytes:
    """*example* with a few changes: of bytes anywhere, and of values where it is JSON."""
    data = _changed_values(example, draw) if draw.random() < 0.5 else example
    made = bytearray(data)
    for _ in range(draw.choice((0, 1, 1, 2, 4, 16))):
        at = draw.randrange(len(made) + 1)
        match draw.randrange(5):
            case 0 if made:
                made[at % len(made)] = draw.randrange(256)
            case 1:
                made[at:at] = draw.choice(_PIECES) * draw.choice((1, 1, 3, 300))
            case 2:
                del made[at : at + draw.choice((1, 8, 200))]
            case 3:
                made[at:at] = made[draw.randrange(len(made) + 1) :][:200]
            case _:
                del made[at:]
    return bytes(made)


def _changed_values(example: bytes, draw: random.Random) -> bytes:
    try:
        lines = [json.loads(line) for line in example.splitlines()]
    except ValueError:
        return example
    return b"".join(json.dumps(_changed(line, draw)).encode() + b"\n" for line in lines)


def _changed(value: Any, draw: random.Random) -> Any:
    """The same value with now and then something else in its place."""
    if draw.random() < 0.03:
        return draw.choice([None, True, -1, 1e308, "", "x" * 5_000, [], {}, [[]], {"role": "user"}, [value, value]])
    if isinstance(value, dict):
        return {name: _changed(inner, draw) for name, inner in value.items() if draw.random() > 0.01}
    return [_changed(inner, draw) for inner in value] if isinstance(value, list) else value


def judge(data: bytes, path: Path) -> str | None:
    """What is wrong with how a file is read, or None."""
    path.write_bytes(data)
    began, skips = time.perf_counter(), Skips()
    try:
        for run in read_runs(path, on_skip=skips, limits=SMALL):
            for _ in run.decisions():
                pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it should not be there
        return f"raised {type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    return f"took {seconds:.1f} s" if seconds > SLOW_S else None


def hunt(seeds: range, chosen: dict[str, bytes]) -> tuple[Counter[str], list[Broken]]:
    """Judge a mutated file for each seed; return how many of each source, and what was wrong."""
    counts: Counter[str] = Counter()
    found: list[Broken] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            draw = random.Random(seed)
            source = draw.choice(sorted(chosen))
            counts[source] += 1
            problem = judge(mutated(chosen[source], draw), Path(folder, "file"))
            if problem is not None:
                found.append(Broken(source, seed, problem))
    return counts, found


def grown_mb(before: int) -> float:
    """How much more memory the process has needed than *before*, at its peak."""
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main(arguments: list[str] | None = None) -> int:
    """Judge many mutated files; 1 when a promise was broken."""
    given = _parser().parse_args(arguments)
    every = examples()
    chosen = {given.source: every[given.source]} if given.source else every
    if given.atheris:
        return _atheris(given.atheris, chosen[given.source or "neutral"])
    for example in every.values():  # what is imported and cached belongs to no file
        with tempfile.TemporaryDirectory() as folder:
            judge(example, Path(folder, "file"))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    seeds = (
        range(given.first_seed, given.first_seed + given.files)
        if given.seed is None
        else range(given.seed, given.seed + 1)
    )
    counts, broken = hunt(seeds, chosen)
    grown = grown_mb(before)
    figures = {"files": counts.total(), "by_source": dict(sorted(counts.items())), "grew_mb": round(grown)}
    figures |= {"seconds": round(time.perf_counter() - began), "broken": [asdict(one) for one in broken]}
    print(json.dumps(figures, indent=1) if given.json else "\n".join([*map(str, broken), str(figures)]))
    return 1 if broken or grown > GREW_MB else 0


def _atheris(seconds: int, example: bytes) -> int:
    """Let libFuzzer look; it ends the process itself, with another exit code if it found something."""
    import atheris

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        (corpus / "example").write_bytes(example)

        def one(data: bytes) -> None:
            problem = judge(data, Path(folder, "file"))
            if problem is not None:
                raise AssertionError(problem)

        atheris.instrument_all()
        options = [sys.argv[0], f"-max_total_time={seconds}", f"-rss_limit_mb={1024}", "-timeout=10", str(corpus)]
        atheris.Setup(options, one)
        atheris.Fuzz()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.traces", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="how many files (10000)")
    parser.add_argument("--source", choices=[*sorted(SOURCES), "langfuse.csv"], help="of this source alone")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this file alone")
    parser.add_argument("--atheris", type=int, metavar="SECONDS", help="look with libFuzzer instead")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
