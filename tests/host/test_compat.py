"""Each private name of the host has a contract: when one fails, a release of the host broke it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
from contracts import CONTRACTS
from langgraph.types import interrupt

from langgraph_speculate.host import compat
from langgraph_speculate.host.compat import configs

MODULES = [found.name for found in pkgutil.iter_modules(compat.__path__)]
for module in MODULES:
    importlib.import_module(f"contracts.{module}")
NAMES = [
    pytest.param(module, name, id=f"{module}.{name}")
    for module in MODULES
    for name in importlib.import_module(f"{compat.__name__}.{module}").__all__
]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_private_name_keeps_its_contract(module: str, name: str) -> None:
    """
    Each name in an `__all__` has a contract, and it holds on the installed versions.
    """
    assert hasattr(importlib.import_module(f"{compat.__name__}.{module}"), name)
    CONTRACTS[module][name]()


def test_no_contract_is_of_a_name_that_is_gone() -> None:
    """
    The contracts and the names are the same list.
    """
    contracts = {(module, name) for module, named in CONTRACTS.items() for name in named}
    assert contracts == {one.values for one in NAMES}


def test_interrupts_use_the_scratchpad_that_speculations_are_kept_from() -> None:
    """
    `interrupt()` reaches for the scratchpad in `configurable`: without that, the tripwire would not hold.
    """
    assert "CONFIG_KEY_SCRATCHPAD" in inspect.getsource(interrupt)
    assert configs.is_node_private("__pregel_scratchpad")
