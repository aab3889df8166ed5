"""History from files and a database, then live events: the bits of a model that got everything live."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from stream_ml import _native
from stream_ml.cli import cli
from stream_ml.features import compile_model
from tests.clicks import MODEL, event, identity
from tests.servers.kafka import KafkaServer
from tests.system.lives import GROUP, Lives

IN_LINES, IN_PARQUET, IN_DATABASE, LIVE = 400, 90, 70, 300
HISTORY = IN_LINES + IN_PARQUET + IN_DATABASE
BROKEN = 96  # no table can hold it: tests.clicks breaks every 97th event


@pytest.fixture
def lives(own_kafka: KafkaServer, tmp_path: Path) -> Iterator[Lives]:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    yield lives
    lives.close()


def whole(number: int) -> bytes:
    """Event *number* of the history; of those that a table has to hold none is broken."""
    return event(number + 1 if number >= IN_LINES and identity(number) % 97 == BROKEN else number)


def write_history(directory: Path) -> list[str]:
    """Write the history in its three forms; return the arguments that name it."""
    (directory / "a.jsonl").write_bytes(b"\n".join(map(whole, range(IN_LINES))))
    rows = [orjson.loads(whole(number)) for number in range(IN_LINES, HISTORY)]
    parquet.write_table(pyarrow.Table.from_pylist(rows[:IN_PARQUET]), directory / "b.parquet")
    with sqlite3.connect(directory / "c.db") as database:
        database.execute(
            "create table clicks (n integer, id text, label int, user text, page text, price real)"
        )
        database.executemany(
            "insert into clicks values (?, ?, ?, ?, ?, ?)",
            [
                (n, *(row[k] for k in ("id", "label", "user", "page", "price")))
                for n, row in enumerate(rows[IN_PARQUET:])
            ],
        )
    database.close()
    query = "select id, label, user, page, price from clicks order by n"
    files = [str(directory / name) for name in ("a.jsonl", "b.parquet")]
    return [*files, "--sql", f"sqlite:///{directory}/c.db", "--query", query]


def backfill(bootstrap: str, *arguments: str) -> dict[str, int]:
    result = CliRunner().invoke(
        cli, ["backfill", *arguments, "--bootstrap", bootstrap, "--topic", "events", "--json"]
    )
    if result.exception is not None:
        raise result.exception
    report: dict[str, int] = orjson.loads(result.stdout)
    return report


def test_a_backfill_and_live_events_give_the_bits_of_one_live_run(
    lives: Lives, own_kafka: KafkaServer, tmp_path: Path
) -> None:
    history = write_history(tmp_path)
    assert backfill(own_kafka.bootstrap, history[0])["records"] == IN_LINES  # and was ended there
    life = lives.start()
    done = backfill(own_kafka.bootstrap, *history, "--follow-group", GROUP)
    assert (done["records"], done["held_before"]) == (IN_PARQUET + IN_DATABASE, IN_LINES)
    life.kill()

    lives.produced = HISTORY
    lives.produce(LIVE)
    last = lives.last()
    live = _native.Learner(_native.Plan(compile_model(MODEL).plan_bytes))
    everything = [whole(number) for number in range(HISTORY)]
    everything += [event(number) for number in range(HISTORY, lives.produced)]
    live.learn([(0, everything, [2**40] * len(everything))])
    assert last["rows_hash"] == live.digest()["rows_hash"]
    assert last["state_hash"] == live.digest()["state_hash"]
    past = lives.replayed("--to-step", "3", "--output", str(tmp_path / "past"))
    inspected = CliRunner().invoke(cli, ["inspect", past["snapshot"], "--json"])
    assert orjson.loads(inspected.stdout)["rows"] == past["rows"], inspected.output
    kept, found = (lives.replayed("--scan-cache", str(tmp_path / "scans")) for _ in range(2))
    assert kept["state_hash"] == found["state_hash"] == last["state_hash"]
    assert kept["ranges_kept"] == found["ranges_found"] > 0 == found["ranges_kept"] == kept["ranges_found"]
    assert backfill(own_kafka.bootstrap, *history)["records"] == 0
