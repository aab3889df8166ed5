"""``stream-ml backfill``: the history of a model, from files or a query, before it goes live."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import orjson

from stream_ml.cli.broker import find_broker, topic_and_group
from stream_ml.cli.progress import Say, counted, progress
from stream_ml.cli.send import find_topic, tell_rests
from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.local.running import DIRECTORY
from stream_ml.streams.backfill import Held, check_alone, send_missing
from stream_ml.streams.events_from_files import Event, read_events
from stream_ml.streams.events_from_sql import read_query
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Log
from stream_ml.streams.paced import PacedSender
from stream_ml.streams.packing import PackedRecord, pack

STALLED_SECONDS = 60.0
LOOK_SECONDS = 0.05


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--sql", metavar="URL", help="A database, in SQLAlchemy's words; its query comes after the files."
)
@click.option("--query", help="Of the database; with an ORDER BY.")
@click.option("--bootstrap", help="Kafka, host:port; without it, what `stream-ml up` runs on.")
@click.option("--topic", help="The events; without it, the topic that `stream-ml up` learns from.")
@click.option("--key", metavar="FIELD", help="Field that keys a record: its repeats meet in one partition.")
@click.option("--record-by", metavar="FIELD", help="Consecutive events with one value of it share a record.")
@click.option("--follow-group", metavar="GROUP", help="The learner's: stay close ahead of it, wait for it.")
@click.option("--create", "partitions", metavar="N", type=click.IntRange(min=1), help="Make the topic.")
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILES.")
@click.option("--kafka-file", type=click.Path(path_type=Path), help="Client settings: name=value a line.")
@click.option("--directory", default=DIRECTORY, type=click.Path(path_type=Path), help="Of `stream-ml up`.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def backfill(
    files: tuple[str, ...],
    sql: str | None,
    query: str | None,
    bootstrap: str | None,
    topic: str | None,
    key: str | None,
    record_by: str | None,
    follow_group: str | None,
    partitions: int | None,
    file_format: str | None,
    kafka_file: Path | None,
    directory: Path,
    as_json: bool,
) -> None:
    """
    Push the events of FILES, in their order, then those of a query, before any live event.

    Killed and run again with the same arguments, it goes on where it was: each event is pushed once. When it
    has ended, let the producers begin with what comes after the history.
    """
    if (sql is None) != (query is None) or not (files or sql):
        raise ConfigError(
            "no history is named\n  hint: FILES, or --sql URL --query 'SELECT … ORDER BY …', or both"
        )
    settings, running = find_broker(bootstrap, kafka_file, directory)
    topic, follow_group = topic_and_group(topic, follow_group, running)
    records = pack(_events(files, file_format, sql, query), key=key, record_by=record_by)
    with closing(KafkaLog(settings)) as log, progress(quiet=as_json) as say:
        find_topic(log, topic, partitions)
        report = _push(log, topic, records, follow_group, say)
        if follow_group is not None:
            say("the learner learns them")
            _wait_until_learned(log, topic, follow_group)
    if as_json:
        click.echo(orjson.dumps({"topic": topic, **asdict(report)}))
    else:
        _tell(report, topic if follow_group is None else f"{topic}, learned")


@dataclass(frozen=True, slots=True)
class _Report:
    """What was sent, what was there before, and how many records go on with the one before."""

    events: int
    records: int
    held_before: int
    rests: int


def _push(
    log: Log, topic: str, records: Iterator[PackedRecord], follow_group: str | None, say: Say
) -> _Report:
    """Send what is not there yet; all is acknowledged, and nobody else sent meanwhile."""
    held, rests = Held(log, topic), Counter[bool]()
    with PacedSender(log, topic, follow_group=follow_group) as sender:
        missing = send_missing(sender, _counting(records, rests), held)
        for _ in counted(missing, say, lambda number: f"{number:,} records are sent"):
            pass
    if sender.records:
        check_alone(log, topic, held, sender.acknowledged)
    return _Report(sender.events, sender.records, held.records, rests[True])


def _counting(records: Iterator[PackedRecord], rests: Counter[bool]) -> Iterator[PackedRecord]:
    for record in records:
        rests[record.rest] += 1
        yield record


def _tell(report: _Report, where: str) -> None:
    click.echo(f"{report.events:,} events in {report.records:,} records to {where}")
    tell_rests(report.rests)
    if report.held_before:
        click.echo(f"{report.held_before:,} records were there before")
    click.echo("now let the producers begin, with what comes after the history")


def _events(
    files: tuple[str, ...], file_format: str | None, sql: str | None, query: str | None
) -> Iterator[Event]:
    for file in files:
        yield from read_events(file, file_format)
    if sql is not None and query is not None:
        yield from read_query(sql, query)


def _wait_until_learned(log: Log, topic: str, group: str) -> None:
    found = log.topic(topic)
    assert found is not None
    ends = {partition: log.bounds(topic, partition).next for partition in range(found.partitions)}
    seen, moved_at = log.committed(group, topic), time.monotonic()
    while any(seen.get(partition, 0) < end for partition, end in ends.items()):
        if time.monotonic() - moved_at > STALLED_SECONDS:
            raise RecoverableError(
                f"all is sent, and {group} stands at {seen} of {topic} for {STALLED_SECONDS:g} s\n"
                "  hint: does the learner run, and learn (stream-ml history), and is this its group?"
            )
        time.sleep(LOOK_SECONDS)
        if (now := log.committed(group, topic)) != seen:
            seen, moved_at = now, time.monotonic()
