from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.streams.backfill import Held, check_alone, send_missing
from stream_ml.streams.memory import MemoryLog
from stream_ml.streams.paced import PacedSender
from stream_ml.streams.packing import PackedRecord

RECORDS = [PackedRecord(b"k%d" % (number % 5), b"value %d" % number, 1, 0) for number in range(30)]


def log_of(partitions: int) -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("events", partitions)
    return log


def run(log: MemoryLog, records: Sequence[PackedRecord] = RECORDS, stop_after: int | None = None) -> int:
    """Backfill, or be ended after so many records; return how many were sent."""
    held = Held(log, "events")
    with PacedSender(log, "events") as sender:
        for _ in send_missing(sender, records, held):
            if sender.records == stop_after:
                break
    check_alone(log, "events", held, sender.acknowledged)
    return sender.records


def values(log: MemoryLog, partitions: int) -> list[list[bytes | None]]:
    fetches = log.reader("events", dict.fromkeys(range(partitions), 0)).poll(1000, 0)
    return [fetch.values for fetch in fetches]


def send_live(log: MemoryLog) -> None:
    with log.writer() as writer:
        writer.send("events", b"live", partition=0)


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("stops", [[1], [7, 1, 20], [29], [30]])
def test_wherever_it_is_ended_each_record_is_there_once_and_in_order(
    partitions: int, stops: list[int]
) -> None:
    whole, log = log_of(partitions), log_of(partitions)
    run(whole)
    for stop in stops:
        run(log, stop_after=stop)
    assert run(log) == 30 - sum(stops)
    assert values(log, partitions) == values(whole, partitions)
    assert run(log) == 0


def test_a_backfill_that_is_complete_may_be_run_again_beside_live_events() -> None:
    log = log_of(1)
    run(log)
    send_live(log)
    assert run(log) == 0


def test_history_is_not_sent_after_a_live_event() -> None:
    log = log_of(1)
    run(log, stop_after=12)
    send_live(log)
    with pytest.raises(
        ConfigError, match=r"record 12 of the backfill is not: history would be learned after"
    ):
        run(log)


def test_somebody_who_sends_meanwhile_is_noticed() -> None:
    log = log_of(1)
    held = Held(log, "events")
    with PacedSender(log, "events") as sender:
        for record in send_missing(sender, RECORDS, held):
            if record is RECORDS[7]:
                send_live(log)
    with pytest.raises(CannotContinue, match="1 records of somebody else came during the backfill"):
        check_alone(log, "events", held, sender.acknowledged)


def test_other_files_than_before_are_refused() -> None:
    log = log_of(1)
    run(log, stop_after=12)
    with pytest.raises(ConfigError, match="another record 3 than these files"):
        run(log, [*RECORDS[:3], RECORDS[4], *RECORDS[3:]])
    with pytest.raises(ConfigError, match="record 10 of a backfill, which these files end before"):
        run(log, RECORDS[:10])


def test_what_was_trimmed_of_one_partition_came_before_what_is_there() -> None:
    log = log_of(1)
    run(log, stop_after=12)
    log.delete_records("events", 0, 5)
    assert run(log) == 18
    log.delete_records("events", 0, 30)
    with pytest.raises(CannotContinue, match="was trimmed to its end"):
        run(log)


def test_what_was_trimmed_of_several_partitions_is_unknown() -> None:
    log = log_of(3)
    run(log, stop_after=12)
    log.delete_records("events", 1, 1)
    with pytest.raises(CannotContinue, match="has 3 partitions and was trimmed"):
        run(log)
