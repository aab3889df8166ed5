"""What the commands of a page presume: files, a service that runs, what its placeholders stand for."""

from __future__ import annotations

import csv
import gzip
import io
import sqlite3
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from stream_ml.local.running import Running
from stream_ml.streams.events_from_files import read_events
from tests.adult import rows as census
from tests.docs import shell
from tests.docs.pages import ROOT
from tests.servers.processes import Process, free_port

Row = Mapping[str, Any]
_DATA = ROOT.parent / "shared" / "data" / "hotel_bookings" / "hotel_bookings.csv.zip"
ROWS = 3_000
REFUSED = 20
CENSUS_ROWS = 5_000
# Known only after the label.
_LEAKS = {"reservation_status", "reservation_status_date", "assigned_room_type", "booking_changes"}
UP = "stream-ml up model.toml"


@dataclass
class Stage:
    """
    A folder with what a page presumes.

    Attributes:
        name: of the model, once it is written.
        replaced: what stands for the page's placeholders here.
    """

    folder: Path
    name: str = ""
    replaced: dict[str, str] = field(default_factory=dict)

    def write_csv(self) -> None:
        with (self.folder / "bookings.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(bookings()[0]))
            writer.writeheader()
            writer.writerows(bookings())

    def events(self) -> list[dict[str, Any]]:
        """Return the bookings as `stream-ml send` pushes them."""
        self.write_csv()
        found = read_events(str(self.folder / "bookings.csv"), None)
        return [event for event in found if isinstance(event, dict)]

    def write_model(self) -> None:
        """Write the file that `stream-ml init` proposes, under a name of this stage's own."""
        self.name = f"bookings-{uuid.uuid4().hex[:8]}"
        shell.run(f"stream-ml init bookings.csv --label is_canceled --name {self.name}", self.folder)

    def move_port(self) -> None:
        """Take another port than `stream-ml up` does by itself: another test may have it."""
        port = str(free_port())
        self.replaced |= {UP: f"{UP} --port {port}", "127.0.0.1:7590": f"127.0.0.1:{port}"}


@cache
def bookings() -> list[Row]:
    """Return hotel bookings in no order: the file has long runs of one label, which are floods."""
    with zipfile.ZipFile(_DATA) as archive:
        rows = csv.DictReader(io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8"))
        kept = Random(1).sample(list(rows), ROWS)
    return [{name: cell for name, cell in row.items() if name not in _LEAKS} for row in kept]


def nothing(_: Stage, __: pytest.FixtureRequest) -> None:
    """What such a page needs it makes itself."""


def other_port(stage: Stage, _: pytest.FixtureRequest) -> None:
    ports = [str(free_port()) for _ in range(2)]
    command = "stream-ml up visits.toml"
    stage.replaced[command] = f"{command} --port {ports[0]} --console-port {ports[1]}"
    stage.replaced["127.0.0.1:7580"] = f"127.0.0.1:{ports[1]}"


def history(stage: Stage, _: pytest.FixtureRequest) -> None:
    """The past in files of three kinds and in a table, and a model."""
    rows = stage.events()
    stage.write_model()
    third = ROWS // 3
    parquet.write_table(arrow.Table.from_pylist(rows[:third]), stage.folder / "2024.parquet")
    with gzip.open(stage.folder / "2025.csv.gz", "wt", newline="") as file:
        writer = csv.DictWriter(file, list(bookings()[0]))
        writer.writeheader()
        writer.writerows(bookings()[third : 2 * third])
    (stage.folder / "2026.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in rows[2 * third :]))
    with closing(sqlite3.connect(stage.folder / "shop.db")) as table, table:
        table.execute("CREATE TABLE bookings (id, booked_at, hotel, lead_time, is_canceled)")
        kept = [(n, n // 2, row["hotel"], row["lead_time"], row["is_canceled"]) for n, row in enumerate(rows)]
        table.executemany("INSERT INTO bookings VALUES (?, ?, ?, ?, ?)", kept)
    stage.replaced |= {
        # On a Kafka: tests/system/test_backfill.py, and here it would wait for commits every five seconds.
        "--bootstrap host:9092": f"--port {free_port()} --console-port 0",
        "postgresql://host/shop": "sqlite:///shop.db",
        "SELECT …": "SELECT hotel, lead_time, is_canceled",
    }


def events_and_model(stage: Stage, _: pytest.FixtureRequest) -> None:
    events = stage.events()
    stage.write_model()
    (stage.folder / "history.jsonl").write_bytes(b"\n".join(map(orjson.dumps, events)))


def changed_model(stage: Stage, _: pytest.FixtureRequest) -> None:
    """The two model files that the page compares; the old one stands for a store of its snapshots."""
    head = "name = 'shop'\nlabel = 'bought'\n[features]\nhousehold = 'household'\nproduct = 'product'\n"
    (stage.folder / "old.toml").write_text(f"{head}price = 'log1p(price)'\n[learner]\nalpha = 0.1\n")
    new = f"{head}price = 'bucket(price, 1, 5)'\nwords = 'words(title)'\n[learner]\nalpha = 0.05\n"
    (stage.folder / "model.toml").write_text(new)
    stage.replaced[".stream-ml/snapshots"] = "old.toml"


def write_census(stage: Stage, _: pytest.FixtureRequest | None) -> None:
    """Rows of the census, as the page's `people.vw` has them."""
    rows = (row for row in census() if row["age"] is not None)
    lines = [
        f"{1 if row['income'] == '>50K' else -1} |person age={row['age']} "
        f"|school education={row['education']} |work hours:{row['hours_per_week'] / 40}"
        for row in islice(rows, CENSUS_ROWS)
    ]
    (stage.folder / "people.vw").write_text("\n".join(lines) + "\n")


def running(stage: Stage, request: pytest.FixtureRequest) -> None:
    """The service that pages share, and its files under the names that they use."""
    service: Path = request.getfixturevalue("service")
    for name in (".stream-ml", "bookings.csv", "events.jsonl", "model.toml"):
        (stage.folder / name).symlink_to(service / name)
    for name in ("learner.toml", "LEARNER.toml"):
        (stage.folder / name).symlink_to(service / ".stream-ml" / "learner.toml")


def operated(stage: Stage, request: pytest.FixtureRequest) -> None:
    """The same service as the runbooks name it."""
    running(stage, request)
    here = Running.find(stage.folder / ".stream-ml")
    assert here is not None
    stage.replaced |= {
        "BROKER:PORT": here.bootstrap,
        "--predictor HOST:PORT": f"--predictor {here.predictor}",
        "LEARNER:PORT": here.learner_http,
        "PREDICTOR:PORT": here.predictor_http,
        "HOST:PORT": here.learner_http,
        "STORE": here.snapshot_store,
        "NAME": here.model,
    }


def replayed(stage: Stage, request: pytest.FixtureRequest) -> None:
    running(stage, request)
    stage.replaced |= {"--to-step 1200": "--to-step 1", "v2": "v1"}


def moved(stage: Stage, request: pytest.FixtureRequest) -> None:
    """A model that learned on Kafka and was stopped; its settings with weights in Redis, and as they were."""
    kafka, redis = request.getfixturevalue("kafka"), request.getfixturevalue("redis_redis")
    stage.write_csv()
    stage.write_model()
    to_kafka = ["--bootstrap", kafka.bootstrap, "--topic", f"{stage.name}.events", "--create", "1"]
    with started(stage.folder, *to_kafka):
        shell.run("stream-ml send bookings.csv", stage.folder)
    memory = (stage.folder / ".stream-ml" / "learner.toml").read_text()
    (stage.folder / "memory.toml").write_text(memory)
    (stage.folder / "learner.toml").write_text(f"weights = '{redis.url}'\n{memory}")
    stage.replaced["learner.toml --from redis://10.0.0.7"] = f"memory.toml --from {redis.url}"


@contextmanager
def started(folder: Path, *options: str) -> Iterator[None]:
    """Run `stream-ml up` with the model of *folder*."""
    arguments = [str(folder / "model.toml"), "--port", "0", "--no-console"]
    here = ["--directory", str(folder / ".stream-ml")]
    process = Process.python(
        ["-m", "stream_ml", "up", *arguments, *here, *options], folder / "up.log"
    ).start()
    try:
        process.wait_for_output("is up", 60)
        yield
    finally:
        assert process.terminate() == 0, process.tail()


@contextmanager
def up(folder: Path) -> Iterator[None]:
    """Run `stream-ml up`, with the bookings learned and some events refused."""
    stage = Stage(folder)
    (folder / "events.jsonl").write_bytes(b"\n".join(map(orjson.dumps, stage.events())))
    stage.write_model()
    refused = [orjson.dumps({"hotel": "City Hotel", "lead_time": days}) for days in range(REFUSED)]
    (folder / "refused.jsonl").write_bytes(b"\n".join(refused))
    with started(folder):
        shell.run("stream-ml send bookings.csv && stream-ml send refused.jsonl", folder)
        yield


Preparation = Callable[[Stage, pytest.FixtureRequest], None]
# A page that is not here presumes nothing.
STAGES: Mapping[str, Preparation] = {
    "docs/backfill.md": history,
    "docs/dead-letters.md": running,
    "docs/drift.md": events_and_model,
    "docs/evolution.md": changed_model,
    "docs/exports.md": running,
    "docs/get-started.md": other_port,
    "docs/promotion.md": running,
    "docs/redis.md": moved,
    "docs/replay.md": replayed,
}
