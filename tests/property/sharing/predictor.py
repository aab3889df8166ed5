"""The predictor of the model: a replica of every shard, each a stream of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tests.property.sharing.functions import Place, Rows
from tests.property.sharing.world import Delta, Snapshot, World


@dataclass(slots=True)
class Stream:
    """What is served of one shard; *stale* until an image or a snapshot closes a gap."""

    incarnation: int
    version: int
    rows: Rows
    stale: bool = False


class Predictor:
    """Begins with the newest snapshot, follows the feed from there, and loads the next one after a gap."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start()

    def start(self) -> None:
        self.load(self.world.snapshots[-1])

    def load(self, snapshot: Snapshot) -> None:
        self.snapshot, self.layout = snapshot, snapshot.layout
        self.streams = {
            (snapshot.layout, shard): Stream(image.incarnation, image.version, dict(image.rows))
            for shard, image in enumerate(snapshot.images)
        }
        self.feed_next = snapshot.feed_from

    def act(self) -> None:
        self.read(1 + self.world.pick(4))

    def read(self, records: int) -> None:
        newest = self.world.snapshots[-1]
        stale = any(stream.stale for stream in self.streams.values())
        if newest is not self.snapshot and (stale or newest.layout > self.layout):
            self.load(newest)
        end = min(len(self.world.feed), self.feed_next + records)
        while self.feed_next < end:
            delta = self.world.feed[self.feed_next]
            self.feed_next += 1
            if delta is not None:
                self.take(delta)

    def take(self, delta: Delta) -> None:
        """In the order of the protocol page."""
        rules, place = self.world.rules, delta.place
        if place[0] != self.layout:
            if rules.an_older_layout_is_dropped or place[0] > self.layout:
                return
            place = (self.layout, place[1])
        stream = self.streams[place]
        if delta.incarnation < stream.incarnation and rules.a_lower_incarnation_is_dropped:
            return
        newer = delta.incarnation > stream.incarnation
        if newer and not delta.image and rules.a_higher_incarnation_needs_an_image:
            stream.stale = True
        elif delta.image and (newer or delta.to_version > stream.version):
            rows = delta.rows if rules.an_image_replaces_all_rows else {**stream.rows, **delta.rows}
            self.streams[place] = Stream(delta.incarnation, delta.to_version, dict(rows))
        elif delta.to_version <= stream.version and rules.what_is_known_is_skipped:
            return
        elif delta.from_version > stream.version and rules.a_gap_resyncs:
            stream.stale = True
        elif not stream.stale:
            stream.rows.update(delta.rows)
            stream.incarnation, stream.version = delta.incarnation, delta.to_version

    def served(self, place: Place) -> Rows:
        return self.streams[place].rows
