"""Snapshots of rows in Redis: every shard is read whole while learners push; a line announces the file."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stream_ml._native import Learner, Plan, blob_watermark, score_state
from stream_ml.features import CompiledModel
from stream_ml.learning.topics import Topics
from stream_ml.runtime.clock import Clock
from stream_ml.sharing import blob, images
from stream_ml.sharing.mending import Mender, Places
from stream_ml.sharing.reading import read_shard
from stream_ml.sharing.rows import Reserved, packed
from stream_ml.sharing.showing import show_snapshot
from stream_ml.streams.log import Log
from stream_ml.weights.artefact import Manifest, Parts, Stream
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Layout, Snapshot
from stream_ml.weights.shards import Answer, Rows, Shards, next_offsets
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore

log = logging.getLogger(__name__)

_ACKNOWLEDGED_SECONDS = 30.0
# Rows of one piece of the file, or of one call of a restore.
_PIECE_ROWS = 50_000
NO_WATERMARK = -(2**63)


class SharedSnapshots:
    """
    Takes snapshots, one at a time, in the thread that asks.

    All rows are held in this process's memory meanwhile, some 24 bytes each: so their count and hash are
    those that whoever loads them finds.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        store: SnapshotStore,
        model: CompiledModel,
        variant: str,
        layout: Layout,
        shards: Shards,
        mender: Mender,
        places: Places,
        journal: JournalWriter,
        clock: Clock,
    ) -> None:
        self._log, self._topics, self._store, self._clock = log, topics, store, clock
        self._model, self._plan = model, Plan(model.plan_bytes)
        self._variant, self._layout, self._shards = variant, layout, shards
        self._mender, self._places, self._journal = mender, places, journal

    def take(self, stopping: Callable[[], bool] = lambda: False) -> tuple[Stream, ...]:
        """
        Take a snapshot, announce it, and return of which version the rows of each shard are.

        Raises:
            CannotRead: also where *stopping*, while rows are read.
            ShardUnavailable, StoreUnavailable: there is none; the next may succeed.
        """
        began_at, feed = self._clock.monotonic(), self._topics.feed
        # Before anything is read: what was sent before is in the rows.
        feed_from = {p: self._log.bounds(feed.name, p).next for p in range(feed.partitions)}
        with JournalReader.open(self._log, self._topics.journal.name) as reader:
            reader.read_to_end()
            as_of, in_force = reader.state.place, reader.state.in_force()
        place = self._places.chore("snapshot", None)
        table, reserved = Learner(self._plan), Reserved()

        def put(rows: Rows) -> None:
            reserved.see(rows)
            table.load_rows(packed(rows))

        every = range(self._shards.count)
        answers = [read_shard(self._shards, self._mender, shard, put, stopping) for shard in every]
        manifest = self._manifest(place, answers, feed_from, table)
        name = self._store_it(manifest, answers, reserved, table)
        line = Snapshot(
            variant=self._variant,
            epoch=place,
            step=place,
            name=str(name),
            checksum=name.checksum,
            events=manifest.events,
            feed=feed_from,
            as_of=as_of,
            in_force=in_force,
        )
        self._journal.append(line)
        self._journal.flush(_ACKNOWLEDGED_SECONDS)
        show_snapshot(manifest, self._clock.monotonic() - began_at)
        log.info("snapshot taken", extra={"snapshot": str(name), "rows": manifest.total_rows})
        return tuple(Stream(each.incarnation, each.version) for each in answers)

    def _manifest(
        self, place: int, answers: list[Answer], feed_from: dict[int, int], table: Learner
    ) -> Manifest:
        now, held = self._clock.now(), table.digest()
        partitions = sorted({partition for each in answers for partition in each.fences})
        return Manifest(
            model=self._model.model_file.name,
            variant=self._variant,
            fingerprint=self._model.fingerprint,
            seed=None,
            epoch=place,
            step=place,
            # What is behind on any shard is to be learned again.
            events={p: min(next_offsets((each.fences for each in answers), p)) for p in partitions},
            feed=feed_from,
            total_rows=held["rows"],
            rows_hash=held["rows_hash"],
            learned_at=now,
            created_at=now,
            layout=self._layout,
            streams=tuple(Stream(each.incarnation, each.version) for each in answers),
            topic_id=self._topics.events.id,
        )

    def _store_it(
        self, manifest: Manifest, answers: list[Answer], reserved: Reserved, table: Learner
    ) -> SnapshotName:
        score = score_state(self._plan, reserved.values.tobytes(), lowest_watermark(answers))
        state = images.encode(answers)
        parts = Parts(b"", state, score, self._model.model_file.text.encode(), self._model.plan_bytes)
        with self._store.writer(manifest.model, manifest.variant) as writer:
            table.begin_image()
            while piece := table.take_image(_PIECE_ROWS):
                writer.add_rows(piece)
            seal = table.seal_image()
            return writer.finish(manifest, b"", parts._replace(removed=seal.removed))


def lowest_watermark(answers: list[Answer]) -> int:
    """Return the lowest watermark of the partitions that have any, microseconds; the minimum if none has."""
    known = [blob_watermark(blob.decode(each).state) for told in answers for each in told.blobs.values()]
    return min((mark for mark in known if mark != NO_WATERMARK), default=NO_WATERMARK)
