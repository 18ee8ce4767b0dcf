"""The house stands as `docs/architecture.md` draws it: imports point down, the host's private names have one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import langgraph_speculate
import langgraph_speculate.core
import langgraph_speculate.predict
import langgraph_speculate.traces

PACKAGE = "langgraph_speculate"
FOLDER = Path(langgraph_speculate.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))

# From the ground up. Whatever stands on one line shares a floor and does not know its neighbours.
FLOORS: list[set[str]] = [
    {"errors"},
    {"policy"},
    {"core", "pages"},
    {"predict", "observe", "patterns", "testing"},
    {"host", "live", "traces"},
    {"replay"},
    {"graph", "report"},
    {"middleware"},
    {PACKAGE},  # the public names
    {"demo", "doctor"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {unit: height for height, floor in enumerate(FLOORS) for unit in floor}

NOT_FOR_DECISIONS = {"asyncio", "concurrent", "queue", "random", "sched", "socket", "subprocess", "threading", "time"}
COMPAT = FOLDER / "host" / "compat"
HOST_LIBRARIES = ("langgraph", "langchain", "langchain_core", "langsmith", "deepagents")
HOST_PRIVATE_ATTRIBUTES = {"_tools_by_name", "_injected_args", "_tool_to_state_args", "_run_manager"}
HOST_PRIVATE_TEXT = "__pregel_"


def dotted(path: Path) -> str:
    """`langgraph_speculate/core/table.py` as a module name."""
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Every (module, name) a file imports, wherever in the file; name is None for `import module`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: imports are absolute here"
            yield from ((node.module or "", alias.name) for alias in node.names)


def own_imports(path: Path) -> Iterator[str]:
    """Every module of this package that a file imports."""
    for module, name in imports(path):
        if module.split(".")[0] == PACKAGE:
            inner = FOLDER.parent / Path(*module.split("."), name or "")
            yield f"{module}.{name}" if name and (inner.is_dir() or inner.with_suffix(".py").is_file()) else module


def unit(module: str) -> str:
    """The part of the house a module belongs to; the policy and its helpers are one."""
    parts = module.split(".")
    if len(parts) == 1:
        return PACKAGE
    return "policy" if parts[1].startswith("policy") else parts[1]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down_only(path: Path):
    """
    A module knows its own unit and the floors below it.
    """
    mine = unit(dotted(path))
    assert mine in HEIGHT, f"{mine} has no floor yet: give it one here and in docs/architecture.md"

    upward = [
        module for module in own_imports(path) if (theirs := unit(module)) != mine and HEIGHT[theirs] >= HEIGHT[mine]
    ]

    assert not upward


@pytest.mark.parametrize("path", sorted((FOLDER / "core").rglob("*.py")), ids=dotted)
def test_the_core_only_decides(path: Path):
    """
    The standard library and two encoders, but no clock, no tasks, no threads, no sockets.
    """
    allowed = set(sys.stdlib_module_names) - NOT_FOR_DECISIONS | {"orjson", "xxhash", PACKAGE}

    assert {module.split(".")[0] for module, _ in imports(path)} <= allowed


@pytest.mark.parametrize("path", sorted(FOLDER.glob("policy/*.py")), ids=dotted)
def test_a_policy_needs_no_framework(path: Path):
    """
    Reading a policy must not cost the import of an agent framework: the standard library, and how hosts and rates are
    written.
    """
    allowed = set(sys.stdlib_module_names) | {"idna", "limits", PACKAGE}

    assert {module.split(".")[0] for module, _ in imports(path)} <= allowed


@pytest.mark.parametrize("path", sorted((FOLDER / "traces").rglob("*.py")), ids=dotted)
def test_traces_are_plain_data(path: Path):
    """
    What comes from somebody's files is never unpickled, evaluated or imported, and needs no agent framework, but where
    a framework alone knows its own format.
    """
    modules = {module.split(".")[0] for module, _ in imports(path)}
    own_format = {"checkpoints.py": {"langgraph"}, "langsmith_api.py": {"langsmith"}}.get(path.name, set())

    assert not modules & ({*HOST_LIBRARIES} - own_format)
    assert not modules & {"pickle", "marshal", "shelve", "yaml", "importlib", "subprocess"}


@pytest.mark.parametrize("path", sorted((FOLDER / "predict").rglob("*.py")), ids=dotted)
def test_a_predictor_knows_neither_host_nor_session(path: Path):
    """
    It sees a history and answers with candidates; how those are run is none of its business.
    """
    modules = {module for module, _ in imports(path)} | set(own_imports(path))

    assert not [module for module in modules if module.split(".")[0] in HOST_LIBRARIES]
    assert f"{PACKAGE}.core.session" not in modules


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != COMPAT], ids=dotted)
def test_private_names_of_the_host_stay_in_one_package(path: Path):
    """
    What LangGraph and LangChain may change without notice is touched in `host/compat/` alone.
    """
    for module, name in imports(path):
        if module.split(".")[0] in HOST_LIBRARIES:
            private = [part for part in (*module.split("."), name or "") if part.startswith("_")]
            assert not private, f"{module} {name}"

    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr not in HOST_PRIVATE_ATTRIBUTES, f"line {node.lineno}: {node.attr}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert HOST_PRIVATE_TEXT not in node.value, f"line {node.lineno}: {node.value!r}"
            assert node.value not in HOST_PRIVATE_ATTRIBUTES, f"line {node.lineno}: {node.value!r}"


@pytest.mark.parametrize(
    "package",
    [langgraph_speculate, langgraph_speculate.core, langgraph_speculate.predict, langgraph_speculate.traces],
    ids=lambda p: p.__name__,
)
def test_public_names_are_written_down_once_and_sorted(package: ModuleType):
    """
    `__all__` holds every public name of a package and nothing else.
    """
    names = list(package.__all__)
    found = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(PACKAGE)
    }

    assert names == sorted(names)
    assert found <= set(names)
    assert all(hasattr(package, name) for name in names)


def test_importing_the_package_reaches_for_nobody():
    """
    Nothing leaves the machine because somebody imported a library. (urllib3, which comes with LangChain, binds a socket
    to see whether there is IPv6; that is not ours, and it talks to nobody.)
    """
    program = (
        "import sys\n"
        "seen = []\n"
        "talks = ('socket.connect', 'socket.getaddrinfo', 'socket.gethostby', 'socket.send')\n"
        "sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(talks) else None)\n"
        f"from {PACKAGE} import *\n"
        "assert not seen, seen\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, cwd=FOLDER.parent, timeout=120)


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.policy", f"{PACKAGE}.core", f"{PACKAGE}.cli.commands"])
def test_what_needs_no_framework_imports_none(module: str):
    """
    To import one takes seconds, which somebody who reads a policy, or asks the command line for help, need not wait.
    """
    program = f"import sys, {module}; print(sorted({{*{HOST_LIBRARIES}}} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)

    assert done.stdout == "[]\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    """
    Also where names are imported when they are asked for.
    """
    with pytest.raises(AttributeError, match="module 'langgraph_speculate' has no attribute 'speculat'"):
        langgraph_speculate.speculat  # noqa: B018
    assert set(langgraph_speculate.__all__) < set(dir(langgraph_speculate))
