"""The commands: ``compare`` has what they measure, ``fastpool.testing`` what they serve."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from .._version import __version__
from .compare.findings import Finding, environment, report
from .compare.questions import QUESTIONS, ask
from .compare.ratios import Effort
from .compare.tables import environment_line, show
from .screen import LiveScreen, PlainScreen, demo_table

_WIDE = 150
_STDOUT = "-"
_SORTS = (
    "pid", "program", "up", "open", "leased", "idle", "connecting", "waiting", "p50", "p99", "oldest", "holder",
    "servers",
)  # fmt: skip

# A flag with an optional file: --json writes to stdout and everything else to stderr, --json FILE to the file.
_json = click.option(
    "--json", "json_to", is_flag=False, flag_value=_STDOUT, metavar="[FILE]", help="Give the figures as JSON, too."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fastpool")
def cli() -> None:
    """fastpool, a connection pool with a compiled core: try it, measure it."""
    # a character that the terminal cannot show (a Windows pipe has no "≥") must not end a run of half a minute
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@cli.command()
@click.option(
    "--seconds", default=30.0, show_default=True, type=click.FloatRange(0.5, 3600), help="About how long in all."
)
@click.option("--plain", is_flag=True, help="No live display, no colours; the default where there is no terminal.")
@_json
def demo(seconds: float, plain: bool, json_to: str | None) -> None:
    """Put one load through happybase's pool and through fastpool's, live, and compare speed, fairness and safety.

    Starts an HBase in memory behind a real Thrift socket, in a process of its own, and needs nothing else.
    """
    from .compare.load import served
    from .demo import demonstrate

    _require("happybase")
    console = _console(plain, stderr=json_to == _STDOUT)
    where = environment()
    console.print("Starting an HBase Thrift server (in memory) in a process of its own …")
    with served() as server, _screen(console) as screen:
        result = demonstrate(server, seconds, screen)
    console.print()
    console.print(demo_table(result))
    console.print(environment_line(where))
    if json_to is not None:
        _write({"environment": where, **result.as_json()}, json_to)


@cli.command()
@click.option(
    "--only", multiple=True, type=click.Choice(list(QUESTIONS)), help="Ask this question only; may be repeated."
)
@click.option("--quick", is_flag=True, help="Fewer rounds and shorter turns: seconds instead of a minute or two.")
@click.option("--plain", is_flag=True, help="No live display, no colours; the default where there is no terminal.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png", help="Draw the comparison."
)
@click.option("--check", is_flag=True, help="Exit with 1 if a target is missed.")
@_json
def bench(only: tuple[str, ...], quick: bool, plain: bool, plot: Path | None, check: bool, json_to: str | None) -> None:
    """fastpool against the other pools, as ratios measured in turns, beside what they have to reach; those that are not
    installed are left out."""
    if plot is not None:
        _require("matplotlib", "bench")
    effort = Effort(rounds=11, cycles=2000, turns=2, seconds=0.3) if quick else Effort()
    console = _console(plain, stderr=json_to == _STDOUT)
    where = environment()
    found: list[Finding] = []
    for question in only or QUESTIONS:
        with console.status(f"measuring: {question}") if console.is_terminal else nullcontext():
            answers = list(ask(question, effort))
        show(console, answers)
        found += answers
    console.print(environment_line(where))
    if json_to is not None:
        _write(report(where, found), json_to)
    if plot is not None:
        _draw(found, plot)
    missed = [finding for finding in found if finding.verdict == "missed"]
    if missed:
        console.print(
            f"{len(missed)} missed: " + "; ".join(f"{finding.question}, {finding.what}" for finding in missed)
        )
    sys.exit(1 if check and missed else 0)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--protocol", default="binary", show_default=True, type=click.Choice(["binary", "compact"]))
@click.option("--transport", default="buffered", show_default=True, type=click.Choice(["buffered", "framed"]))
@click.option(
    "--delay", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds that each reply takes."
)
def serve(**settings: Any) -> None:
    """An HBase in memory behind a real Thrift socket, until Ctrl-C. Its tables are gone afterwards."""
    _require("happybase")
    from ..testing import HBaseServer
    from ..testing.news import Flag

    over = Flag()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server = HBaseServer(**settings)
    try:
        server.start()
    except OSError as error:
        where = f"{settings['host']}:{settings['port']}"
        raise click.ClickException(
            f"cannot listen on {where}: {error}; try another --port, or 0 for a free one"
        ) from error
    with server:
        click.echo(f"HBase Thrift server on {server.host}:{server.port}, {server.protocol} {server.transport}")
        click.echo(f"happybase.Connection({server.host!r}, {server.port}) reaches it; Ctrl-C ends it")
        while not over.wait(0.5):  # a wait without an end would not notice Ctrl-C on Windows
            pass
    click.echo("ended")


@cli.command()
@click.option("--once", is_flag=True, help="Print the table once; the default where there is no terminal.")
@click.option("--json", "in_json", is_flag=True, help="Print the figures once, as JSON.")
@click.option("--leases", "pid", type=int, metavar="PID", help="Print the leases of a process, with their stacks.")
@click.option("--sort", default="pid", show_default=True, metavar="COLUMN", help=f"One of {', '.join(_SORTS)}.")
@click.option("--reverse", is_flag=True, help="Sort the other way round.")
@click.option(
    "--interval", default=2.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Seconds between two looks."
)
def top(once: bool, in_json: bool, pid: int | None, sort: str, reverse: bool, interval: float) -> None:
    """Every pool of this user on this machine that has a `shared` name, live: per process and server, who has what."""
    from .._errors import PoolError
    from .top import as_json, leases_of, table

    if sort not in _SORTS:
        raise click.BadParameter(f"{sort!r} is no column; one of {', '.join(_SORTS)}", param_hint="--sort")
    console = _console(plain=False, stderr=False)
    try:
        if in_json:
            _write(as_json(), _STDOUT)
        elif pid is not None:
            told = leases_of(pid)
            if not told:
                raise click.ClickException(f"process {pid} has no shared pool")
            console.print(*told, sep="\n\n")
        elif once or not console.is_terminal:
            console.print(table(sort, reverse))
        else:
            _require("textual")
            from .top_screen import Top

            Top(sort, reverse, interval).run()
    except PoolError as error:
        raise click.ClickException(str(error)) from error


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def doctor(arguments: tuple[str, ...]) -> None:
    """Print what a bug report needs, in one paste: versions, build, platform, limits, shared pools; no secrets."""
    from .doctor import run

    run(arguments)


def _require(module: str, extra: str = "cli") -> None:
    if importlib.util.find_spec(module) is None:
        raise click.ClickException(f"this needs {module}, which is not installed: pip install 'fastpool[{extra}]'")


def _console(plain: bool, stderr: bool) -> Console:
    console = Console(stderr=stderr, force_terminal=False if plain else None, no_color=plain or None, highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _screen(console: Console) -> LiveScreen | PlainScreen:
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


def _write(what: Mapping[str, Any], to: str) -> None:
    text = json.dumps(what, indent=2)
    if to == _STDOUT:
        click.echo(text)
    else:
        Path(to).write_text(text + "\n", encoding="utf-8")


def _draw(found: Iterable[Finding], to: Path) -> None:
    from .compare.plot import save

    try:
        save(list(found), to)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
