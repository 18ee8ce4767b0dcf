"""The command line: help, versions, and one clear line for what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import langgraph_speculate
from langgraph_speculate import cli
from langgraph_speculate.errors import PolicyError


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["langgraph-speculate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return (ended.value.code, *capsys.readouterr())


def without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process where *package* is not installed."""
    program = f"import sys; sys.modules[{package!r}] = None; from langgraph_speculate.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(monkeypatch, capsys, arguments):
    """
    Without arguments the command says what it can do.
    """
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, err) == (0, "")
    assert "demo" in out
    assert "audit" in out
    assert "evaluate" in out
    assert "Try it: langgraph-speculate demo" in out


def test_every_command_has_help_with_an_example(monkeypatch, capsys):
    """
    Help says what the command does and shows it in use; options for tests stay out of it.
    """
    code, out, _ = run(monkeypatch, capsys, "demo", "--help")
    assert code == 0
    assert "langgraph-speculate demo --json" in out
    assert "--scale" not in out
    code, out, _ = run(monkeypatch, capsys, "audit", "--help")
    assert code == 0
    assert "langgraph-speculate audit events.jsonl" in out


RUN = [
    {"event": "RunBegan", "partition": "p", "world": "w", "max_in_flight": 4, "max_per_turn": 3},
    {"event": "Launched", "turn": "t", "id": "r:1", "tool": "get", "probability": 0.9, "source": "s", "epoch": 0},
    {"event": "Discarded", "id": "r:1", "tool": "get", "reason": "contradicted"},
    {"event": "RunClosed", "launched": 1, "hits": 0, "hidden_s": 0.0},
]
RUN[0] |= {"max_per_run": 20, "max_wasted_per_run": 10}


def write_log(path: Path, *records: dict[str, object]) -> str:
    lines = [
        json.dumps({"run": "r", "at": 0.0, "number": number, **record}) for number, record in enumerate(records, 1)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def test_a_correct_log_is_exit_code_0(monkeypatch, capsys, tmp_path):
    """
    What it holds, and that nothing is wrong with it.
    """
    code, out, err = run(monkeypatch, capsys, "audit", write_log(tmp_path / "events.jsonl", *RUN))
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["records:", "4"],
        ["runs:", "1"],
        ["speculations:", "1"],
        ["commits:", "0"],
        ["discards:", "contradicted", "1"],
        ["no", "violations"],
    ]
    code, out, _ = run(monkeypatch, capsys, "audit", "--json", write_log(tmp_path / "events.jsonl", *RUN))
    assert code == 0
    assert json.loads(out) == {
        **{"records": 4, "runs": 1, "speculations": 1, "commits": 0, "discards": {"contradicted": 1}},
        **{"checked": True, "violations": []},
    }


def test_a_log_without_records_is_not_called_sound(monkeypatch, capsys, tmp_path):
    """
    Runs that are switched off write none: nobody should take that for a promise that was checked.
    """
    path = write_log(tmp_path / "events.jsonl")
    code, out, _ = run(monkeypatch, capsys, "audit", path)
    assert code == 0
    assert out.splitlines()[-1].startswith("nothing to check: 0 records")
    assert "no violations" not in out
    told = json.loads(run(monkeypatch, capsys, "audit", path, "--json")[1])
    assert (told["records"], told["checked"], told["violations"]) == (0, False, [])


def test_a_broken_promise_is_exit_code_1(monkeypatch, capsys, tmp_path):
    """
    The table names rule, line and speculation; so does JSON.
    """
    path = write_log(tmp_path / "events.jsonl", *RUN[:3], {"event": "Committed", "id": "r:1", "tool": "get"}, RUN[3])
    code, out, err = run(monkeypatch, capsys, "audit", path)
    assert (code, err) == (1, "")
    assert "violations: 1" in out
    assert "no violations" not in out
    assert "r:1" in out
    code, out, _ = run(monkeypatch, capsys, "audit", path, "--json")
    assert code == 1
    (violation,) = json.loads(out)["violations"]
    told = "committed, but it is discarded since record 3"
    assert violation == {"rule": "commit", "run": "r", "id": "r:1", "record": 4, "text": told}


def test_a_bad_log_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path):
    """
    Path, line and reason; nothing on standard output.
    """
    path = write_log(tmp_path / "events.jsonl", *RUN, {"event": "Nothing"})
    code, out, err = run(monkeypatch, capsys, "audit", path)
    assert (code, out) == (2, "")
    assert err == f"error: {path!r}, line 5: no event of this version: its kind is 'Nothing'\n"
    code, _, err = run(monkeypatch, capsys, "audit", str(tmp_path / "none.jsonl"))
    assert (code, err.count("\n")) == (2, 1)
    assert "No such file" in err


def test_the_version_is_the_packages(monkeypatch, capsys):
    """
    `--version` prints one line.
    """
    code, out, _ = run(monkeypatch, capsys, "--version")
    assert (code, out) == (0, f"langgraph-speculate {langgraph_speculate.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "nothing"),
        (["--nothing"], "--nothing"),
        (["demo", "--nothing"], "--nothing"),
        (["demo", "extra"], "extra"),
        (["demo", "--scale", "fast"], "--scale"),
        (["demo", "--scale", "0"], "--scale"),
        (["demo", "--scale"], "--scale"),
        (["audit"], "EVENTS.jsonl"),
        (["audit", "a", "b"], "b"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys, arguments, named):
    """
    The line names what was wrong; nothing goes to standard output.
    """
    code, out, err = run(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert named in err


def test_mistakes_in_a_policy_are_told_a_line_each(monkeypatch, capsys):
    """
    What this package raises on purpose is bad input, not a traceback.
    """

    def refuse(**settings):
        raise PolicyError("speculate.toml: unknown key\n  tols (did you mean tools?)")

    monkeypatch.setattr("langgraph_speculate.demo.run.demonstrate", refuse)
    code, _, err = run(monkeypatch, capsys, "demo")
    assert (code, err) == (2, "error: speculate.toml: unknown key\n  tols (did you mean tools?)\n")


def test_the_demonstration_tells_whose_tools_it_has(monkeypatch, capsys, tmp_path):
    """
    Whoever gives it the policy of an agent of their own finds out why that will not do.
    """
    policy = tmp_path / "speculate.toml"
    policy.write_text("[tools.find_user]\nread_only = true\n[tools.get_ordr]\nread_only = true\n", "utf-8")
    code, out, err = run(monkeypatch, capsys, "demo", "--policy", str(policy))
    assert (code, out) == (2, "")
    tools = "get_customer, list_orders, get_order, search_products, open_return, track_shipment"
    assert err.splitlines()[-4:] == [
        f"error: {policy}: 2 problems",
        "  tools.find_user: there is no such tool",
        "  tools.get_ordr: there is no such tool; did you mean 'get_order'?",
        f"  the demonstration's agent has tools of its own: {tools}",
    ]


def test_transcripts_that_differ_are_exit_code_1(monkeypatch, capsys):
    """
    A demonstration that finds a difference says so and fails.
    """
    outcome = SimpleNamespace(identical=11, pairs=[None] * 12, same_writes=True, as_json=lambda: {"identical": 11})
    monkeypatch.setattr("langgraph_speculate.demo.run.demonstrate", lambda **settings: outcome)
    code, out, err = run(monkeypatch, capsys, "demo", "--json")
    assert (code, out) == (1, '{"identical": 11}\n')
    assert "differ" in err


def test_ctrl_c_ends_a_command_without_a_word(monkeypatch, capsys):
    """
    With the code that shells know.
    """

    def interrupted(**settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("langgraph_speculate.demo.run.demonstrate", interrupted)
    code, _, err = run(monkeypatch, capsys, "demo")
    assert (code, err.strip()) == (130, "")


@pytest.mark.parametrize("module", ["langgraph_speculate.errors", "rich", "typer", "langgraph_speculate.cli.audit"])
def test_ctrl_c_is_quiet_while_a_command_is_being_imported(module):
    """
    Which takes seconds, and is where whoever has mistyped something presses it.
    """
    program = f"""if True:
        import sys
        class Interrupting:
            def find_spec(self, name, *_):
                if name == {module!r}:
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupting())
        from langgraph_speculate.cli import main
        main()
    """
    done = subprocess.run([sys.executable, "-c", program, "tail", "x"], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="there Ctrl-C cannot be sent to some processes only")
def test_ctrl_c_is_quiet_where_several_processes_learn(tmp_path):
    """
    A terminal sends it to all of them, also to those that have only begun to import.
    """
    runs = tmp_path / "runs.jsonl"
    lines = []
    for number in range(4_000):
        call = {"id": "c", "name": "get_order", "args": {"order_id": f"SO-{number}"}}
        events = [{"role": "user", "content": f"SO-{number}?"}, {"role": "assistant", "tool_calls": [call]}]
        lines.append(json.dumps({"id": f"r{number}", "events": events}))
    runs.write_text("\n".join(lines))
    command = [sys.executable, "-m", "langgraph_speculate", "mine", runs, "-o", tmp_path / "p.db", "--jobs", "2"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as mining:
        assert mining.stderr.readline() == b"learning\n"
        time.sleep(0.2)  # the others have begun
        os.killpg(mining.pid, signal.SIGINT)
        _, err = mining.communicate(timeout=60)
    assert err.strip() == b""
    assert mining.returncode in (130, -signal.SIGINT)  # the same to a shell


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_output_that_is_not_utf_8_gets_what_it_can_show(encoding, tmp_path):
    """
    Help, tables and sentences hold dashes, boxes and names from recordings; a question mark stands for the rest.
    """
    runs = tmp_path / "runs.jsonl"
    call = {"id": "c", "name": "get_größe_λ", "args": {}}
    events = [{"role": "user", "content": "Hi."}, {"role": "assistant", "tool_calls": [call]}]
    runs.write_text("\n".join(json.dumps({"id": f"r{n}", "events": events}) for n in range(10)), "utf-8")
    commands = [["replay", str(runs)], ["evaluate", str(runs), "--seeds", "1"], ["replay", "--help"]]
    program = f"""if True:
        from langgraph_speculate.cli import main
        for arguments in {commands!r}:
            try:
                main(arguments)
            except SystemExit as ended:
                assert not ended.code
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, timeout=120, check=False, env=os.environ | {"PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 0, done.stderr
    assert b"Too few calls to say" in done.stdout


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("typer", [], "cli"),
        ("typer", ["demo"], "demo"),
        ("starlette", ["demo"], "demo"),
        ("uvicorn", ["demo"], "demo"),
        ("langchain_openai", ["demo"], "demo"),
    ],
)
def test_a_missing_extra_is_named(package, arguments, extra):
    """
    One line says what to install, instead of a traceback.
    """
    done = without(package, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f'pip install "langgraph-speculate[{extra}]"\n')
    assert package in done.stderr
    assert done.stderr.count("\n") == 1
