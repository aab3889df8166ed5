"""`stream-ml score`: ask for scores."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from stream_ml.local.running import DIRECTORY, Running
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import NoModelYet, Score, Scores
from stream_ml.streams.events_from_files import event_bytes, read_events

EVENTS_PER_CALL = 100
SHOWN_CONTRIBUTIONS = 8


@click.command()
@click.argument("events")
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of EVENTS.")
@click.option("--predictor", multiple=True, help="host:port, may be repeated; default: what `up` started.")
@click.option("--model", help="The model's name, where the predictor serves several.")
@click.option("--limit", type=click.IntRange(min=1), help="Score only the first events.")
@click.option("--uncertainty", is_flag=True, help="How far one more such event could move the log-odds.")
@click.option("--contributions", is_flag=True, help="What each feature adds to the log-odds.")
@click.option("--max-weights-age", type=float, help="Refuse weights learned longer ago, seconds.")
@click.option(
    "--directory",
    default=DIRECTORY,
    type=click.Path(path_type=Path),
    help="Of `stream-ml up`.",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line and event.")
def score(
    events: str,
    file_format: str | None,
    predictor: tuple[str, ...],
    model: str | None,
    limit: int | None,
    uncertainty: bool,
    contributions: bool,
    max_weights_age: float | None,
    directory: Path,
    as_json: bool,
) -> None:
    """
    Score the EVENTS of a file (JSON lines, CSV, Parquet; `-` is standard input).

    Exit code 1 if an event has no score; its reason stands in its place.
    """
    addresses = list(predictor) or [Running.need(directory, "--predictor host:port").predictor]
    lines = islice((event_bytes(event) for event in read_events(events, file_format)), limit)
    failed = False
    with _says_what_to_do(), PredictorClient(addresses, timeout_seconds=10.0) as client:
        for call in _calls(lines):
            answer = client.score(
                call,
                model=model,
                uncertainty=uncertainty,
                contributions=contributions,
                max_weights_age_seconds=max_weights_age,
            )
            for each in answer.scores:
                failed |= each.error is not None
                click.echo(_as_json(each, answer) if as_json else _as_text(each, answer))
    sys.exit(1 if failed else 0)


@contextmanager
def _says_what_to_do() -> Iterator[None]:
    try:
        yield
    except NoModelYet as error:
        hint = "nothing may be learned yet: stream-ml send FILE; or all was refused: stream-ml dead-letters"
        raise NoModelYet(f"{error}\n  hint: {hint}") from error


def _calls(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while call := list(islice(lines, EVENTS_PER_CALL)):
        yield call


def _as_json(each: Score, answer: Scores) -> str:
    found: dict[str, Any] = {
        "prediction": each.prediction,
        "log_odds": each.log_odds,
        "step": answer.step,
        "variant": answer.variant,
        "weights_age_seconds": answer.weights_age_seconds,
        "stale": answer.stale,
    }
    if each.uncertainty is not None:
        found["uncertainty"] = each.uncertainty
    if each.contributions is not None:
        found["contributions"] = dict(each.contributions)
    if each.error is not None:
        found["error"] = {"reason": each.error.reason, "detail": each.error.detail}
    return orjson.dumps(found).decode()


def _as_text(each: Score, answer: Scores) -> str:
    if each.error is not None:
        return f"no score: {each.error.reason}: {each.error.detail}"
    text = f"{each.prediction:.4f}   step {answer.step}, weights {answer.weights_age_seconds:.2f} s old"
    if answer.stale:
        text += ", STALE: the predictor has lost touch with the feed"
    if each.uncertainty is not None:
        text += f", uncertainty {each.uncertainty:.3f}"
    if each.contributions is not None:
        strongest = sorted(each.contributions.items(), key=lambda item: -abs(item[1]))[:SHOWN_CONTRIBUTIONS]
        text += "".join(f"\n    {share:+8.3f}  {slot}" for slot, share in strongest)
    return text
