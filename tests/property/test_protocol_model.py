"""
The protocol as a model without servers: random schedules, each rule broken once, schedules by name.

The journal's state and the feed's assembler are the real ones. A schedule that fails is told by its seed;
``python -m tests.property.protocol SEED [RULE]`` runs it again and prints what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loadtest.isolation import all_cores
from stream_ml.weights.lines import Decision
from tests.property.protocol.learner import Learner
from tests.property.protocol.rules import NAMES, Rules
from tests.property.protocol.schedule import Schedule, run
from tests.property.protocol.world import EVENTS, FEED_PARTITIONS, OTHER, VARIANT, Broken

SEEDS_A_TASK = 2_000
# Each broken rule is seen within so many schedules; where that needs a rare coincidence, from this seed on.
SCHEDULES = 2_500
SEARCH_FROM = {
    "a_name_says_who_wrote_it": 18_000,
    "a_new_writer_has_no_steps_that_the_journal_lost": 396_000,
    "the_feed_offset_is_before_the_next_delta": 4_500,
    "who_believed_a_zombie_resyncs": 3_000,
}


def first_broken(first: int, end: int) -> tuple[int, str] | None:
    for seed in range(first, end):
        if broken := run(seed, Rules()):
            return seed, broken
    return None


def test_no_random_schedule_breaks_a_promise(rounds: Callable[[int, int], int]) -> None:
    count = rounds(50_000, 10_000_000)
    starts = range(0, count, SEEDS_A_TASK)
    with all_cores() as pool:
        for found in pool.map(first_broken, starts, [at + SEEDS_A_TASK for at in starts]):
            assert found is None, f"seed {found[0]}: {found[1]}; python -m tests.property.protocol {found[0]}"


# Takes more than random schedules do: a standby frozen while three snapshots pass. It has a test of its own.
TRIMMED = "who_reads_behind_the_trimmed_starts_again"


@pytest.mark.parametrize("rule", sorted({*NAMES} - {TRIMMED}))
def test_breaking_the_rule_is_caught(rule: str) -> None:
    rules, first = Rules().broken(rule), SEARCH_FROM.get(rule, 0)
    assert any(run(seed, rules) for seed in range(first, first + SCHEDULES))


# The schedules that every version must survive. Events 5, 10, … are dead letters.

EVENTS_0 = [6, 5, 7, 7, 9, 17, 10, 25, 33, 8]
EVENTS_1 = [4, 15, 7, 7, 22, 1, 2, 20, 21, 16]


class Scene(Schedule):
    """A schedule played by hand: *a* is the writer, *b* a standby, and nothing is lost in between."""

    def __init__(self, rules: Rules | None = None) -> None:
        super().__init__(seed=1, rules=rules or Rules())
        self.world.produced = [list(EVENTS_0), list(EVENTS_1)]
        self.world.events = [list(EVENTS_0), list(EVENTS_1)]
        self.a, self.b = self.learners
        self.claims(self.a)
        self.b.nobody_writes = False

    def claims(self, learner: Learner) -> None:
        learner.claim()
        self.settle(learner)

    def settle(self, *learners: Learner) -> None:
        """All that was sent arrives, and the journal is read to its end."""
        for _ in range(3):
            self.world.deliver_all()
            for learner in learners or (self.a,):
                learner.read(1000)

    def learn(self, learner: Learner, *ranges: tuple[int, int, int]) -> None:
        """Learn one batch a range, whose outputs and delta all arrive."""
        for part in ranges:
            learner.learn_ranges(part)
            self.settle(learner)
            learner.cut()
            self.settle(learner)

    def take_snapshot(self, learner: Learner) -> str:
        """Take one to its end and return its name."""
        known = len(self.world.truth.announced)
        while len(self.world.truth.announced) == known:
            learner.snapshot()
            self.settle(learner)
        return self.world.truth.announced[-1].name

    def serve(self) -> int:
        """Let the predictor read all there is, also after a resync; return the step that it serves."""
        self.predictor.read_journal(1000)
        for partition in (*range(FEED_PARTITIONS), *range(FEED_PARTITIONS)):
            self.predictor.read_feed(partition, 1000)
        return self.predictor.assembler.position

    def decide(self, variant: str = OTHER, replaces: int | None = None) -> int:  # type: ignore[override]
        line = Decision(kind="serve", variant=variant, who="op", why="", replaces=replaces)
        return self.world.append(line)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Ends in calm: whatever was done, all is learned once, put out once, and served."""
    made = Scene()
    yield made
    made.calm()
    if not made.world.stopped:
        assert made.world.truth.offsets == [EVENTS, EVENTS]


def test_a_line_acknowledged_and_a_kill_before_learning(scene: Scene) -> None:
    scene.a.learn_ranges((0, 0, 4))
    scene.world.deliver(scene.a.socket, scene.a.socket.journal)
    scene.a.kill()
    assert scene.a.batches.step == 0
    scene.settle(scene.a)
    assert (scene.a.batches.step, scene.world.outputs) == (1, {})
    scene.claims(scene.a)
    scene.settle(scene.a)
    assert scene.world.outputs == {("dead letter", 0, 1): 5}


def test_a_frozen_writer_whose_line_is_in_the_socket_wakes_behind_a_claim(scene: Scene) -> None:
    scene.a.learn_ranges((0, 0, 4))
    scene.a.frozen = True
    socket = scene.a.socket
    scene.b.claim()
    scene.world.deliver(scene.b.socket, scene.b.socket.journal)
    scene.world.deliver(socket, socket.journal)
    scene.a.frozen = False
    scene.settle(scene.a, scene.b)
    assert scene.world.truth.step == 0
    assert (scene.world.outputs, scene.a.epoch) == ({}, None)
    scene.learn(scene.b, (1, 0, 2))
    assert scene.world.outputs == {("dead letter", 1, 1): 15}


def test_a_delta_sent_and_a_kill_before_the_dead_letter(scene: Scene) -> None:
    scene.a.learn_ranges((0, 0, 4))
    scene.a.cut()
    scene.world.deliver(scene.a.socket, scene.a.socket.journal)
    scene.a.read(1)
    for queue in scene.a.socket.feed:
        scene.world.deliver(scene.a.socket, queue)
    scene.a.socket.outputs.clear()
    scene.a.kill()
    assert (scene.serve(), scene.world.outputs) == (1, {})


def test_a_standby_takes_over_with_outputs_of_the_last_steps_unsent(scene: Scene) -> None:
    scene.learn(scene.a, (0, 0, 4))
    scene.a.learn_ranges((0, 4, 8))
    scene.world.deliver(scene.a.socket, scene.a.socket.journal)
    scene.a.frozen = True
    scene.settle(scene.b)
    assert ("dead letter", 0, 6) not in scene.world.outputs
    scene.claims(scene.b)
    scene.settle(scene.b)
    assert ("dead letter", 0, 6) in scene.world.outputs


def test_a_zombies_first_chunk_of_three_and_then_the_true_delta(scene: Scene) -> None:
    scene.learn(scene.a, (0, 0, 1))
    scene.serve()
    scene.a.learn_ranges((1, 0, 5))
    scene.settle(scene.a)
    scene.a.cut()
    assert [len(queue) for queue in scene.a.socket.feed] == [2, 1]
    scene.world.deliver(scene.a.socket, scene.a.socket.feed[0])
    for queue in scene.a.socket.feed:
        queue.clear()
    scene.a.kill()
    assert (scene.serve(), scene.predictor.assembler.held_bytes > 0) == (1, True)
    scene.claims(scene.b)
    scene.b.cut()
    scene.settle(scene.b)
    assert (scene.serve(), scene.predictor.assembler.held_bytes) == (2, 0)


def test_valid_deltas_of_the_old_epoch_that_arrive_after_the_new_claim(scene: Scene) -> None:
    scene.a.learn_ranges((0, 0, 4))
    scene.world.deliver(scene.a.socket, scene.a.socket.journal)
    scene.a.read(1)
    scene.a.cut()
    scene.b.claim()
    scene.world.deliver(scene.b.socket, scene.b.socket.journal)
    scene.predictor.read_journal(100)
    scene.world.deliver_all()
    assert scene.serve() == 1


def test_a_snapshot_stored_and_a_kill_before_it_is_announced_then_a_zombie_with_one_of_the_same_step(
    scene: Scene,
) -> None:
    scene.learn(scene.a, (0, 0, 4))
    while scene.a.fuzzy is None or scene.a.fuzzy.line is None:
        scene.a.snapshot()
    stored = scene.a.fuzzy.line
    scene.a.kill()
    scene.settle(scene.a, scene.b)
    assert stored.name in scene.world.store
    assert [known.step for known in scene.b.state.variants[VARIANT].snapshots] == [0]
    scene.claims(scene.b)
    announced = scene.take_snapshot(scene.b)
    scene.world.append(stored)
    scene.settle(scene.a, scene.b)
    assert [known.name for known in scene.b.state.variants[VARIANT].snapshots][1:] == [announced]


def test_the_newest_two_snapshots_are_corrupt_and_the_feed_is_trimmed(scene: Scene) -> None:
    names = []
    for at in range(4):
        scene.learn(scene.a, (0, 2 * at, 2 * at + 2))
        names.append(scene.take_snapshot(scene.a))
    assert sorted(scene.world.store) == sorted(names[1:])
    for name in names[2:]:
        stored = scene.world.store[name]
        scene.world.store[name] = stored._replace(image=stored.image._replace(bias=7))
    scene.world.corrupted, scene.world.feed_lost = 2, True
    scene.world.feed[0][:-1] = [None] * (len(scene.world.feed[0]) - 1)
    scene.a.kill()
    scene.predictor.start()
    scene.settle(scene.a)
    assert (scene.a.batches.step, scene.serve()) == (4, 2)


def test_one_corrupt_snapshot_is_skipped_for_the_one_before(scene: Scene) -> None:
    for at in (0, 1):
        scene.learn(scene.a, (0, 2 * at, 2 * at + 2))
        name = scene.take_snapshot(scene.a)
    stored = scene.world.store[name]
    scene.world.store[name] = stored._replace(image=stored.image._replace(bias=7))
    scene.predictor.start()
    scene.predictor.read_journal(1000)
    assert (scene.predictor.assembler.position, scene.serve()) == (1, 2)


def test_a_stale_restatement_after_a_flip(scene: Scene) -> None:
    first = scene.decide(VARIANT)
    scene.settle(scene.a)
    scene.a.snapshot()
    scene.decide(OTHER, replaces=first)
    scene.take_snapshot(scene.a)
    scene.predictor.read_journal(1000)
    assert {scene.predictor.state.serving, scene.a.state.serving} == {OTHER}
    scene.predictor.start()
    scene.predictor.read_journal(1000)
    assert scene.predictor.state.serving == OTHER


def test_of_two_decisions_at_once_the_first_line_counts_for_everyone(scene: Scene) -> None:
    first = scene.decide(VARIANT)
    scene.decide(OTHER, replaces=first)
    scene.decide(VARIANT, replaces=first)
    scene.settle(scene.a, scene.b)
    scene.serve()
    assert {process.state.serving for process in (scene.a, scene.b, scene.predictor)} == {OTHER}


def test_an_event_topic_that_was_truncated_stops_the_replay() -> None:
    scene = Scene()
    scene.learn(scene.a, (0, 0, 4))
    scene.world.events_first = [2, 0]
    scene.a.kill()
    with pytest.raises(Broken, match="events of partition 0 from 0 on were trimmed and are needed"):
        scene.settle(scene.a)


def test_an_event_topic_that_was_recreated_stops_the_replay(scene: Scene) -> None:
    scene.learn(scene.a, (0, 0, 4))
    scene.world.events[0][2] = 99
    scene.a.kill()
    scene.settle(scene.a)
    assert (scene.world.stopped, scene.a.batches.step) == (True, 0)


def test_an_event_topic_that_grows_by_a_partition_is_learned_from_its_beginning() -> None:
    scene = Scene()
    for process in (scene.a, scene.b, scene.predictor):
        del process.state.variants[VARIANT].events[1]
    scene.learn(scene.a, (0, 0, 4), (1, 0, 3))
    scene.settle(scene.b)
    assert scene.b.state.variants[VARIANT].events == {0: 4, 1: 3}
    scene.calm()


def test_a_predictor_loads_while_two_snapshots_pass_and_a_decision_flips(scene: Scene) -> None:
    scene.learn(scene.a, (0, 0, 2))
    scene.take_snapshot(scene.a)
    scene.predictor.start()
    seen = scene.predictor.state.next_offset
    scene.learn(scene.a, (0, 2, 4))
    scene.take_snapshot(scene.a)
    scene.decide(OTHER)
    scene.learn(scene.a, (0, 4, 6))
    scene.take_snapshot(scene.a)
    assert scene.predictor.state.next_offset == seen
    assert (scene.serve(), scene.predictor.state.serving) == (3, OTHER)


def test_a_feed_record_that_was_removed_is_a_gap_and_the_next_snapshot_closes_it(scene: Scene) -> None:
    scene.serve()
    scene.learn(scene.a, (0, 0, 2))
    scene.world.feed[1] = [None] * len(scene.world.feed[1])
    scene.world.feed_lost = True
    scene.learn(scene.a, (0, 2, 4))
    assert scene.serve() == 0
    scene.take_snapshot(scene.a)
    scene.learn(scene.a, (0, 4, 6))
    assert scene.serve() == 3


@pytest.mark.parametrize("rules", [Rules(), Rules().broken(TRIMMED)], ids=["kept", "broken"])
def test_a_standby_whose_place_was_trimmed_starts_again(rules: Rules) -> None:
    scene = Scene(rules)
    scene.b.frozen = True
    for at in range(4):
        scene.learn(scene.a, (0, 2 * at, 2 * at + 2))
        scene.take_snapshot(scene.a)
    assert scene.b.state.next_offset < scene.world.journal_first
    scene.b.frozen = False
    scene.settle(scene.b)
    scene.claims(scene.b)
    if rules == Rules():
        scene.learn(scene.b, (0, 8, 10))
        assert scene.world.truth.offsets == [10, 0]
    else:
        with pytest.raises(Broken, match="were trimmed and are needed"):
            scene.learn(scene.b, (0, 0, 2))


def test_a_late_image_of_an_old_writer_takes_no_rows_back(scene: Scene) -> None:
    scene.serve()
    scene.a.learn_ranges((0, 0, 2))
    scene.settle(scene.a)
    scene.a.cut(image=True)
    scene.claims(scene.b)
    late = [list(queue) for queue in scene.a.socket.feed]
    for queue in scene.a.socket.feed:
        queue.clear()
    scene.learn(scene.b, (0, 2, 4), (0, 4, 6))
    assert scene.serve() == 3
    for queue, sent in zip(scene.a.socket.feed, late, strict=True):
        queue.extend(sent)
    scene.world.deliver_all()
    assert scene.serve() == 3


def test_a_duplicate_that_straddles_a_kill_is_known(scene: Scene) -> None:
    scene.learn(scene.a, (0, 0, 3))
    scene.take_snapshot(scene.a)
    scene.a.kill()
    scene.claims(scene.a)
    scene.learn(scene.a, (0, 3, 4))
    assert scene.world.truth.images[-1].counts == (2, 1, 1)
    assert scene.a.batches.image() == scene.world.truth.images[-1]


def test_a_new_writers_first_delta_begins_at_the_snapshot_and_closes_what_the_old_one_left_unsent(
    scene: Scene,
) -> None:
    scene.serve()
    for part in ((0, 0, 2), (0, 2, 4), (1, 0, 3)):
        scene.a.learn_ranges(part)
        scene.settle(scene.a)
    scene.a.kill()
    scene.claims(scene.b)
    scene.b.cut()
    scene.settle(scene.b)
    assert scene.serve() == 3
