"""What the commands that decide about a model have in common: its journal, and how a decision is told."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from services.learner.parts import kafka_log, parties_of
from stream_ml.learning.parties import Parties
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.weights.lines import Decision

SETTINGS = click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
_SAID = {"serve": "serves", "stop": "stops learning", "resume": "learns again"}


def why_option(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option --why of a command; without it the journal gets *default*."""
    return click.option("--why", default=default, show_default=True, help="For the journal, and `history`.")


@contextmanager
def deciding(settings: Path) -> Iterator[tuple[Parties, LearnerSettings]]:
    """Yield what the learner's file *settings* names, with who decides: this user."""
    given = load(LearnerSettings, settings, os.environ)
    with naming(settings), closing(kafka_log(given)) as log:
        yield replace(parties_of(given, log), who=getpass.getuser()), given


def tell(decisions: list[Decision]) -> None:
    """Say what was decided."""
    for each in decisions:
        if each.kind == "skip":
            click.echo(
                f"{each.variant} goes on at {each.next} of partition {each.partition}: "
                f"{each.lost:,} offsets are given up"
            )
        else:
            click.echo(f"{each.variant} {_SAID[each.kind]}")
