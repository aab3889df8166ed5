from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml.errors import ConfigError, RecoverableError
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.log import Undeliverable
from stream_ml.streams.memory import MemoryLog
from stream_ml.streams.paced import RECORD_OVERHEAD_BYTES, PacedSender


class ForgetfulLog(MemoryLog):
    """Says that it keeps no more than ten records of 900 bytes."""

    @property
    def retained_bytes(self) -> int:
        return 10 * 1000


RECORD = bytes(1000 - RECORD_OVERHEAD_BYTES)
# It stays a quarter below what is kept.
AHEAD_RECORDS = 7


def forgetful() -> ForgetfulLog:
    log = ForgetfulLog()
    log.ensure_topic("events", 2)
    return log


def following(log: MemoryLog) -> PacedSender:
    """A sender for which waiting costs no time."""
    clock = ManualClock()
    return PacedSender(log, "events", follow_group="learner", now=clock.monotonic, sleep=clock.advance)


def send_keyed(sender: PacedSender, records: int) -> None:
    for _ in range(records):
        sender.send(RECORD, key=b"")  # all in one partition


def test_a_forgetful_log_wants_a_follower() -> None:
    with pytest.raises(ConfigError, match="follow"):
        PacedSender(forgetful(), "events")


def test_the_sender_stops_just_short_of_what_the_log_keeps() -> None:
    log = forgetful()
    sender = following(log)
    with pytest.raises(RecoverableError, match="learner stands at"):
        send_keyed(sender, 100)
    assert sender.records == AHEAD_RECORDS


def test_it_goes_on_as_the_follower_does() -> None:
    log = forgetful()
    sender = following(log)
    send_keyed(sender, AHEAD_RECORDS)
    (partition,) = sender.acknowledged
    log.commit("learner", "events", {partition: 3})
    with pytest.raises(RecoverableError):
        send_keyed(sender, 100)
    assert sender.records == AHEAD_RECORDS + 3


def test_waiting_ends_when_the_follower_moves() -> None:
    log = forgetful()
    clock = ManualClock()

    def follow(seconds: float) -> None:
        """The follower reads a record while the sender sleeps."""
        clock.advance(7.5)
        (partition,) = sender.acknowledged
        log.commit("learner", "events", {partition: 1})

    with PacedSender(log, "events", follow_group="learner", now=clock.monotonic, sleep=follow) as sender:
        send_keyed(sender, AHEAD_RECORDS)
        send_keyed(sender, 1)
    assert sender.waited_seconds == pytest.approx(7.5)
    assert sender.acknowledged.total() == AHEAD_RECORDS + 1


def test_partitions_are_counted_by_themselves() -> None:
    log = forgetful()
    sender = following(log)

    def send_many_keys() -> None:
        for number in range(50):
            key = b"%d" % number
            sender.send(RECORD[len(key) :], key=key)

    with pytest.raises(RecoverableError):
        send_many_keys()
    assert max(sender.acknowledged.values()) == AHEAD_RECORDS
    assert sender.records > AHEAD_RECORDS


def test_a_record_larger_than_all_the_room_still_goes() -> None:
    sender = following(forgetful())
    sender.send(bytes(50_000))
    assert sender.records == 1


def test_a_log_that_keeps_everything_needs_no_follower() -> None:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    with PacedSender(log, "events") as sender:
        for number in range(100):
            sender.send(b"%d\n%d" % (number, number), events=2)
    assert (sender.records, sender.events, sender.acknowledged) == (100, 200, {0: 100})
    assert sender.bytes == 2 * (10 + 2 * 90) + 100


def test_the_rate_counts_events_not_records() -> None:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    clock = ManualClock()
    sender = PacedSender(log, "events", events_per_second=1000, now=clock.monotonic, sleep=clock.advance)
    sent_at = []
    with sender:
        for _ in range(4):
            sender.send(b"50 events", events=50)
            sent_at.append(clock.monotonic())
    assert [at - sent_at[0] for at in sent_at] == pytest.approx([0, 0.05, 0.1, 0.15])


def test_a_refused_record_ends_the_sender() -> None:
    log = MemoryLog(max_record_bytes=10)
    log.ensure_topic("events", 1)
    with pytest.raises(Undeliverable, match="too large"), PacedSender(log, "events") as sender:
        sender.send(bytes(11))


@given(
    sends=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3_000)), max_size=80),
    follows=st.lists(st.integers(1, 5), min_size=1, max_size=80),
)
def test_no_partition_ever_holds_more_unread_bytes_than_the_log_keeps(
    sends: list[tuple[int, int]], follows: list[int]
) -> None:
    log = PartitionedLog()
    log.ensure_topic("events", 2)
    steps = iter(follows * 200)

    def follow(seconds: float) -> None:
        """Read a few records of each partition, as far as there are any."""
        count = next(steps)
        read = log.committed("learner", "events")
        log.commit(
            "learner",
            "events",
            {at: min(log.bounds("events", at).next, read.get(at, 0) + count) for at in (0, 1)},
        )

    sender = PacedSender(log, "events", follow_group="learner", now=lambda: 0.0, sleep=follow)
    sizes: dict[int, list[int]] = {0: [], 1: []}
    for partition, size in sends:
        log.target = partition
        sender.send(bytes(size))
        sizes[partition].append(size)
        read = log.committed("learner", "events")
        unread = {at: sum(sizes[at][read.get(at, 0) :]) for at in (0, 1)}
        assert max(unread.values()) <= log.retained_bytes
    assert sender.acknowledged.total() == len(sends)


class PartitionedLog(ForgetfulLog):
    """The test says which partition a record without a key goes to."""

    target = 0

    def _append(
        self,
        topic: str,
        partition: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Mapping[str, bytes],
    ) -> tuple[int, int]:
        return super()._append(topic, self.target, key, value, headers)
