"""What a name says: reading in whatever spelling, and never where it says that something is changed, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_speculate.core import Call
from langgraph_speculate.traces import is_read_only
from langgraph_speculate.traces.deeds import change_in, reads
from tests.commands import command


@pytest.mark.parametrize(
    "name",
    [
        *("get_order", "getOrder", "GetOrder", "get-order", "mcp__shop__get_order", "github_get_issue"),
        *(
            "github.search_issues",
            "crm_get_customer",
            "track_shipment",
            "retrieve_docs",
            "kb_retrieve",
            "verify_address",
        ),
        *("locate_store", "inspect_pod", "sql_db_list_tables", "kubectl_describe", "Read", "Grep", "Glob", "WebFetch"),
        *("web_search", "tavily_search_results_json", "order_lookup", "list_open_orders", "get_deploy_status"),
        *("find_in_page", "file_read", "think"),
    ],
)
def test_reading_is_told_in_whatever_spelling(name: str):
    """
    Camel case, hyphens, the server's or the service's name before it, and the verb at either end.
    """
    assert reads(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "find_and_replace",
            "search_replace",
            "get_or_create_user",
            "get_and_delete",
            "fetch_and_store",
            "open_ticket",
        ),
        *("open_return", "check_in_guest", "check_out_book", "read_and_mark_seen", "view_and_ack", "mark_read"),
        *("user_mark_read", "archive_list", "order_pizza", "pay_and_get", "slack_post_message", "mcp__db__drop_table"),
        *("generate_search_query", "TodoWrite", "look_away", "github", "", "42"),
    ],
)
def test_what_changes_something_is_no_read(name: str):
    """
    Whatever else the name says: one word that changes is enough, and so is doubt.
    """
    assert not reads(name)


def test_the_word_that_changes_is_named():
    """
    An owner who is asked can see what the hint rests on.
    """
    assert [change_in(name) for name in ("fetch_and_store", "get_order", "getOrCreateUser")] == [
        "store",
        None,
        "create",
    ]


def test_a_call_that_says_what_it_does_is_judged_by_that():
    """
    SQL and shell commands, whatever their tools are called.
    """
    assert is_read_only(Call("sql_db_query", {"query": "SELECT 1"}))
    assert not is_read_only(Call("sql_db_query", {"query": "DELETE FROM t"}))
    assert is_read_only(Call("Bash", {"command": "ls"}))
    assert not is_read_only(Call("Bash", {"command": "rm a.txt"}))


def test_a_name_that_no_provider_allows_is_no_read():
    """
    Recordings may say anything, and what is remembered of names must stay small.
    """
    assert not is_read_only(Call("get_" + "x" * 300, {}))


@pytest.mark.parametrize(
    ("name", "said"),
    [("ship_parcel", "(skipped: ship_parcel). If some do only read, declare them"), (None, "hold no calls of tools.")],
)
def test_an_evaluation_without_reads_names_what_it_skipped(
    name: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """
    So its reader sees whether the guess by names was wrong; without any call, it says that instead of a verdict.
    """
    calls = f'[{{"id": "c", "name": "{name}", "args": {{}}}}]' if name else "[]"
    line = '{"id": "%d", "events": [{"role": "user", "content": "Hi."}, {"role": "assistant", "tool_calls": %s}]}'
    runs = tmp_path / "runs.jsonl"
    runs.write_text("\n".join(line % (number, calls) for number in range(20)))
    code, out, _ = command(capsys, "evaluate", runs, "--seeds", 1, "--predictor", "default")
    assert code == 0
    assert said in " ".join(out.split())
