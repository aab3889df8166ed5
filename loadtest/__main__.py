"""`python -m loadtest NAME`: measure, print a table or one JSON object, write a results file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from loadtest.report import Report, save, show

TESTS = {
    "serve": "Scores over Thrift while the feed is applied, against a server of constants.",
    "freshness": "An event is produced → the first score that reflects it.",
    "ingest": "A backlog in Kafka → learned, against consume() alone and the learner alone.",
    "learn": "JSON events → updated rows, against Vowpal Wabbit, River, scikit-learn.",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure stream-ml on this machine; every ratio is of two things run side by side."""


def _command(name: str, summary: str) -> click.Command:
    @main.command(name, help=summary)
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
    @click.option("--quick", is_flag=True, help="A short run, under 50 seconds in all.")
    @click.option("--output", type=click.Path(path_type=Path), help="Write the object to this file too.")
    @click.option("--seed", type=int, default=1, show_default=True, help="Of the generated stream.")
    def command(as_json: bool, quick: bool, output: Path | None, seed: int) -> None:
        report: Report = import_module(f"loadtest.{name}").run(quick=quick, seed=seed)
        result: dict[str, Any] = report.as_object()
        if output:
            save(result, output)
        if as_json:
            click.echo(orjson.dumps(result))
        else:
            show(result, Console())

    return command


for name, summary in TESTS.items():
    _command(name, summary)

if __name__ == "__main__":
    main(prog_name="loadtest")
