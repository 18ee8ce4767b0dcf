"""A page of HTML that is one file and needs nothing else: no fonts, no pictures, no network.

Names come out of logs and traces, so whatever a template is handed is escaped, and a page forbids itself everything but
its own style and its own script.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from langgraph_speculate.errors import needs_extra

with needs_extra("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **facts: Any) -> str:
    """Fill in a template that extends `pages/frame.html.j2`; write what comes out as UTF-8.

    Args:
        template: Its path below the package, such as `"traces/report.html.j2"`.
        facts: What it shows, as text and numbers; only `markupsafe.Markup` is taken for HTML.

    >>> "<title>&lt;b&gt;</title>" in render("pages/frame.html.j2", title="<b>")
    True
    """
    return _environment().get_template(template).render(facts)


def fingerprint(script: str) -> str:
    """What a content security policy calls a script that it lets run.

    >>> fingerprint("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("langgraph_speculate", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["fingerprint"] = fingerprint
    return environment
