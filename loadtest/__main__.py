"""`python -m loadtest NAME`: measure, print a table or one JSON object, write a results file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from loadtest import load_page, results
from loadtest.report import Report, save, show

# In this order by `all`: serve applies the feed at the row rate that freshness showed.
TESTS = {
    "learn": "JSON events → updated rows, against Vowpal Wabbit, River, scikit-learn.",
    "ingest": "A backlog in Kafka → learned, against consume() alone and the learner alone.",
    "poison": "What it costs the learner that one event in a hundred is broken.",
    "snapshots": "How long learning waits for a snapshot of 20 million rows that is being taken.",
    "freshness": "An event is produced → the first score that reflects it.",
    "reload": "What calls notice while a model of 10 million rows is loaded and swapped in.",
    "serve": "Scores over Thrift while the feed is applied, against a server of constants.",
    "scenarios": "The whole system under an open load up to its knee and beyond, and while things happen.",
    "attack": "What a good client notices of 200 that are slow or mean harm.",
    "memory": "Bytes a live row, the longest stall while the table grows, speed at 200 M live rows.",
    "recover": "A large model's learner and predictor are started again: how long, and the same bits.",
    "replay": "A log is learned again, with and without the scans that were kept of it.",
    "retrain": "16 challengers over one scan, against 16 single runs of ours and of Vowpal Wabbit.",
    "drift": "Planted drifts: found, named, how soon; false alarms against their budget.",
    "console": "The console's page is opened beside a demo → it is drawn; its pictures.",
    "sparing": "What admission and expiry save in rows, and cost in loss and speed.",
}
# `learn --weights redis`, as its results file is named.
LEARN_REDIS = "learn-redis"
# Not among `all`: it takes its time, and says nothing of speed.
ENDURANCE = "endurance"
# `retrain --device cuda`; not among `all`, for it wants a GPU.
RETRAIN_CUDA = "retrain-cuda"
Command = Callable[..., None]


def _options(command: Command) -> Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables."),
        click.option("--quick", is_flag=True, help="A short run, under 50 seconds in all."),
        click.option("--seed", type=int, default=1, show_default=True, help="Of the generated stream."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure stream-ml on this machine; every ratio is of two things run side by side."""


@main.command("all")
@_options
def every(as_json: bool, quick: bool, seed: int) -> None:
    """Run every test; without --quick, write docs/results and refresh the README's tables."""
    for name in (*TESTS, LEARN_REDIS):
        _measure(name, as_json, quick, seed, None if quick else results.FOLDER / f"{name}.json")
    if not quick:
        results.refresh_readme()
        load_page.refresh()


@main.command("readme")
def readme() -> None:
    """Make the tables of the README and of docs/load.md from the results files."""
    results.refresh_readme()
    load_page.refresh()


def _add(name: str, summary: str) -> None:
    @main.command(name, help=summary)
    @_options
    @click.option("--output", type=click.Path(path_type=Path), help="Write the object to this file too.")
    def command(
        as_json: bool,
        quick: bool,
        seed: int,
        output: Path | None,
        minutes: float | None = None,
        **other: str,
    ) -> None:
        named = {("weights", "redis"): LEARN_REDIS, ("device", "cuda"): RETRAIN_CUDA}
        chosen = next((named[option] for option in other.items() if option in named), name)
        more = {} if minutes is None else {"minutes": minutes}
        _measure(chosen, as_json, quick, seed, output, **more)

    if name == "learn":
        where = click.Choice(["memory", "redis"])
        click.option("--weights", type=where, default="memory", help="Where the rows are.")(command)
    if name == ENDURANCE:
        click.option("--minutes", type=click.FloatRange(min=0.1), help="How long; 10 by default.")(command)
    if name == "retrain":
        where = click.Choice(["cpu", "cuda"])
        click.option("--device", type=where, default="cpu", help="cuda: on a GPU, against the CPU.")(command)


def _measure(name: str, as_json: bool, quick: bool, seed: int, output: Path | None, **more: float) -> None:
    load_average, _, _ = os.getloadavg()
    report: Report = import_module(f"loadtest.{name.replace('-', '_')}").run(quick=quick, seed=seed, **more)
    result: dict[str, Any] = replace(report, load_average=load_average).as_object()
    if output:
        save(result, output)
    if as_json:
        click.echo(orjson.dumps(result))
    else:
        show(result, Console())


for name, summary in TESTS.items():
    _add(name, summary)
_add(ENDURANCE, "What the services hold after long work; one that leaks is noticed.")

if __name__ == "__main__":
    main(prog_name="loadtest")
