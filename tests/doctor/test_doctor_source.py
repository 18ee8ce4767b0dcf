"""How a graph is found: modules, files, factories, langgraph.json, and one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from langgraph_speculate.doctor.patch import patch, wrapped
from langgraph_speculate.doctor.source import Source, find, load
from langgraph_speculate.errors import GraphError

GRAPH = """\"\"\"An agent.\"\"\"
import os

from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel

print("importing")
assert os.environ["SHOP"] == "open"
graph = create_agent(FakeListChatModel(responses=["hi"]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of LangGraph, which is the working directory; what it changes in the process is put back."""
    (tmp_path / "src" / "doctored").mkdir(parents=True)
    (tmp_path / "src" / "doctored" / "__init__.py").touch()
    (tmp_path / "src" / "doctored" / "graph.py").write_text(GRAPH, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return tmp_path


def config(folder: Path, **settings: object) -> Path:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"dependencies": ["./src"], **settings}), "utf-8")
    return file


@pytest.mark.parametrize("path", ["./src/doctored/graph.py:graph", {"path": "doctored.graph:graph"}])
def test_langgraph_json_is_read_by_itself(project: Path, path: object, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Its graph, its dependencies on the path, its environment; what the project prints stays out of the answer.
    """
    config(project, graphs={"shop": path}, env={"SHOP": "open"})

    made = load(find(None))

    assert type(made).__name__ == "CompiledStateGraph"
    assert capsys.readouterr() == ("", "importing\n")


def test_an_environment_file_is_read(project: Path) -> None:
    """
    As `langgraph dev` does; what is set already stays.
    """
    (project / ".env").write_text("SHOP=open # a comment\nPATH=nowhere\n", "utf-8")
    before = os.environ["PATH"]
    config(project, graphs={"shop": "./src/doctored/graph.py:graph"}, env=".env")

    load(find("shop"))

    assert os.environ["PATH"] == before


def test_a_graph_of_several_has_to_be_named(project: Path) -> None:
    """
    By its name in the file, which may lie elsewhere.
    """
    file = config(project, graphs={"one": "./a.py:graph", "two": "./b.py:make"})
    elsewhere = project / "src"
    os.chdir(elsewhere)

    with pytest.raises(GraphError, match="holds 2 graphs; name one: one, two"):
        find(None, file)
    with pytest.raises(GraphError, match="there is no graph 'three'; it has one, two"):
        find("three", file)
    assert str(find("two", file)) == "../b.py:make"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (None, "no graph is named: langgraph-speculate doctor my_package.my_module:graph"),
        ("shop", "'shop' names no graph"),
        (":graph", "a graph is named as module:graph"),
        ("no_such_module:graph", "ModuleNotFoundError: No module named 'no_such_module'; run doctor in the folder"),
        ("no/such/file.py:graph", "there is no such file"),
        ("doctor_graphs:grap", "has no 'grap'; it has agent, approving"),
        ("doctor_graphs:no_graph", "is no compiled graph and makes none, but a AIMessage"),
        ("doctor_graphs:broken", "makes no graph: RuntimeError: the database is away"),
        ("wants_key.py:graph", "OpenAIError: set WONDER_API_KEY; WONDER_API_KEY=none in the environment will do"),
        ("wants_more.py:graph", "No module named 'no_such_package'; install no_such_package"),
        ("stops.py:graph", "SystemExit: bye; python stops.py shows where"),
        ("wrong.py:graph", "SyntaxError"),
        ("wrapped.py:graph", "or name the graph before it is wrapped"),
    ],
)
def test_a_graph_that_cannot_be_had_is_one_line_with_the_remedy(project: Path, target: str | None, told: str) -> None:
    """
    The place, the cause, what to do.
    """
    sys.path.append(str(Path(__file__).parent))
    for name, text in {
        "wants_key": "class OpenAIError(Exception): ...\nraise OpenAIError('set WONDER_API_KEY.')",
        "wants_more": "import no_such_package",
        "stops": "raise SystemExit('bye')",
        "wrong": "graph =",
        "wrapped": "from langgraph_speculate import SpeculationPolicy\nSpeculationPolicy.load('speculate.toml')",
    }.items():
        (project / f"{name}.py").write_text(text, "utf-8")

    with pytest.raises(GraphError) as error:
        load(find(target))

    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"graphs": 7}', '{"dependencies": []}'])
def test_a_broken_langgraph_json_is_told(project: Path, text: str) -> None:
    """
    Whatever it holds instead.
    """
    (project / "langgraph.json").write_text(text, "utf-8")

    with pytest.raises(GraphError, match=r"langgraph.json: is no langgraph.json with"):
        find(None)


@pytest.mark.parametrize("name", ["with_mcp", "builder", "nested_annotations"])
def test_factories_are_called(name: str) -> None:
    """
    Async, with and without a config; what is not compiled yet is compiled.
    """
    assert load(Source("doctor_graphs", name, (Path(__file__).parent,))).nodes


def test_contexts_are_entered_and_left(project: Path) -> None:
    """
    A factory may open something for as long as its graph is used.
    """
    (project / "opens.py").write_text(
        "import contextlib\n"
        "from doctor_graphs import agent\n"
        "log = []\n"
        "@contextlib.asynccontextmanager\n"
        "async def make(config):\n"
        "    log.append('in')\n"
        "    yield agent\n"
        "    log.append('out')\n",
        "utf-8",
    )
    sys.path.append(str(Path(__file__).parent))

    made = load(find("opens:make"))

    assert type(made).__name__ == "CompiledStateGraph"
    assert sys.modules["opens"].log == ["in", "out"]


# -- the two lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "import a\ngraph = a.b(\n    1,\n)\n",
        '"""Doc."""\nimport a\n\n\ndef graph(config):\n    return a.b("ü", config)\n',
        "from __future__ import annotations\nfrom a import graph\n",
        "import a\ngraph: object = a.b()\nprint(graph)\n",
        "graph = 1\n",
    ],
)
def test_the_patched_module_wraps_the_graph(text: str) -> None:
    """
    It still compiles, what it defines is wrapped, and it is two lines longer at most.
    """
    changed = wrapped(text, "graph", "p.toml")

    assert changed is not None
    compile(changed, "module", "exec")
    assert changed.count("speculate(") == 1
    assert 'policy="p.toml")' in changed
    assert "from langgraph_speculate import speculate\n" in changed
    assert len(changed.splitlines()) - len(text.splitlines()) in (1, 2)


def test_what_is_imported_already_is_not_imported_again() -> None:
    """
    Where another graph of the module speculates, one line will do.
    """
    text = "from langgraph_speculate import speculate\nfrom a import b\n\ngraph = b()\n"

    assert wrapped(text, "graph", "p.toml") == text + 'graph = speculate(graph, policy="p.toml")\n'


def test_a_module_that_runs_wraps_its_graph(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The patch is a patch of that module, and what it says is what makes the graph speculate.
    """
    monkeypatch.setenv("SHOP", "open")
    os.environ["SHOP"] = "open"
    (project / "p.toml").write_text('level = "shadow"', "utf-8")
    file = project / "src" / "doctored" / "graph.py"
    source = Source(str(file), "graph")

    assert patch(source, "p.toml").splitlines()[:2] == ["--- src/doctored/graph.py", "+++ src/doctored/graph.py"]
    changed = wrapped(GRAPH, "graph", "p.toml")
    assert changed is not None
    file.write_text(changed, "utf-8")

    assert load(Source(str(file), "graph")).speculation.policy.level == "shadow"


def test_where_the_place_cannot_be_told_the_lines_are_said_as_such() -> None:
    """
    A graph that is made in a branch, say.
    """
    assert wrapped("if 1:\n    graph = 2\n", "graph", "p.toml") is None
    assert patch(Source("no_such_module", "graph"), "p.toml").splitlines() == [
        "+from langgraph_speculate import speculate",
        " graph = …",
        '+graph = speculate(graph, policy="p.toml")',
    ]
