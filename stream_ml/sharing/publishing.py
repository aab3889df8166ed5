"""The feed of rows in Redis: what changed in each shard since the last time, as deltas of its own stream."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stream_ml._native import Plan, score_state
from stream_ml.learning.publishing import FeedLimits
from stream_ml.runtime import metrics
from stream_ml.runtime.clock import Clock
from stream_ml.sharing.mending import Mender
from stream_ml.sharing.rows import RESERVED_IDS, Reserved, packed
from stream_ml.sharing.snapshotting import NO_WATERMARK, lowest_watermark
from stream_ml.streams.log import Writer
from stream_ml.weights.artefact import Stream
from stream_ml.weights.feed import Delta, Interval, cut_into_chunks, encode_chunk
from stream_ml.weights.shards import Answer, Shards, ShardUnavailable

log = logging.getLogger(__name__)

# Of the time that Redis took to say what changed, until it is asked again: while learning is behind it waits
# for Redis, and more versions at once have fewer rows.
_REST = 3.0


@dataclass(slots=True)
class _Published:
    """
    Up to where a shard's changes were sent, when, and of which record of this process's they are.

    Attributes:
        forgotten: whether the shard does not know any more what came next.
    """

    stream: Stream
    sent_at: float = 0.0
    newest_at: float = 0.0
    wait_seconds: float = 0.0
    forgotten: bool = False


class SharedPublisher:
    """
    Publishes shards; belongs to one thread. Two publishers of one shard do no harm.

    Attributes:
        snapshot_wanted: a shard began a new incarnation, or changed more than its log remembers: only a
            snapshot gives readers its rows.
    """

    def __init__(
        self,
        model: str,
        variant: str,
        fingerprint: str,
        layout: int,
        plan: Plan,
        shards: Shards,
        mender: Mender,
        writer: Writer,
        topic: str,
        partitions: int,
        limits: FeedLimits,
        newest_at: Callable[[], float],
        clock: Clock,
    ) -> None:
        """*topic*, *partitions*: of the feed; *newest_at*: of the records that this process pushed."""
        self._model, self._variant, self._fingerprint, self._layout = model, variant, fingerprint, layout
        self._plan, self._shards, self._mender, self._writer = plan, shards, mender, writer
        self._topic, self._partitions, self._limits, self._clock = topic, partitions, limits, clock
        self._newest_at = newest_at
        self._published: dict[int, _Published] = {}
        self._reserved: Reserved | None = None
        self._told: dict[int, Answer] = {}
        self._looked_at = -math.inf
        self.snapshot_wanted = False

    def begin(self, streams: Mapping[int, Stream]) -> None:
        """Publish these shards, from these versions on: those of the newest snapshot."""
        for shard in self._published.keys() - streams.keys():
            del self._published[shard]
        for shard, stream in streams.items():
            self._published.setdefault(shard, _Published(stream))

    def snapshot_taken(self, streams: Mapping[int, Stream]) -> None:
        """
        Go on from a snapshot where a shard began anew, or forgot what changed before.

        Elsewhere what is not sent yet is sent: to skip it would make every reader load the snapshot.
        """
        self.snapshot_wanted = False
        for shard, stream in streams.items():
            known = self._published.get(shard)
            if known is None or stream <= known.stream:
                continue
            if known.forgotten or stream.incarnation != known.stream.incarnation:
                known.stream, known.forgotten = stream, False

    def others_began_anew(self, streams: Sequence[Stream]) -> bool:
        """Whether a shard that somebody else publishes has a later incarnation than *streams* say."""
        return any(told.incarnation > streams[shard].incarnation for shard, told in self._told.items())

    def turn(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """
        Send what changed in the shards that are due, until *stopping*.

        Raises:
            ShardUnavailable: some do not answer; those that do were published.
        """
        now, failure = self._clock.monotonic(), None
        for shard, known in self._published.items():
            if stopping():
                return
            if now - known.sent_at >= max(self._limits.interval_seconds, known.wait_seconds):
                try:
                    self._publish(shard, known, now)
                except ShardUnavailable as error:
                    failure = error
        if failure is not None:
            raise failure

    def _publish(self, shard: int, known: _Published, now: float) -> None:
        # Before Redis is asked: what was pushed by then is in its answer.
        newest_at, asked_at = self._newest_at(), self._clock.monotonic()
        answer = self._shards.changes(shard, known.stream.version)
        took = self._clock.monotonic() - asked_at
        if answer.kind not in {"changes", "behind"}:
            self._mender.mend(shard, answer)
            return
        if answer.kind == "behind" or answer.incarnation != known.stream.incarnation:
            self.snapshot_wanted = known.forgotten = True
            return
        self._told[shard] = answer
        heartbeat = now - known.sent_at >= self._limits.heartbeat_seconds
        if answer.version == known.stream.version and not heartbeat:
            return
        sent = self._send(shard, known.stream.version, answer)
        known.stream, known.sent_at = Stream(answer.incarnation, answer.version), now
        self._show_delay(known, newest_at)
        known.wait_seconds = max(sent / self._limits.bytes_per_second, _REST * took)

    def _show_delay(self, known: _Published, newest_at: float) -> None:
        if newest_at > known.newest_at:
            known.newest_at = newest_at
            delay = max(0.0, self._clock.now() - newest_at)
            metrics.LEARNER_PUBLISH_DELAY.labels(self._model).observe(delay)

    def _send(self, shard: int, since: int, answer: Answer) -> int:
        """Send a delta; return its bytes."""
        interval = Interval(
            variant=self._variant,
            fingerprint=self._fingerprint,
            epoch=0,
            from_step=since,
            to_step=answer.version,
            learned_at=self._clock.now(),
            layout=self._layout,
            shard=shard,
            incarnation=answer.incarnation,
        )
        state = self._score_state(answer) if shard == 0 else b""
        size = 0
        delta = Delta(interval, state, packed(answer.rows), b"")
        for _, chunk in cut_into_chunks(delta, 1, self._limits.message_bytes):
            value = encode_chunk(chunk)
            self._writer.send(self._topic, value, partition=shard % self._partitions)
            size += len(value)
        metrics.LEARNER_FEED_DELTAS.labels(self._model).inc()
        metrics.LEARNER_FEED_ROWS.labels(self._model).inc(len(answer.rows.ids))
        metrics.LEARNER_FEED_BYTES.labels(self._model).inc(size)
        return size

    def _score_state(self, answer: Answer) -> bytes:
        """Return what a score needs beside rows: of the reserved ones, and of all watermarks."""
        if self._reserved is None:
            wanted = [RESERVED_IDS, *[RESERVED_IDS[:0]] * (self._shards.count - 1)]
            pulled = self._shards.pull(wanted)[0]
            self._reserved = Reserved(pulled.rows.values if pulled.kind == "rows" else None)
        self._reserved.see(answer.rows)
        self._look_at_others()
        watermark = lowest_watermark(list(self._told.values()))
        if watermark != NO_WATERMARK:
            metrics.LEARNER_WATERMARK.labels(self._model).set(watermark / 1e6)
        return score_state(self._plan, self._reserved.values.tobytes(), watermark)

    def _look_at_others(self) -> None:
        """Hear of the watermarks of the partitions whose home is a shard that somebody else publishes."""
        now = self._clock.monotonic()
        if now - self._looked_at < self._limits.heartbeat_seconds:
            return
        self._looked_at = now
        for shard in range(self._shards.count):
            if shard not in self._published:
                self._told[shard] = self._shards.look(shard)
