"""``stream-ml inspect``: what a snapshot holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_ml._native import Plan
from stream_ml.cli.progress import Say, counted, progress
from stream_ml.cli.stored import find_snapshot, newest_of
from stream_ml.local.running import DIRECTORY
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.streams.events_from_files import event_bytes, read_events
from stream_ml.weights.artefact import ArtefactReader
from stream_ml.weights.inspection import names_in, strongest, weights_of
from stream_ml.weights.snapshots import SnapshotName

_INTERVAL = LearnerSettings.model_fields["snapshot_interval_seconds"].default
_NOTHING_YET = (
    "\nnothing was learned yet: a learner takes this one at its start\n"
    f"hint: the next follows snapshot_interval_seconds ({_INTERVAL:g} unless set) later, or at its stop"
)


@click.command()
@click.argument("snapshot", required=False)
@click.option("--model", help="Of the store, where it has several.")
@click.option("--variant", help="Of the store; default: the one that began last.")
@click.option(
    "--events",
    "events_path",
    metavar="FILE",
    help="Name the features by these events (JSON lines, CSV, Parquet).",
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILE.")
@click.option(
    "--limit",
    default=100_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Events of FILE to look at.",
)
@click.option("--top", default=20, show_default=True, type=click.IntRange(min=0), help="Weights to show.")
@click.option(
    "--directory",
    default=DIRECTORY,
    type=click.Path(path_type=Path),
    help="Of `stream-ml up`.",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def inspect(
    snapshot: str | None,
    model: str | None,
    variant: str | None,
    events_path: str | None,
    file_format: str | None,
    limit: int,
    top: int,
    directory: Path,
    as_json: bool,
) -> None:
    """
    Show what SNAPSHOT is and its strongest weights.

    SNAPSHOT is a file, or the folder or URL of a store, of which the newest is taken; default: the store of
    `stream-ml up`. Every byte is verified; exit code 1: it is damaged.
    """
    found = find_snapshot(snapshot, model, variant) if snapshot else newest_of(directory, model, variant)
    store, name = found
    events = [] if events_path is None else islice(read_events(events_path, file_format), limit)
    with progress(quiet=as_json) as say, store.open(name) as reader:
        report = _report(name, reader, (event_bytes(event) for event in events), top, say)
    if as_json:
        click.echo(orjson.dumps(report, option=orjson.OPT_NON_STR_KEYS))
    else:
        _show(report, named=events_path is not None)


def _report(
    name: SnapshotName, reader: ArtefactReader, events: Iterable[bytes], top: int, say: Say
) -> dict[str, Any]:
    """Verify and read the snapshot; its strongest weights get the names that *events* give them."""
    size = sum(reader.sizes.values())
    say(f"{size:,} bytes are verified")
    reader.verify()
    say(f"{size:,} bytes are read")
    weights = weights_of(reader)
    looked_at = counted(events, say, lambda number: f"{number:,} events give names")
    names = names_in(looked_at, Plan(reader.parts().plan))
    return {
        "name": str(name),
        "manifest": reader.manifest,
        "bytes": size,
        "rows": len(weights.ids),
        "zero_weights": int(numpy.count_nonzero(weights.w == 0)),
        "weights": [
            weight._asdict() | {"id": f"{weight.id:016x}"} for weight in strongest(weights, top, names)
        ],
    }


def _show(report: dict[str, Any], named: bool) -> None:
    console, manifest = Console(highlight=False, soft_wrap=True), report["manifest"]
    facts = {
        "snapshot": report["name"],
        "model": f"{manifest.model}, variant {manifest.variant}, fingerprint {manifest.fingerprint}",
        "step": f"{manifest.step}, of the writer with epoch {manifest.epoch}",
        "taken": datetime.fromtimestamp(manifest.created_at, UTC).isoformat(" ", "seconds"),
        "next events": ", ".join(
            f"[{partition}] {offset}" for partition, offset in sorted(manifest.events.items())
        ),
        "rows": f"{report['rows']:,} ({report['zero_weights']:,} with weight 0), {report['bytes']:,} bytes",
    }
    for fact, value in facts.items():
        console.print(Text.assemble((f"{fact:>12}  ", "bold"), value))
    if manifest.step == 0 and not report["rows"]:
        console.print(_NOTHING_YET)
    if not report["weights"]:
        return
    table = Table("weight", "slot", "value", "n", box=None, header_style="bold")
    for each in report["weights"]:
        slot = each["slot"] or f"id {each['id']}"
        table.add_row(f"{each['w']:+.4f}", Text(slot), Text(each["value"] or ""), f"{each['n']:.4g}")
    console.print()
    console.print(table)
    if not named:
        console.print("\nhint: --events FILE names the features by the events of a file")
