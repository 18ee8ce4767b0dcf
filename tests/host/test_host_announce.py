"""Adoptions are told in the stream mode `custom` on request, and to nobody otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import NOTEBOOK_POLICY, NOTEBOOK_SCRIPT, START_INPUT, UNBRAKED, Oracle, ScriptedModel, World, notebook
from langchain.agents import create_agent

from langgraph_speculate import SpeculationMiddleware, speculate

POLICY = {**NOTEBOOK_POLICY, "limits": UNBRAKED}


def streamed(graph: Any, way: str) -> list[Any]:
    if way == "stream":
        return list(graph.stream(START_INPUT, stream_mode="custom"))

    async def collect() -> list[Any]:
        return [chunk async for chunk in graph.astream(START_INPUT, stream_mode="custom")]

    return asyncio.run(collect())


def agent(middleware: bool, **how: Any) -> Any:
    model, tools = ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World())
    oracle = Oracle(NOTEBOOK_SCRIPT)
    if middleware:
        inside = SpeculationMiddleware(POLICY, predictor=oracle, **how)
        return create_agent(model, tools, middleware=[inside])
    return speculate(create_agent(model, tools), POLICY, predictor=oracle, **how)


@pytest.mark.parametrize("middleware", [False, True], ids=["speculate", "middleware"])
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_each_adoption_is_told_on_request(middleware: bool, way: str):
    """
    Which call adopted what, and how long it did not wait.
    """
    told = [chunk for chunk in streamed(agent(middleware, announce=True), way) if chunk.get("type") == "speculation"]

    assert told
    assert {chunk["outcome"] for chunk in told} <= {"hit", "joined"}
    assert all(chunk["tool"] and chunk["tool_call_id"] and "saved_s" in chunk for chunk in told)


@pytest.mark.parametrize("middleware", [False, True], ids=["speculate", "middleware"])
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_without_it_the_stream_is_that_of_the_plain_graph(middleware: bool, way: str):
    """
    Nothing is added.
    """
    plain = create_agent(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World()))

    assert streamed(agent(middleware), way) == streamed(plain, way)
