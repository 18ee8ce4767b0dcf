"""LangGraph's development server with two wrapped graphs: its `/metrics`, and the live page for one line of config."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.serving import free_port

ROOT = Path(__file__).parent.parent
GRAPHS = """
from agents import NOTEBOOK_POLICY, NOTEBOOK_SCRIPT, Oracle, ScriptedModel, World, agent_graph, notebook
from langgraph_speculate import speculate
from langgraph_speculate.observe.prometheus import Prometheus


def build(name):
    plain = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.02), notebook(World(), "both"), name=name)
    return speculate(plain, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), observers=[Prometheus()])


clerk, chief = build("clerk"), build("chief")
"""
CONFIG = {
    "dependencies": ["."],
    "graphs": {"clerk": "./graphs.py:clerk", "chief": "./graphs.py:chief"},
    "http": {"app": "langgraph_speculate.live:app"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that has run each graph once."""
    for module in ("langgraph_cli", "langgraph_api"):
        if importlib.util.find_spec(module) is None:
            pytest.skip('langgraph dev is not installed: pip install "langgraph-cli[inmem]"')
    folder, port = tmp_path_factory.mktemp("project"), free_port()
    (folder / "graphs.py").write_text(GRAPHS, "utf-8")
    (folder / "langgraph.json").write_text(json.dumps(CONFIG), "utf-8")
    settings = ("--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port))
    quiet = {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", "from langgraph_cli.cli import cli; cli()", "dev", *settings],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **quiet, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'host'}"},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, folder / "log")
        for graph in ("clerk", "chief"):
            asked = {"assistant_id": graph, "input": {"messages": [{"role": "user", "content": "go"}]}}
            answer = httpx.post(f"{address}/runs/wait", json=asked, timeout=60).raise_for_status().json()
            assert answer["messages"][-1]["content"] == "done", answer
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/ok").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"langgraph dev does not start: {log.read_text('utf-8', 'replace')[-4000:]}")


def test_a_scrape_has_the_series_of_all_graphs_beside_the_servers_own(server: str):
    """
    Both graphs made an observer of their own, and their sums are in the registry that the server serves.
    """
    scraped = httpx.get(f"{server}/metrics").raise_for_status().text.splitlines()
    assert 'langgraph_speculate_calls_total{outcome="miss",tool="write"} 2.0' in scraped
    assert 'langgraph_speculate_in_flight{tool="read"} 0.0' in scraped
    adopted = [line for line in scraped if line.startswith("langgraph_speculate_speculations_total")]
    assert sum(float(line.split()[-1]) for line in adopted) == 10
    assert [line for line in scraped if line.startswith("# TYPE") and "speculate" not in line]


def test_the_live_page_of_all_graphs_is_served_for_one_line_of_config(server: str):
    """
    The page, its stream, and the server's own routes beside them.
    """
    assert "<h1>Speculation, live</h1>" in httpx.get(f"{server}/speculate").raise_for_status().text
    with httpx.stream("GET", f"{server}/speculate/events", timeout=30) as response:
        told = next(line for line in response.iter_lines() if line.startswith("data: "))
    shown = json.loads(told.removeprefix("data: "))
    assert [run["graph"] for run in shown["runs"]] == ["clerk", "chief"]
    assert (shown["totals"]["runs"], shown["totals"]["hits"]) == (2, 10)
    assert httpx.get(f"{server}/info").is_success


def test_other_sites_cannot_read_the_stream_although_the_server_lets_them_read_the_rest(server: str):
    """
    The development server answers any origin.
    """
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert httpx.get(f"{server}/ok", headers=elsewhere).headers["access-control-allow-origin"] == "*"
    assert httpx.get(f"{server}/speculate/events", headers=elsewhere).status_code == 403
