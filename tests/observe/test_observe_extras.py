"""What is installed on request says so when it is not."""

from __future__ import annotations

import importlib
import sys

import pytest

from langgraph_speculate.errors import needs_extra


@pytest.mark.parametrize(
    ("module", "extra", "missing"),
    [
        ("langgraph_speculate.observe.opentelemetry", "otel", "opentelemetry"),
        ("langgraph_speculate.observe.prometheus", "prometheus", "prometheus_client"),
        ("langgraph_speculate.live.page", "live", "sse_starlette"),
        ("langgraph_speculate.pages.document", "report", "jinja2"),
    ],
)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    module: str, extra: str, missing: str, monkeypatch: pytest.MonkeyPatch
):
    """
    Not the name of a package that the reader has never heard of, alone.
    """
    for name in [name for name in sys.modules if name in (module, "langgraph_speculate.live")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf'{missing}.*pip install "langgraph-speculate\[{extra}\]"'):
        importlib.import_module(module)


def test_what_is_there_is_imported_as_ever():
    """
    Other errors of an import are its own.
    """
    with needs_extra("otel"):
        import json
    assert json
    with pytest.raises(ZeroDivisionError), needs_extra("otel"):
        raise ZeroDivisionError
