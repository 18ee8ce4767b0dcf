"""What every command of the command line shares: the app, its options, and how it says what is wrong."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn


def fail(message: str, *more: str) -> NoReturn:
    """End the command with exit code 2 and one line of explanation; *more* are lines that belong to it."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    for line in more:
        print(f"  {' '.join(line.split())}", file=sys.stderr)
    raise SystemExit(2)


def missing_extra(what: str, extra: str, missing: ModuleNotFoundError) -> NoReturn:
    """End the command because *what* needs a package that only *extra* installs."""
    if (missing.name or "").partition(".")[0] == "langgraph_speculate":
        raise missing  # not an extra, but a fault of this package
    fail(f'{what} needs the package {missing.name}: pip install "langgraph-speculate[{extra}]"')


try:
    import rich  # noqa: F401 - the commands print with it
    import typer
except ModuleNotFoundError as missing:  # only the command line imports this module: to leave it is to leave the command
    missing_extra("the command line", "demo" if "demo" in sys.argv[1:2] else "cli", missing)

from langgraph_speculate import __version__  # noqa: E402

app = typer.Typer(
    name="langgraph-speculate",
    help="Make LangGraph agents faster by running predicted read-only tool calls while the model is still generating.",
    epilog="Try it: langgraph-speculate demo (half a minute, no key, no network)",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TracesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="TRACES...",
        help="Files of any source, folders or patterns; postgresql://… of a checkpointer; langsmith:PROJECT.",
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="neutral, messages, sharegpt, langsmith, langfuse, otlp or checkpoints; told by what a file holds.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"langgraph-speculate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
