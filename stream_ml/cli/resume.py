"""`stream-ml resume`: learning goes on after a stop, in one of three ways."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click

from services.learner.parts import native_learner
from stream_ml.cli.deciding import SETTINGS, deciding, tell, why_option
from stream_ml.cli.offsets import offsets_of, stands_of
from stream_ml.errors import ConfigError
from stream_ml.learning import resuming


@click.command()
@SETTINGS
@click.option("--learn-backlog", is_flag=True, help="Learn what came meanwhile: it was good.")
@click.option(
    "--skip-to",
    "skip_to",
    metavar="PARTITION:OFFSET",
    multiple=True,
    help="Give up what came before; may be given for several partitions.",
)
@click.option(
    "--restore-step",
    type=click.IntRange(min=0),
    help="Begin a variant with the rows of that step; what was learned after it is given up too.",
)
@why_option("stream-ml resume")
def resume(
    settings: Path, learn_backlog: bool, skip_to: tuple[str, ...], restore_step: int | None, why: str
) -> None:
    """
    Let learning go on that was stopped, by a person or by the breaker; one way has to be chosen.

    SETTINGS is the learner's file. What is given up is counted in the journal.
    """
    if learn_backlog + bool(skip_to) + (restore_step is not None) != 1:
        raise ConfigError(
            "one of --learn-backlog, --skip-to and --restore-step is wanted\n"
            "  hint: --learn-backlog if the events are good, --skip-to if they are bad, "
            "--restore-step if bad ones were learned already"
        )
    with deciding(settings) as (parties, given):
        if learn_backlog:
            tell(resuming.learn_backlog(parties, why))
        elif skip_to:
            tell(resuming.skip_to(parties, offsets_of(skip_to), why, stands_of(parties, given)))
        else:
            assert restore_step is not None, "one of three"
            new_learner = partial(native_learner, settings=given)
            line, decisions = resuming.restore_step(parties, restore_step, why, new_learner, time.time())
            tell(decisions)
            click.echo(f"offsets given up, by partition: {line.lost or 'none'}")
