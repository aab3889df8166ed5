"""`stream-ml replay`: the weights of any step again, from journal and events, or from a snapshot on."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import orjson

from services.learner.parts import kafka_log, native_learner, parties_of
from stream_ml._native import Plan
from stream_ml.cli.progress import Say, counted, progress
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.features import CompiledModel
from stream_ml.learning.parties import Parties, of_variant
from stream_ml.learning.rebuilding import Rebuilt, rebuild
from stream_ml.learning.replaying import ReplayImpossible
from stream_ml.learning.ways_on import naming
from stream_ml.runtime.secrets import url_without_secrets
from stream_ml.runtime.settings import LearnerSettings, load
from stream_ml.streams.scan_cache import DEFAULT_MAX_BYTES, ScanCache
from stream_ml.weights.journal import Entry, JournalReader
from stream_ml.weights.snapshots import SnapshotStore

# Of 40 features each takes some 600 bytes.
DEFAULT_WAITING_LABELS = 1_000_000


@click.command()
@click.argument("settings", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--variant", help="Which; default: the one that serves.")
@click.option("--to-step", type=click.IntRange(min=0), help="Stop there; default: the journal's end.")
@click.option(
    "--to-time", metavar="TIME", help="Stop where the learner was then: 2026-03-01T17:45, UTC unless it says."
)
@click.option(
    "--from-snapshot",
    is_flag=True,
    help="Begin with the newest snapshot that is not later, instead of an empty table.",
)
@click.option(
    "--honest-labels",
    is_flag=True,
    help="Learn each event when its label was known (label_time), not with it; print the honest figures.",
)
@click.option(
    "--waiting-labels",
    type=click.IntRange(min=0),
    default=DEFAULT_WAITING_LABELS,
    show_default=True,
    help="Events that wait for their label at most; the others are learned early, and counted.",
)
@click.option(
    "--scan-cache",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep there what the scan gave; what is there already is not read and scanned again.",
)
@click.option(
    "--scan-cache-bytes",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_BYTES,
    show_default=True,
    help="Of all files in DIR.",
)
@click.option(
    "--output",
    metavar="STORE",
    help="Put the weights there as a snapshot, for `inspect`, `diff` and `export`: a folder or URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def replay(
    settings: Path,
    variant: str | None,
    to_step: int | None,
    to_time: str | None,
    from_snapshot: bool,
    honest_labels: bool,
    waiting_labels: int,
    scan_cache: Path | None,
    scan_cache_bytes: int,
    output: str | None,
    as_json: bool,
) -> None:
    """
    Learn again what the journal says, into an empty table, and print a digest of its rows and state.

    SETTINGS is the learner's file; STREAM_ML_SNAPSHOT_STORE names a copy of its store. Equal digests mean
    equal rows and equal state, bit for bit.
    """
    until = None if to_time is None else _unix_seconds(to_time)
    given = load(LearnerSettings, settings, os.environ)
    if output is not None:
        SnapshotStore(output).check_writable("--output")
    with (
        naming(settings),
        _changes_nothing(given),
        closing(kafka_log(given)) as log,
        progress(quiet=as_json) as say,
    ):
        parties = _own(parties_of(given, log), variant)
        waiting = _waiting(parties.model, waiting_labels) if honest_labels else None
        with _scans(scan_cache, scan_cache_bytes, parties) as scans:
            rebuilt = rebuild(
                parties,
                partial(native_learner, parties.model, given, waiting),
                variant,
                to_step,
                to_time=until,
                from_snapshot=from_snapshot,
                watched=partial(_watched, say),
                scans=scans,
            )
            found = rebuilt.described() | (rebuilt.figures() if honest_labels else {})
            if output is not None:
                say("the rows are written")
                found["snapshot"] = _store(rebuilt, output, parties.model)
    if scans is not None:
        found["ranges_found"], found["ranges_kept"] = scans.found, scans.kept
    if as_json:
        click.echo(orjson.dumps(found).decode())
    else:
        click.echo("\n".join(f"{name:12} {value}" for name, value in found.items()))


def _waiting(model: CompiledModel, waiting_labels: int) -> int:
    if model.model_file.label_time is None:
        raise ConfigError(
            "--honest-labels: the model file does not say when a label became known\n"
            '  hint: label_time = "cancelled_at", at its top'
        )
    return waiting_labels


@contextmanager
def _changes_nothing(settings: LearnerSettings) -> Iterator[None]:
    """Advise what a replay that is impossible asks for: another store, not a way on for a learner."""
    try:
        yield
    except ReplayImpossible as error:
        what = re.split(r"; (?:restore|begin)", str(error))[0]
        raise CannotContinue(
            f"{what}\n  hint: is {url_without_secrets(settings.snapshot_store)} the model's snapshot store? "
            "STREAM_ML_SNAPSHOT_STORE names another; a later --to-step needs less of the past"
        ) from error


def _own(parties: Parties, variant: str | None) -> Parties:
    """A challenger's model file lies in its snapshots, not beside the learner's settings."""
    with JournalReader.open(parties.log, parties.topics.journal.name) as journal:
        journal.read_to_end()
        return of_variant(parties, journal.state, variant)


def _scans(folder: Path | None, max_bytes: int, parties: Parties) -> AbstractContextManager[ScanCache | None]:
    if folder is None:
        return nullcontext()
    return ScanCache(folder, Plan(parties.model.plan_bytes), parties.topics.events, max_bytes)


def _watched(say: Say, lines: list[Entry]) -> Iterator[Entry]:
    return counted(lines, say, lambda done: f"{done:,} of the journal's {len(lines):,} lines")


def _store(rebuilt: Rebuilt, output: str, model: CompiledModel) -> str:
    """Put it into the store *output*; return where."""
    name = rebuilt.store_in(SnapshotStore(output), model, time.time())
    return f"{output.rstrip('/')}/{name}"


def _unix_seconds(text: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--to-time: {text} is no time\n  hint: as 2026-03-01T17:45:00Z") from error
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
