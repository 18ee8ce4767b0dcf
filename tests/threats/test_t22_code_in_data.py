"""T22: data that is read (a policy file, a tool's metadata, messages) carries code that runs when it is read, as
happened to caches in this stack (CVE-2025-64439, CVE-2026-27794, CVE-2026-28277).

The library promises to read everything as data: it holds nothing that could run what it reads, and nothing runs.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import langgraph_speculate

PACKAGE = Path(langgraph_speculate.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
UNSAFE_IMPORTS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"}
UNSAFE_IMPORTS |= {"langchain_core.load", "langchain_core.load.load", "langgraph.checkpoint.serde", "runpy", "code"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
UNSAFE_METHODS = {"import_module", "resolve_name", "find_class", "system", "popen"}
ADDRESSES = PACKAGE / "host" / "parcels.py"  # names a function of a loaded module to the owner's own workers
ALLOWED = {ADDRESSES: [".resolve_name"], PACKAGE / "doctor" / "source.py": [".import_module"]}


def _unsafe(source: str) -> list[str]:
    """What in a module could run what it reads."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
            found.append(f"{node.func.id}()")
        elif isinstance(node, ast.Attribute) and node.attr in UNSAFE_METHODS:
            found.append(f".{node.attr}")
        found += [name for name in names if name in UNSAFE_IMPORTS or name.split(".")[0] in UNSAFE_IMPORTS]
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_run_what_it_reads(module: Path) -> None:
    """
    No pickle, joblib, YAML, `eval`, `exec` or LangChain's `load()` anywhere in the package. One module finds a function
    by the address that it wrote itself, and one imports the graph that its owner names on the command line.
    """
    assert _unsafe(module.read_text("utf-8")) == ALLOWED.get(module, [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import yaml",
        "from langchain_core.load import load",
        "from langchain_core.load.load import loads",
        "eval('1')",
        "exec(text)",
        "import os\nos.system(text)",
        "import importlib\nimportlib.import_module(name)",
        "import pkgutil\npkgutil.resolve_name(name)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    """
    The control.
    """
    assert _unsafe(source)


def test_no_payload_in_a_policy_in_metadata_or_in_messages_runs(tmp_path: Path) -> None:
    """
    14 payloads in seven places of a policy file, six shapes of a tool's metadata, and every text of a run, under an
    audit hook for code, processes and connections. The control sets one of them off in the end.
    """
    mark, script = tmp_path / "mark", Path(__file__).with_name("watched_payloads.py")
    done = subprocess.run(
        [sys.executable, str(script), str(mark), str(tmp_path / "policy.toml")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts, control = done.stdout.strip().splitlines()
    refused, accepted, runs, events = map(int, counts.split()[:4])
    assert min(refused, accepted, runs) > 14 * 2
    assert events == 0, counts
    assert int(control) >= 2  # the source that was compiled, the command that it ran
    assert mark.exists()
