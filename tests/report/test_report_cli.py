"""`langgraph-speculate report`: what it writes, what it prints, and how it says what is wrong."""

from __future__ import annotations

import gzip
import json
from functools import partial

import pytest

from tests.commands import command
from tests.report.logs import busy_run, idle_run, shadow_run, write


@pytest.fixture
def run(capsys):
    """The command line in this process: exit code, standard output, standard error."""
    return partial(command, capsys, "report")


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "events.jsonl", busy_run())


def test_a_log_becomes_a_page_and_a_sentence(run, log, tmp_path):
    """
    The page goes to the file, the sentence to standard output, progress to standard error.
    """
    code, out, err = run(log, "-o", tmp_path / "report.html")

    assert (code, err) == (0, "reading\n")
    assert out.startswith("Saved 31 % of 6.5 s")
    assert out.strip() in (tmp_path / "report.html").read_text("utf-8")


def test_several_logs_packed_or_not_are_one_report(run, log, tmp_path):
    """
    A process writes a log; together they are what happened.
    """
    packed = tmp_path / "other.jsonl.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "other.jsonl", idle_run()).read_bytes()))

    code, out, _ = run(log, packed, "--json")

    figures = json.loads(out)
    assert code == 0
    assert (figures["runs"], figures["stats"]["real_calls"], figures["stats"]["hits"]) == (2, 4, 2)
    assert figures["stats"]["hidden_s"] == 2.0
    assert figures["denials"][0].keys() == {"tool", "reason", "detail", "count"}


def test_a_trace_opens_in_perfetto(run, log, tmp_path):
    """
    Of the runs that are shown, or asked for.
    """
    code, _, _ = run(log, "--trace-json", tmp_path / "trace.json", "--runs", "0", "--run", "r")

    trace = json.loads((tmp_path / "trace.json").read_text("utf-8"))
    assert code == 0
    assert {event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "process_name"} == {"run r"}


def test_a_run_that_is_not_there_is_an_error(run, log, tmp_path):
    """
    With one that is; nothing is written.
    """
    code, out, err = run(log, "-o", tmp_path / "report.html", "--run", "r77", "--run", "r")

    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "error: r77: no such run has ended in the logs; there are r"
    assert not (tmp_path / "report.html").exists()
    assert "did you mean 'busy-run'?" in run(write(log, busy_run("busy-run")), "--run", "bussy-run")[2]


def test_bad_input_is_one_line_and_exit_code_2(run, log, tmp_path):
    """
    A log that is not there, a line that is no event, a folder that does not exist.
    """
    (tmp_path / "bad.jsonl").write_text('{"event": "Nonsense"}\n', "utf-8")
    (tmp_path / "taken").mkdir()
    for arguments, problem in (
        ([tmp_path / "none.jsonl"], "none.jsonl': the log cannot be read: No such file"),
        ([tmp_path / "bad.jsonl"], "bad.jsonl', line 1: no event of this version"),
        ([log, "-o", tmp_path / "nowhere" / "report.html"], "there is no folder to write the report to"),
        ([log, "--trace-json", tmp_path / "nowhere" / "trace.json"], "there is no folder to write the report to"),
        ([log, "-o", tmp_path / "taken"], "the report cannot be written: Is a directory"),
    ):
        code, out, err = run(*arguments)
        last = err.splitlines()[-1]
        assert (code, out) == (2, "")
        assert last.startswith("error: ")
        assert problem in last


READERS = (["report"], ["audit"], ["tail", "--once"], ["replay"])


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
def test_every_command_refuses_a_log_that_holds_something_else(reader, capsys, tmp_path):
    """
    Figures from what is left of a damaged log would be others, and nobody would know.
    """
    lines = write(tmp_path / "events.jsonl", shadow_run()).read_text("utf-8").splitlines()
    (tmp_path / "events.jsonl").write_text("\n".join([*lines[:4], *["garbage"] * 5, *lines[9:]]), "utf-8")

    code, _, err = command(capsys, *reader, tmp_path / "events.jsonl")

    assert code == 2
    assert "events.jsonl', line 5: no JSON" in err


@pytest.mark.parametrize("reader", READERS, ids=" ".join)
def test_every_command_reads_a_log_whose_writer_was_killed_and_says_so(reader, capsys, tmp_path):
    """
    On standard error, with how many lines were left out.
    """
    log = write(tmp_path / "events.jsonl", shadow_run())
    whole = log.read_text("utf-8")
    log.write_text(f"{whole}{whole[:30]}\n{whole[:40]}", "utf-8")

    code, _, err = command(capsys, *reader, log)

    assert code == 0
    assert err.splitlines()[-1] == "left out: 2 lines without an end, whose writer was killed"


def test_help_shows_it_in_use(run):
    """
    With the line that writes a log.
    """
    code, out, _ = run("--help")

    assert code == 0
    assert "langgraph-speculate report events.jsonl -o report.html" in out
    assert 'observers=[JsonLines("events.jsonl")]' in " ".join(out.split())
