"""Where the demonstration's agent is: the LangGraph project `examples/shop_agent`, of which there is one copy.

A wheel carries that folder inside this package; a checkout has it where readers look for examples.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PLACES = (
    Path(__file__).with_name("shop_agent"),
    Path(__file__).parents[2] / "examples" / "shop_agent",
)


def open_project() -> Path:
    """Make the project importable as `shop_agent`, the way `langgraph dev` does, and return its folder.

    Raises:
        FileNotFoundError: This installation has been taken apart: neither place holds the project.
    """
    for folder in _PLACES:
        if (folder / "langgraph.json").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return folder
    raise FileNotFoundError(f"the example project is missing: {' and '.join(map(str, _PLACES))} do not exist")
