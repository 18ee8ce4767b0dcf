"""The documentation is true: its snippets run, its links resolve, its tables are those of the code."""

from __future__ import annotations

import ast
import asyncio
import re
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.core.speculation import TRANSITIONS
from langgraph_speculate.policy import LEVELS, Limits, SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.rules import VERDICT_SENTENCES
from langgraph_speculate.traces import Limits as TraceLimits
from tests.snippets import HEADING, POLICY_FILE, follow_the_walk, is_policy, snippets, without_code

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "langgraph_speculate"
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs both write them."""
    headings = HEADING.findall(without_code(page))
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def tables(page: Path, heading: str) -> list[list[str]]:
    """The rows of all tables under a heading, cells without markup; header rows are left out."""
    section = re.split(rf"^#+ {re.escape(heading)}$", without_code(page), flags=re.MULTILINE)[1]
    lines = re.split(r"^#", section, flags=re.MULTILINE)[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line.startswith("|")]
    rules = [at for at, row in enumerate(rows) if set("".join(row)) <= set("-:| ")]
    return [row for at, row in enumerate(rows) if at not in rules and at + 1 not in rules]


# -- snippets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    Snippets run in the order of the page, in one namespace, in an empty folder. A TOML policy on the way is what
    `speculate.toml` holds from there on. A snippet that cannot run says why on the line before.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANGGRAPH_SPECULATE", raising=False)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for snippet in snippets(page):
        if snippet.language == "toml" and is_policy(snippet.text):
            Path(POLICY_FILE).write_text(snippet.text, "utf-8")
        elif snippet.language == "python" and snippet.no_run is None:
            # Empty lines in front make tracebacks point into the page.
            code = compile("\n" * (snippet.line - 1) + snippet.text, name(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            running = eval(code, namespace)
            if running is not None:
                asyncio.run(running)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_snippet_that_is_not_run_says_why(page: Path):
    """
    `<!-- no-run: reason -->` without a reason would be a way to let snippets rot.
    """
    for snippet in snippets(page):
        assert snippet.no_run is None or len(snippet.no_run) > 10, f"{name(page)}:{snippet.line}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_policies_of_a_page_load(page: Path):
    """
    Whoever copies a policy from the documentation gets one that works.
    """
    for snippet in snippets(page):
        if snippet.language == "toml" and is_policy(snippet.text):
            SpeculationPolicy.from_dict(tomllib.loads(snippet.text), source=f"{name(page)}:{snippet.line}")


def test_the_walk_through_mends_a_denial(tmp_path: Path):
    """
    Its policies and commands, one after the other: the first report names the tool that was denied and what to change,
    the second has hits of it. What a reader sees on the way is looked at in a browser.
    """
    follow_the_walk(tmp_path, "--scale", "0.05")
    reports = [(tmp_path / f"{name}.html").read_text("utf-8") for name in ("before", "after")]

    remedy = "declare [tools.get_order] read_only = true if it only reads"
    assert [remedy in report for report in reports] == [True, False]
    ran_ahead = "<b>get_order</b>, ran ahead"
    assert [ran_ahead in report for report in reports] == [False, True]


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_resolve(page: Path):
    """
    Every link inside the project leads to a file, and to a heading if it names one.
    """
    for target in _LINK.findall(_INLINE_CODE.sub("", without_code(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        assert page.parent == ROOT or DOCS in (file, *file.parents), f"{name(page)}: {target} is not part of the site"
        assert not anchor or anchor in anchors(file), f"{name(page)}: {target}"


def test_every_page_is_in_the_menu():
    """
    A page nobody can reach is a page nobody keeps true.
    """
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")

    assert [page for page in DOCS.rglob("*.md") if f": {page.relative_to(DOCS).as_posix()}\n" not in menu] == []


# -- tables -----------------------------------------------------------------------------------------------------------


def test_the_lifecycle_is_the_one_in_the_code():
    """
    The documented table and the dict that the core obeys are the same.
    """
    page = DOCS / "architecture.md"
    documented = {(state, event, after) for state, event, after, *_ in tables(page, "Lifecycle of a speculation")}
    events = {
        (f"`{state.name}`", f"`{event}`", f"`{after.name}`")
        for state, steps in TRANSITIONS.items()
        for event, after in steps.items()
    }

    assert documented == events


def test_the_house_has_every_module_and_no_other():
    """
    The picture of the house is kept true as it changes.
    """
    documented = {row[0].strip("`") for row in tables(DOCS / "architecture.md", "The house")}
    modules = {
        module.relative_to(PACKAGE).as_posix()
        for module in PACKAGE.rglob("*.py")
        if module.name != "__init__.py" or module.parent == PACKAGE
    }

    assert documented == modules


@pytest.mark.parametrize("record", [ToolPolicy, Limits, SpeculationPolicy])
def test_every_setting_is_documented_with_its_default(record: type):
    """
    Names, order and defaults of the tables in `policy.md` are those of the records.
    """
    rows = tables(DOCS / "policy.md", f"Settings of `{record.__name__}`")
    defaults = record()

    assert [row[0] for row in rows] == [f"`{field.name}`" for field in fields(record)]
    assert set(record.CHECKS) == {field.name for field in fields(record)}  # type: ignore[attr-defined]
    for row, field in zip(rows, fields(record), strict=True):
        value = getattr(defaults, field.name)
        if isinstance(value, bool | int | float | str | tuple | None):
            assert ast.literal_eval(row[1].strip("`")) == value, row[0]


def test_the_limits_on_traces_are_those_of_the_code():
    """
    What one file may ask for stands in `traces.md` with its default.
    """
    rows = tables(DOCS / "traces.md", "What is skipped")
    documented = {row[0].strip("`"): int(row[1].replace(",", "")) for row in rows}

    assert documented == asdict(TraceLimits())


def test_levels_and_reasons_are_documented():
    """
    Each word that a user may meet has its line.
    """
    assert [row[0] for row in tables(DOCS / "policy.md", "Levels")] == [f"`{level}`" for level in LEVELS]
    documented = {row[0].strip("`") for row in tables(DOCS / "policy.md", "Ask the policy")}
    assert documented == set(VERDICT_SENTENCES)
