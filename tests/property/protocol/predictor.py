"""The predictor of the model."""

from __future__ import annotations

from stream_ml.weights.feed import Action, Chunk, Delta
from tests.property.protocol.broken import assembler
from tests.property.protocol.learner import at_newest_snapshot, opened
from tests.property.protocol.world import FEED_PARTITIONS, VARIANT, Broken, World


class Predictor:
    """
    One predictor process.

    Attributes:
        rows: None before the first good snapshot.
        stale: it knows that its rows are wrong, and has found no snapshot yet to replace them.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.start()

    def start(self) -> None:
        self.state = at_newest_snapshot(self.world)
        self.assembler = assembler(self.world.rules)
        self.rows: dict[int, int] | None = None
        self.bias = 0
        self.stale = self.truncated = False
        self.feed_next = [0] * FEED_PARTITIONS

    def act(self) -> None:
        if self.world.dice.random() < 0.4:
            self.read_journal(1 + self.world.pick(4))
        else:
            self.read_feed(self.world.pick(FEED_PARTITIONS), 1 + self.world.pick(3))

    def read_journal(self, lines: int) -> None:
        world = self.world
        if self.truncated or self.state.next_offset < world.journal_first:
            self.state, self.truncated = opened(world), False
        for _ in range(lines):
            if self.state.next_offset < len(world.journal):
                self.state.apply(self.state.next_offset, world.journal[self.state.next_offset])
        if self.rows is None or self.stale:
            self.load(at_least=-1)
        elif world.rules.who_believed_a_zombie_resyncs and self.assembler.believed_a_zombie(
            self.state.variants[VARIANT]
        ):
            self.stale = True
            self.load(at_least=-1)
        self.check()

    def read_feed(self, partition: int, records: int) -> None:
        if self.rows is None:
            return
        feed = self.world.feed[partition]
        for _ in range(records):
            at = self.feed_next[partition]
            if at >= len(feed):
                return
            self.feed_next[partition] = at + 1
            chunk = feed[at]
            if chunk is not None:
                outcome = self.assembler.offer(chunk, self.state.variants[VARIANT])
                if outcome.action is Action.APPLY and outcome.delta is not None:
                    self.apply(outcome.delta)
                elif outcome.action is Action.DROP:
                    self.check_dropped(chunk)
                elif outcome.action is Action.RESYNC and self.load(at_least=self.assembler.position + 1):
                    return

    def apply(self, delta: Delta) -> None:
        assert self.rows is not None
        if delta.interval.image and self.world.rules.an_image_replaces_all_rows:
            self.rows = {}
        for at in range(0, len(delta.rows), 3):
            key, high, low = delta.rows[at : at + 3]
            self.rows[key] = high << 8 | low
        for key in delta.removed:
            self.rows.pop(key, None)
        if delta.score_state:
            self.bias = int.from_bytes(delta.score_state)
        self.check()

    def load(self, at_least: int) -> bool:
        """Load the newest snapshot that verifies, if it goes at least so far."""
        known = self.state.variants.get(VARIANT)
        for announced in reversed(known.snapshots if known else ()):
            if announced.step < at_least:
                return False
            image = self.world.load(announced.name, announced.checksum)
            if image is not None:
                self.rows, self.bias, self.stale = dict(image.rows), image.bias, False
                self.assembler.restart(announced.step)
                self.feed_next = [announced.feed[partition] for partition in range(FEED_PARTITIONS)]
                return True
        return False

    def check_dropped(self, chunk: Chunk) -> None:
        end = self.world.truth.end_of(chunk.interval.epoch)
        if end is None or chunk.interval.to_step <= end:
            raise Broken(f"a valid delta was dropped: {chunk.interval}")

    def check(self) -> None:
        """What is served is what the journal says of its step."""
        if self.rows is None or self.stale:
            return
        truth, position = self.world.truth, self.assembler.position
        unaware = self.truncated or self.state.next_offset < len(self.world.journal)
        if self.world.tail_lost and (unaware or position > truth.step):
            return
        if position > truth.step:
            raise Broken(f"step {position} is served, the journal ends with {truth.step}")
        image = truth.images[position]
        if (tuple(sorted(self.rows.items())), self.bias) != (image.rows, image.bias):
            raise Broken(f"predictor: at step {position} {self.rows} {self.bias}, the journal says {image}")
