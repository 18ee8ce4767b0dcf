"""Run by `test_t22_code_in_data.py` in a process of its own: payloads in all data that is read, under an audit hook.

Prints how many policies and tools were refused, how many policies were accepted, how many graphs ran, and how often
something was run that must not be; then the same after one payload was set off on purpose.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "host"))

from agents import NOTEBOOK_POLICY, WAYS, ScriptedModel, World, ask, drive, notebook, sync_only_graph
from langchain_core.messages import AIMessage

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of

MARK, FILE = Path(sys.argv[1]), Path(sys.argv[2])
PAYLOADS = [
    f"__import__('os').system('touch {MARK}')",
    f"!!python/object/apply:os.system ['touch {MARK}']",
    "{''.__class__.__mro__[1].__subclasses__()}",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/x}",
    f"$(touch {MARK})",
    f"`touch {MARK}`",
    f"; touch {MARK}",
    f"cos\nsystem\n(S'touch {MARK}'\ntR.",
    pickle.dumps(print).decode("latin-1"),
    "{id.__class__.__init__.__globals__}",
    "{id!r:>{id}}",
    "%(id)s",
    "order:{0.__class__}",
]
CONSTRUCTOR = {"lc": 1, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": {"args": ["touch", str(MARK)]}}
ALWAYS = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
seen: list[tuple[str, str]] = []


def watch(event: str, args: Any) -> None:
    """Code is compiled all the time, by pydantic say: that counts where the source is a payload."""
    if event in ALWAYS or (event == "compile" and any(payload in str(args[0]) for payload in PAYLOADS)):
        seen.append((event, str(args)[:200]))


def in_files(payload: str) -> list[str]:
    """The payload in every place of a policy file that holds text, and as the file."""
    text = "".join(f"\\U{ord(letter):08x}" for letter in payload)
    return [
        f'level = "{text}"',
        f'[tools."{text}"]\nread_only = true',
        f'[tools.read]\nread_only = true\nreads = ["{text}"]',
        f'[tools.read]\ntag = "{text}"',
        f'partition_by = ["{text}"]',
        f'approval_gated = ["{text}"]',
        payload,
    ]


def in_metadata(payload: str) -> list[Any]:
    """The payload as what a tool says about itself."""
    return [
        {"speculation": payload},
        {"speculation": {"reads": [payload]}},
        {"read_only": payload},
        {"speculation": CONSTRUCTOR},
        CONSTRUCTOR,
        {payload: payload, "read_only": True},
    ]


def main() -> None:
    warm = ScriptedModel(script=[ask(("read", {"id": 1})), AIMessage("done")])
    graph = speculate(sync_only_graph(warm, notebook(World(), "both")), NOTEBOOK_POLICY)
    for way in WAYS:  # what is imported late is imported before the watch begins
        drive(graph, way)
    sys.addaudithook(watch)
    refused = accepted = runs = 0
    for number, payload in enumerate(PAYLOADS):
        for toml in in_files(payload):
            FILE.write_text(toml, "utf-8")
            try:
                policy = SpeculationPolicy.load(FILE)
            except PolicyError as error:
                refused += bool(str(error))
                continue
            accepted += bool(str(policy.explain("read", {"id": payload})))
        for metadata in in_metadata(payload):
            tools = notebook(World(), "both")
            tools[1].metadata = metadata
            script = [ask(("read", {"id": 1, "detail": payload}), text=payload), AIMessage(payload)]
            try:
                graph = speculate(sync_only_graph(ScriptedModel(script=script, pace_s=0.001), tools))
            except PolicyError as error:
                refused += bool(str(error))
                continue
            if payload in metadata:
                drive(graph, WAYS[number % 4], {"messages": [("user", payload)]})
            runs += bool(str(speculation_of(graph).explain()) + str(speculation_of(graph).stats()))
    print(refused, accepted, runs, len(seen) + MARK.exists(), seen[:3])
    eval(PAYLOADS[0])
    print(len(seen))


if __name__ == "__main__":
    main()
