"""The two lines that let a graph speculate, as a patch of the module that holds it."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

from langgraph_speculate.doctor.source import Source

_IMPORT = "from langgraph_speculate import speculate"


def patch(source: Source, policy: str) -> str:
    """A unified diff for the graph's module; where its place cannot be told, the two lines as such.

    Args:
        source: Where the graph is written down.
        policy: The policy file's name.
    """
    file = source.file
    try:
        text = "" if file is None else file.read_text("utf-8")
        changed = wrapped(text, source.variable, policy)
    except (OSError, ValueError, SyntaxError):
        changed = None
    if file is None or changed is None:
        return f"+{_IMPORT}\n {source.variable} = …\n+{_wrapping(source.variable, policy)}"
    name = _shown(file)
    lines = difflib.unified_diff(text.splitlines(), changed.splitlines(), name, name, n=1, lineterm="")
    return "\n".join(lines)


def wrapped(text: str, variable: str, policy: str) -> str | None:
    """A module's text with *variable* speculating, or None where it is not made at the top of the module.

    >>> print(wrapped("import agents\\n\\ngraph = agents.build()\\n", "graph", "speculate.toml"))
    import agents
    from langgraph_speculate import speculate
    <BLANKLINE>
    graph = agents.build()
    graph = speculate(graph, policy="speculate.toml")
    <BLANKLINE>
    """
    tree, lines = ast.parse(text), text.splitlines()
    made = [node for node in tree.body if _makes(node, variable)]
    if not made:
        return None
    last = made[-1]
    if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
        if not _wrap_return(last, lines, policy):
            return None
    else:
        lines.insert(last.end_lineno or last.lineno, _wrapping(variable, policy))
    imports = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) and node.lineno < last.lineno
    ]
    if any(isinstance(node, ast.ImportFrom) and ast.unparse(node) == _IMPORT for node in imports):
        return "\n".join(lines) + "\n"
    docstring = tree.body[0].end_lineno or 0 if ast.get_docstring(tree) is not None else 0
    lines.insert(max((node.end_lineno or 0 for node in imports), default=docstring), _IMPORT)
    return "\n".join(lines) + "\n"


def _makes(node: ast.stmt, variable: str) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name == variable
        case ast.Assign(targets=targets):
            return any(isinstance(target, ast.Name) and target.id == variable for target in targets)
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            return name == variable and value is not None
        case ast.ImportFrom(names=names):
            return any((alias.asname or alias.name) == variable for alias in names)
    return False


def _wrap_return(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str], policy: str) -> bool:
    """Wrap what a factory returns, if that stands on one line at its end."""
    last = function.body[-1]
    if not isinstance(last, ast.Return) or last.value is None or last.value.lineno != last.value.end_lineno:
        return False
    at = last.value.lineno - 1
    line = lines[at].encode()  # the tree counts bytes
    begin, end = last.value.col_offset, last.value.end_col_offset or len(line)
    made = f'speculate({line[begin:end].decode()}, policy="{policy}")'
    lines[at] = line[:begin].decode() + made + line[end:].decode()
    return True


def _wrapping(variable: str, policy: str) -> str:
    return f'{variable} = speculate({variable}, policy="{policy}")'


def _shown(file: Path) -> str:
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file)
