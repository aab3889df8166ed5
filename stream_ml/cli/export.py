"""`stream-ml export`: examples and weights as files that other tools read."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy
import orjson

from stream_ml._native import Plan
from stream_ml.cli.output import whole_file
from stream_ml.cli.stored import find_snapshot, newest_of
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.features.export import Example, Libsvm, vw_line
from stream_ml.features.export_parquet import ParquetExport
from stream_ml.features.export_tfrecord import tfrecord
from stream_ml.local.running import DIRECTORY
from stream_ml.streams.events_from_files import event_bytes, read_events
from stream_ml.weights.artefact import ArtefactReader
from stream_ml.weights.inspection import Weights, names_in, weights_of

EVENTS_A_SCAN = 1_000
EXAMPLES = {
    ".libsvm": "libsvm",
    ".svm": "libsvm",
    ".vw": "vw",
    ".tfrecord": "tfrecord",
    ".parquet": "parquet",
}
KINDS = sorted(set(EXAMPLES.values()))


@click.group()
def export() -> None:
    """Write examples or weights as files that other tools read."""


@export.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("events")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of EVENTS.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(KINDS),
    help="Default: by the extension of OUTPUT.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def examples(
    model: Path, events: str, output: Path, file_format: str | None, kind: str | None, as_json: bool
) -> None:
    """
    Write what MODEL makes of the EVENTS of a file (JSON lines, CSV, Parquet) to OUTPUT.

    The features are the learner's, under its ids. Events that it would refuse are left out and counted.
    """
    kind = kind or EXAMPLES.get(output.suffix)
    if kind is None:
        raise ConfigError(f"{output}: the extension names no format\n  hint: --as " + " or ".join(KINDS))
    compiled = compile_model(model)
    scanned = _Scanned(
        Plan(compiled.plan_bytes), (event_bytes(each) for each in read_events(events, file_format))
    )
    with whole_file(output) as partial:
        if kind == "parquet":
            _write_parquet(partial, compiled, scanned)
        else:
            _write_lines(partial, kind, compiled, scanned, ids=output.with_name(f"{output.name}.ids"))
    report = {"examples": scanned.examples, "refused": scanned.refused, "skipped": scanned.skipped}
    if as_json:
        click.echo(orjson.dumps(report))
        return
    click.echo(f"{scanned.examples:,} examples to {output}")
    for reason, count in scanned.refused.items():
        click.echo(f"{count:,} events are left out: {reason}")


class _Scanned:
    """
    The events of a file, scanned in pieces as the learner scans them.

    Attributes:
        examples, skipped: how many. refused: how many, by reason.
    """

    def __init__(self, plan: Plan, lines: Iterable[bytes]) -> None:
        self.plan, self._lines = plan, iter(lines)
        self.examples = self.skipped = 0
        self.refused: dict[str, int] = {}

    def __iter__(self) -> Iterator[list[tuple[bytes, Example]]]:
        now_ms = int(time.time() * 1000)
        while lines := list(islice(self._lines, EVENTS_A_SCAN)):
            scan = self.plan.scan(lines, [now_ms] * len(lines))
            refused = {refusal.record for refusal in scan.refused}
            for refusal in scan.refused:
                self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
            self.skipped += scan.skipped
            self.examples += scan.events
            accepted = memoryview(scan.record).cast("I")
            assert refused.isdisjoint(accepted)
            yield [(lines[at], each) for at, each in zip(accepted, Example.all_of(scan), strict=True)]


def _write_lines(output: Path, kind: str, compiled: CompiledModel, scanned: _Scanned, ids: Path) -> None:
    libsvm = Libsvm()
    logistic = compiled.model_file.learner.loss == "logistic"
    written: dict[str, Callable[[Example], bytes]] = {
        "libsvm": libsvm.line,
        "tfrecord": tfrecord,
        "vw": lambda example: vw_line(example, logistic=logistic),
    }
    with output.open("wb") as file:
        for piece in scanned:
            file.writelines(map(written[kind], (example for _, example in piece)))
    if kind == "libsvm":
        with whole_file(ids) as partial, partial.open("wb") as file:
            file.writelines(libsvm.dictionary())


def _write_parquet(output: Path, compiled: CompiledModel, scanned: _Scanned) -> None:
    kinds = {slot.name: slot.kind for slot in compiled.slots}
    with ParquetExport(str(output), kinds) as file:
        for piece in scanned:
            file.write(
                [
                    file.row(
                        example.label,
                        example.importance,
                        example.timestamp_us,
                        scanned.plan.explain(line)["features"],
                    )
                    for line, example in piece
                ]
            )


@export.command()
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--snapshot", help="A file, or the folder or URL of a store; default: of `stream-ml up`.")
@click.option("--model", help="Of the store, where it has several.")
@click.option("--variant", help="Of the store; default: the one that began last.")
@click.option("--events", metavar="FILE", help="Name the features in a CSV file by these events.")
@click.option("--directory", default=DIRECTORY, type=click.Path(path_type=Path), help="Of `stream-ml up`.")
def weights(
    output: Path,
    snapshot: str | None,
    model: str | None,
    variant: str | None,
    events: str | None,
    directory: Path,
) -> None:
    """Write the weights of a snapshot to OUTPUT: .csv or .safetensors."""
    if output.suffix not in (".csv", ".safetensors"):
        raise ConfigError(f"{output}: the extension names no format\n  hint: .csv or .safetensors")
    newest = find_snapshot(snapshot, model, variant) if snapshot else newest_of(directory, model, variant)
    store, name = newest
    with store.open(name) as reader:
        reader.verify()
        found = weights_of(reader)
        with whole_file(output) as partial:
            if output.suffix == ".csv":
                lines = () if events is None else map(event_bytes, read_events(events))
                _write_csv(partial, found, names_in(lines, Plan(reader.parts().plan)))
            else:
                _write_safetensors(partial, found, reader)
    click.echo(f"{len(found.ids):,} weights of {name} to {output}")


def _write_csv(output: Path, found: Weights, names: dict[int, tuple[str, str | None]]) -> None:
    with output.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "slot", "value", "w", "z", "n"])
        for id, w, z, n in zip(found.ids.tolist(), found.w, found.z, found.n, strict=True):
            slot, value = names.get(id, (None, None))
            rows.writerow([f"{id:016x}", slot, value, *(f"{number:.9g}" for number in (w, z, n))])


def _write_safetensors(output: Path, found: Weights, reader: ArtefactReader) -> None:
    try:
        from safetensors.numpy import save_file
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{output}: safetensors is not installed\n  hint: pip install 'stream-ml[export]'"
        ) from error
    manifest: Any = reader.manifest
    said = {name: str(getattr(manifest, name)) for name in ("model", "variant", "step", "fingerprint")}
    # It writes the bytes of an array as they lie, and these are columns of a table.
    tensors = {key: numpy.ascontiguousarray(column) for key, column in found._asdict().items()}
    save_file(tensors, output, said)
