import pytest

from stream_ml import _native
from stream_ml.features import compile_model
from stream_ml.learning.points import go_on
from stream_ml.learning.publishing import FeedLimits, Publisher, Writership
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.memory import MemoryLog
from stream_ml.weights.feed import Chunk, decode_chunk
from tests.clicks import MODEL, events
from tests.unit.learning.rig import new_learner

LIMITS = FeedLimits(
    interval_seconds=0.1, heartbeat_seconds=1.0, bytes_per_second=1_000_000, message_bytes=100_000
)


class Feed:
    """A publisher and what a reader sees of it."""

    def __init__(self, limits: FeedLimits = LIMITS, from_step: int = 0) -> None:
        self.log, self.clock = MemoryLog(), ManualClock()
        self.log.ensure_topic("feed", 2)
        self.learner = new_learner(compile_model(MODEL))
        writership = Writership("clicks", "v1", "f", 7)
        self.publisher = Publisher(
            self.log.writer(), "feed", {0: 0, 1: 0}, writership, from_step, limits, self.clock, go_on
        )

    def learn(self, count: int = 10) -> None:
        self.learner.learn([(0, list(events(count)), [0] * count)])

    def turn(self, step: int, confirmed: int) -> bool:
        return self.publisher.turn(self.learner, step, confirmed, newest_at=5.0) is not None

    def intervals(self) -> list[tuple[int, int]]:
        return [(c.interval.from_step, c.interval.to_step) for c in self.chunks(0)]

    def chunks(self, partition: int) -> list[Chunk]:
        fetches = self.log.reader("feed", {partition: 0}).poll(1000, 0)
        return [decode_chunk(value) for fetch in fetches for value in fetch.values]


def test_nothing_leaves_before_its_step_is_confirmed() -> None:
    feed = Feed()
    feed.learn()
    assert not feed.turn(step=1, confirmed=0)
    assert feed.intervals() == []
    assert feed.turn(step=1, confirmed=1)
    assert feed.intervals() == [(0, 1)]


def test_a_delta_says_its_own_step_though_learning_has_gone_on() -> None:
    feed = Feed()
    feed.learn()
    feed.turn(step=1, confirmed=0)
    feed.learn(20)
    assert feed.turn(step=2, confirmed=1)
    assert feed.intervals() == [(0, 1)]


def test_intervals_follow_on_each_other_and_steps_in_between_coalesce() -> None:
    feed = Feed()
    for step in range(1, 10):
        feed.learn(step)
        feed.turn(step, confirmed=step)
        feed.clock.advance(0.04)
    # Every 0.1 s, so every third step.
    assert feed.intervals() == [(0, 1), (1, 4), (4, 7)]


def test_the_first_delta_of_a_new_writer_begins_at_its_snapshot() -> None:
    feed = Feed(from_step=3)
    feed.learn()
    feed.turn(step=8, confirmed=8)
    assert feed.intervals() == [(3, 8)]


def test_silence_is_broken_by_an_empty_delta_to_every_partition() -> None:
    feed = Feed()
    feed.turn(step=0, confirmed=0)
    feed.clock.advance(0.99)
    assert not feed.turn(step=0, confirmed=0)
    feed.clock.advance(0.02)
    assert feed.turn(step=0, confirmed=0)
    assert feed.intervals() == [(0, 0), (0, 0)]
    assert len(feed.chunks(1)) == 2


def test_the_more_a_delta_says_the_longer_the_next_one_waits() -> None:
    feed = Feed(FeedLimits(0.1, 1000.0, bytes_per_second=1000, message_bytes=100_000))
    feed.learn(100)
    published = feed.publisher.turn(feed.learner, 1, 1, 0.0)
    assert published is not None
    feed.learn(100)
    feed.clock.advance(published.bytes / 1000 - 0.01)
    assert not feed.turn(step=2, confirmed=2)
    feed.clock.advance(0.02)
    assert feed.turn(step=2, confirmed=2)


def test_rows_of_a_delta_are_what_the_learner_holds() -> None:
    feed = Feed()
    feed.learn(100)
    feed.turn(step=1, confirmed=1)
    copy = _native.Learner(_native.Plan(compile_model(MODEL).plan_bytes))
    for partition in (0, 1):
        for chunk in feed.chunks(partition):
            copy.load_rows(chunk.rows)
    assert copy.digest()["rows_hash"] == feed.learner.digest()["rows_hash"]


def test_at_the_end_what_is_left_is_cut_without_waiting() -> None:
    feed = Feed()
    feed.learn()
    feed.turn(step=1, confirmed=1)
    feed.publisher.cut_now(feed.learner, 2, 0.0)
    assert not feed.publisher.all_sent
    feed.turn(step=2, confirmed=2)
    assert feed.publisher.all_sent
    assert feed.intervals() == [(0, 1), (1, 2)]


def test_offsets_for_a_snapshot_are_behind_everything_that_was_sent() -> None:
    feed = Feed()
    feed.learn()
    feed.turn(step=1, confirmed=1)
    assert feed.publisher.next_offsets == {p: feed.log.bounds("feed", p).next for p in (0, 1)}


@pytest.mark.parametrize("newest_at", [3.0, 4.0])
def test_it_tells_how_old_the_newest_record_is(newest_at: float) -> None:
    feed = Feed()
    feed.learn()
    published = feed.publisher.turn(feed.learner, 1, 1, newest_at)
    assert published is not None
    assert published.newest_at == newest_at
