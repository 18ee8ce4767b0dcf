"""What is served: the agent, with its declared tools run ahead of the model."""

from __future__ import annotations

from pathlib import Path

from langgraph_speculate import speculate
from shop_agent.agent import build_agent

POLICY = Path(__file__).parents[1] / "speculate.toml"

graph = speculate(build_agent(), policy=POLICY)
