"""``stream-ml send``: push the events of a file to a topic."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path

import click
import orjson

from stream_ml.cli.broker import find_broker, topic_and_group
from stream_ml.cli.progress import counted, progress
from stream_ml.errors import ConfigError
from stream_ml.local.running import DIRECTORY
from stream_ml.streams.events_from_files import read_events
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Log
from stream_ml.streams.paced import PacedSender
from stream_ml.streams.packing import MAX_RECORD_BYTES, MAX_RECORD_EVENTS, PackedRecord, pack

POSITIVE = click.FloatRange(min=0, min_open=True)
AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@click.argument("file")
@click.option("--bootstrap", help="Kafka, host:port; without it, what `stream-ml up` runs on.")
@click.option("--topic", help="Where to send; without it, the topic that `stream-ml up` learns from.")
@click.option("--key", metavar="FIELD", help="Field that keys a record: its repeats meet in one partition.")
@click.option("--record-by", metavar="FIELD", help="Consecutive events with one value of it share a record.")
@click.option("--rate", metavar="N", type=POSITIVE, help="Events a second, at most.")
@click.option("--max-records", metavar="N", type=AT_LEAST_ONE, help="Stop after so many records.")
@click.option("--follow-group", metavar="GROUP", help="Stay close ahead of this group's committed offsets.")
@click.option(
    "--create", "partitions", metavar="N", type=AT_LEAST_ONE, help="Partitions, if there is no topic."
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILE.")
@click.option("--kafka-file", type=click.Path(path_type=Path), help="Client settings: name=value a line.")
@click.option("--directory", default=DIRECTORY, type=click.Path(path_type=Path), help="Of `stream-ml up`.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def send(
    file: str,
    bootstrap: str | None,
    topic: str | None,
    key: str | None,
    record_by: str | None,
    rate: float | None,
    max_records: int | None,
    follow_group: str | None,
    partitions: int | None,
    file_format: str | None,
    kafka_file: Path | None,
    directory: Path,
    as_json: bool,
) -> None:
    """
    Push the events in FILE: JSON lines, CSV or Parquet, compressed or not; - is standard input.

    A line that is no JSON object is pushed as it is: the learner puts it into the dead-letter topic.
    """
    settings, running = find_broker(bootstrap, kafka_file, directory)
    topic, group = topic_and_group(topic, follow_group, running)
    # A real broker keeps what is sent far ahead of the learner.
    follow_group = follow_group or (group if running is not None and running.embedded else None)
    with closing(KafkaLog(settings)) as log:
        find_topic(log, topic, partitions)
        records = islice(pack(read_events(file, file_format), key=key, record_by=record_by), max_records)
        sender = PacedSender(log, topic, events_per_second=rate, follow_group=follow_group)
        report = _push(sender, records, quiet=as_json)
    _tell({"topic": topic, **report}, as_json=as_json)


def find_topic(log: Log, topic: str, partitions: int | None) -> None:
    """Make the topic with so many partitions; where none is to be made, ConfigError if there is none."""
    if partitions is not None:
        log.ensure_topic(topic, partitions)
    elif log.topic(topic) is None:
        raise ConfigError(f"there is no topic {topic}\n  hint: --create PARTITIONS makes it")


def _push(sender: PacedSender, records: Iterable[PackedRecord], *, quiet: bool) -> dict[str, float]:
    broken = rests = 0
    started_at = time.monotonic()
    with progress(quiet=quiet) as say, sender:
        try:
            for record in counted(records, say, lambda sent: f"{sender.events:,} events in {sent:,} records"):
                sender.send(record.value, key=record.key, events=record.events)
                broken += record.broken
                rests += record.rest
        except ConfigError as error:  # of the file; the way to the broker is well
            sender.close()
            raise _stopped_within(error, sender.events) from error
    seconds = time.monotonic() - started_at
    return {
        "events": sender.events,
        "records": sender.records,
        "acknowledged": sender.acknowledged.total(),
        "broken": broken,
        "rests": rests,
        "bytes": sender.bytes,
        "seconds": round(seconds, 3),
        "events_per_second": round(sender.events / seconds, 1),
        "waited_seconds": round(sender.waited_seconds, 3),
    }


def _stopped_within(error: ConfigError, sent: int) -> ConfigError:
    if not sent:
        return error
    return ConfigError(
        f"{error}\n  hint: the first {sent:,} events are sent; mend the file and send only the rest, "
        "or what has no event_id is learned twice"
    )


def _tell(report: dict[str, float | str], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(report))
        return
    click.echo(
        f"{report['events']:,} events in {report['records']:,} records to {report['topic']}, "
        f"all acknowledged, {report['events_per_second']:,.0f} events/s"
    )
    if report["broken"]:
        click.echo(f"{report['broken']:,} of them are no JSON objects: look for them among the dead letters")
    tell_rests(int(report["rests"]))


def tell_rests(rests: int) -> None:
    """Say that *rests* records go on with the one before: `learn_after = "record"` cannot hold there."""
    if rests:
        click.echo(
            f"{rests:,} records hold what no longer fitted into the one before: a record has at most "
            f'{MAX_RECORD_EVENTS:,} events and {MAX_RECORD_BYTES:,} bytes. With learn_after = "record" their '
            "events are scored after those of the record before are learned"
        )
