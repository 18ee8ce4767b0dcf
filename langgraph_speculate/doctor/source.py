"""Where a graph is written down, and how it is had from there: as `langgraph dev` does it, without a server.

To have a graph is to import its module and to call its factory, if it has one; the graph itself is never run.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph_speculate.errors import GraphError, PolicyError
from langgraph_speculate.host.compat.graphs import Pregel

CONFIG_FILE = "langgraph.json"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a graph is written down.

    Attributes:
        module: A module's name, or the path of a Python file.
        variable: What the graph, or a function that makes it, is called there.
        folders: What goes on the path of modules before the import.
        environment: Variables that are set before the import, unless they are set already.
    """

    module: str
    variable: str
    folders: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.module}:{self.variable}"

    @property
    def is_file(self) -> bool:
        """Whether it is the path of a file and not the name of a module."""
        return self.module.endswith(".py")

    @property
    def file(self) -> Path | None:
        """The file that holds it, as far as that is known; a module has to be imported first."""
        found = self.module if self.is_file else getattr(sys.modules.get(self.module), "__file__", None)
        return None if found is None else Path(found)


def find(target: str | None, config: Path | None = None) -> Source:
    """Find out which graph is meant.

    Args:
        target: `module:graph`, `path/to/file.py:graph`, a name in langgraph.json, or None for its only graph.
        config: The langgraph.json; None: the one of the working directory.

    Raises:
        GraphError: It is not told, or langgraph.json cannot be read.
    """
    if target is not None and ":" in target and config is None:
        return _source(target, (Path.cwd(),))
    file = config or Path(CONFIG_FILE)
    if config is None and not file.is_file():
        told = "no graph is named" if target is None else f"{target!r} names no graph"
        raise GraphError(
            f"{told}: langgraph-speculate doctor my_package.my_module:graph, or path/to/file.py:graph, or run it where "
            f"{CONFIG_FILE} is"
        )
    return _in_config(file, target)


def load(source: Source) -> Any:
    """The graph itself: imported, made if a function makes it, compiled if it is not.

    Raises:
        GraphError: The module cannot be imported, or holds no such graph.
    """
    for folder in source.folders:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    for name, value in source.environment.items():
        os.environ.setdefault(name, value)
    with contextlib.redirect_stdout(sys.stderr):  # what the project prints is no part of the answer
        module = _imported(source)
        if not hasattr(module, source.variable):
            names = sorted(name for name, value in vars(module).items() if isinstance(value, Pregel))
            there = f"; it has {', '.join(names)}" if names else ""
            raise GraphError(f"{source.module}: has no {source.variable!r}{there}")
        return _as_graph(getattr(module, source.variable), source)


def _source(text: str, folders: tuple[Path, ...], environment: Mapping[str, str] | None = None) -> Source:
    module, _, variable = text.rpartition(":")
    if not module or not variable.isidentifier():
        raise GraphError(f"{text!r}: a graph is named as module:graph or path/to/file.py:graph")
    return Source(module, variable, folders, environment or {})


def _in_config(file: Path, name: str | None) -> Source:
    try:
        data = json.loads(file.read_text("utf-8"))
        graphs = {key: value["path"] if isinstance(value, dict) else value for key, value in data["graphs"].items()}
    except OSError as error:
        raise GraphError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GraphError(f'{file}: is no langgraph.json with "graphs": {type(error).__name__}: {error}') from None
    names = ", ".join(graphs)
    if name is None and len(graphs) != 1:
        raise GraphError(f"{file}: holds {len(graphs)} graphs; name one: {names}")
    chosen = next(iter(graphs)) if name is None else name
    if chosen not in graphs:
        raise GraphError(f"{file}: there is no graph {chosen!r}; it has {names}")
    folder = file.resolve().parent
    local = (entry for entry in data.get("dependencies", ()) if isinstance(entry, str) and entry.startswith("."))
    folders = (folder, *((folder / entry).resolve() for entry in local))
    module, _, variable = str(graphs[chosen]).rpartition(":")
    path = os.path.relpath(folder / module) if module.endswith(".py") else module
    return _source(f"{path}:{variable}", tuple(dict.fromkeys(folders)), _environment(data.get("env"), folder))


def _environment(given: Any, folder: Path) -> dict[str, str]:
    if isinstance(given, str) and (folder / given).is_file():
        from dotenv import dotenv_values  # deferred: most projects of this file have none

        return {name: value for name, value in dotenv_values(folder / given).items() if value is not None}
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def _imported(source: Source) -> ModuleType:
    try:
        if not source.is_file:
            return importlib.import_module(source.module)
        path = Path(source.module)
        if not path.is_file():
            raise GraphError(f"{source.module}: there is no such file")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError("it is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)  # what it defines may ask where it is defined
        spec.loader.exec_module(module)
    except GraphError:
        raise
    except (Exception, SystemExit) as error:  # the module is somebody else's code
        raise GraphError(f"{source.module}: cannot be imported: {_told(error)}; {_remedy(error, source)}") from error
    return module


def _as_graph(value: Any, source: Source) -> Any:
    try:
        if not isinstance(value, Pregel) and not hasattr(value, "compile") and callable(value):
            value = asyncio.run(_made(value))
        if not isinstance(value, Pregel) and hasattr(value, "compile"):
            value = value.compile()
    except (Exception, SystemExit) as error:  # the factory is somebody else's code
        raise GraphError(f"{source}: makes no graph: {_told(error)}; {_remedy(error, source)}") from error
    if not isinstance(value, Pregel):
        raise GraphError(f"{source}: is no compiled graph and makes none, but a {type(value).__qualname__}")
    return value


async def _made(factory: Any) -> Any:
    """What a factory makes, given a config if it takes one; a context that it opens is left again."""
    takes = [one for one in inspect.signature(factory).parameters.values() if one.default is one.empty]
    needed = [one for one in takes if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    made = factory({"configurable": {}}) if needed else factory()
    if inspect.isawaitable(made):
        made = await made
    if hasattr(made, "__aenter__"):
        async with made as graph:
            return graph
    if hasattr(made, "__enter__"):
        with made as graph:
            return graph
    return made


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _remedy(error: BaseException, source: Source) -> str:
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        if missing == source.module.partition(".")[0]:
            return "run doctor in the folder that holds it"
        return f"install {missing}, or run doctor in the project's folder and environment"
    if isinstance(error, PolicyError):
        return "mend the policy that the graph is wrapped with, or name the graph before it is wrapped"
    if key := re.search(r"[A-Z_]+_API_KEY", str(error)):
        return f"{key[0]}=none in the environment will do, as doctor calls no model"
    by_name = f"-c 'import {source.module}'"
    return f"python {source.module if source.is_file else by_name} shows where"
