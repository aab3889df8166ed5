"""The feed's publisher: when a delta is cut, when it may leave, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_ml._native import Learner
from stream_ml.learning.points import Point, Reached
from stream_ml.runtime.clock import Clock
from stream_ml.streams.log import Writer
from stream_ml.weights.feed import Delta, Interval, cut_into_chunks, encode_chunk


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """
    What the feed may cost.

    Attributes:
        interval_seconds: shortest time between two deltas.
        heartbeat_seconds: longest time between two.
        bytes_per_second: the more a delta says, the longer it is until the next.
        message_bytes: of a record.
    """

    interval_seconds: float
    heartbeat_seconds: float
    bytes_per_second: float
    message_bytes: int


@dataclass(frozen=True, slots=True)
class Writership:
    """Whose deltas and snapshots these are; *topic_id*: of the events that they are learned from."""

    model: str
    variant: str
    fingerprint: str
    epoch: int
    topic_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """A delta that was cut and waits until its last step is confirmed; *newest_at* as of its last record."""

    delta: Delta
    newest_at: float


@dataclass(frozen=True, slots=True)
class Published:
    """What a call sent: for the metrics; *newest_at* is the time of the newest record in it, 0 if none."""

    rows: int
    bytes: int
    newest_at: float


class Publisher:
    """Cuts deltas and sends them once their steps are confirmed; one waits at a time, so they coalesce."""

    def __init__(
        self,
        writer: Writer,
        topic: str,
        bounds: Mapping[int, int],
        writership: Writership,
        from_step: int,
        limits: FeedLimits,
        clock: Clock,
        reached: Reached,
    ) -> None:
        """
        Begin with what changed since *from_step*.

        Args:
            bounds: where each partition of the feed ends now.
            from_step: the step of the snapshot that the learner began with: changes since then are uncut.
        """
        self._writer, self._topic, self._next = writer, topic, dict(bounds)
        self._writership, self._limits, self._clock, self._reached = writership, limits, clock, reached
        self._from_step = from_step
        self._held: _Held | None = None
        self._cut_at = clock.monotonic() - limits.heartbeat_seconds
        self._wait_seconds = limits.interval_seconds

    @property
    def next_offsets(self) -> dict[int, int]:
        """Per partition, an offset that no delta sent from now on is below."""
        return dict(self._next)

    @property
    def all_sent(self) -> bool:
        """Whether nothing that was cut waits."""
        return self._held is None

    def turn(self, learner: Learner, step: int, confirmed: int, newest_at: float) -> Published | None:
        """
        Cut if it is time to, and send what may leave; return what was sent.

        Args:
            step: last learned. confirmed: last one whose line was read back.
            newest_at: when the newest record learned was written, unix seconds.
        """
        since = self._clock.monotonic() - self._cut_at
        due = step > self._from_step and since >= self._wait_seconds
        if self._held is None and (due or since >= self._limits.heartbeat_seconds):
            self._cut(learner, step, newest_at)
        if self._held is None or self._held.delta.interval.to_step > confirmed:
            return None
        held, self._held = self._held, None
        return self._send(held)

    def cut_now(self, learner: Learner, step: int, newest_at: float) -> None:
        """Cut without waiting for the interval; for the end."""
        if self._held is None and step > self._from_step:
            self._cut(learner, step, newest_at)

    def _cut(self, learner: Learner, step: int, newest_at: float) -> None:
        self._cut_at = self._clock.monotonic()
        cut = learner.cut()
        interval = Interval(
            variant=self._writership.variant,
            fingerprint=self._writership.fingerprint,
            epoch=self._writership.epoch,
            from_step=self._from_step,
            to_step=step,
            learned_at=self._clock.now(),
        )
        self._held = _Held(Delta(interval, cut.score_state, cut.rows, cut.removed), newest_at)
        self._from_step = step
        self._reached(Point.DELTA_CUT)

    def _send(self, held: _Held) -> Published:
        chunks = cut_into_chunks(held.delta, len(self._next), self._limits.message_bytes)
        size = 0
        for partition, chunk in chunks:
            value = encode_chunk(chunk)
            self._writer.send(self._topic, value, partition=partition, on_delivered=self._delivered)
            size += len(value)
            self._reached(Point.DELTA_HALF_SENT)
        self._reached(Point.DELTA_SENT)
        self._wait_seconds = max(self._limits.interval_seconds, size / self._limits.bytes_per_second)
        rows = len(held.delta.rows) // 16
        empty = held.delta.interval.from_step == held.delta.interval.to_step
        return Published(rows, size, 0 if empty else held.newest_at)

    def _delivered(self, partition: int, offset: int) -> None:
        self._next[partition] = max(self._next[partition], offset + 1)
