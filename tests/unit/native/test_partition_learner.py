"""Learning one partition with rows that lie elsewhere: the same as with rows of one's own, in any split."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import orjson
import pytest

from stream_ml._native import Learner, PartitionLearner, Plan, Replica, blob_watermark, score_state
from stream_ml.hotels.bookings import bookings
from stream_ml.weights.inspection import weight
from tests.clicks import MODEL, events, expected_counts
from tests.unit.native.rows_elsewhere import (
    BIAS,
    COUNTING,
    EXAMPLES,
    SUMS,
    TIMED,
    Record,
    Row,
    Rows,
    learn,
    learner_of,
    plan_of,
    scanned,
    split,
)

HOTELS = Path(__file__).parents[4] / "shared" / "data" / "hotel_bookings" / "hotel_bookings.csv.zip"
HOTEL_MODEL = (Path(__file__).parents[3] / "stream_ml" / "hotels" / "hotels.toml").read_text()


def in_memory(plan: Plan, records: Sequence[Record]) -> tuple[Learner, dict[int, Row], bytes]:
    """Return a learner that has its rows in memory, its rows, and its score state."""
    learner = Learner(plan, scan_threads=0)
    learner.learn([(5, records, [0] * len(records))])
    cut = learner.cut()
    rows = np.frombuffer(cut.rows, [("id", "<u8"), ("row", "<f4", 2)])
    return learner, {int(id): (z, n) for id, (z, n) in rows.tolist()}, cut.score_state


def figures(learner: Learner | PartitionLearner) -> dict[str, float]:
    """Return what does not depend on where rows lie."""
    return {
        name: value for name, value in learner.metrics().items() if name not in ("rows", "table_bytes", "auc")
    }


def assert_same_weights(plan: Plan, found: dict[int, Row], expected: dict[int, Row]) -> None:
    assert found.keys() == expected.keys()
    options = orjson.loads(plan.source)["learner"]
    weights = [
        weight(options, *np.array([rows[id] for id in expected], np.float32).T.copy())
        for rows in (found, expected)
    ]
    difference = np.abs(weights[0] - weights[1]) / np.maximum(1, np.abs(weights[1]))
    assert difference.max() <= 1e-4
    assert len(np.unique(weights[1])) > 50


@pytest.fixture(scope="module")
def hotel_events() -> list[bytes]:
    """Real bookings in the order in which their outcome was known."""
    found = sorted(bookings(str(HOTELS)), key=lambda booking: booking.known_on)[:30_000]
    return [
        orjson.dumps(
            booking.event
            | {"id": booking.id, "known_at": booking.known_on.isoformat(), "cancelled": booking.cancelled}
        )
        for booking in found
    ]


@pytest.mark.parametrize(("shards", "scan_threads"), [(1, 0), (4, 2)])
def test_real_bookings_are_learned_as_in_memory(
    hotel_events: list[bytes], shards: int, scan_threads: int
) -> None:
    plan, now = plan_of(HOTEL_MODEL), 1_600_000_000_000
    learner, rows = learner_of(plan, shards=shards, scan_threads=scan_threads), Rows()
    for records in split(hotel_events, shards, 4_000):
        batch = learner.scan(records, [now] * len(records))
        _, deltas = learner.learn(batch, rows.pull(batch))
        rows.add(deltas)
    memory = Learner(plan)
    memory.learn([(5, hotel_events, [now] * len(hotel_events))])
    expected = np.frombuffer(memory.cut().rows, [("id", "<u8"), ("row", "<f4", 2)])
    assert_same_weights(plan, rows.features, {int(id): (z, n) for id, (z, n) in expected.tolist()})
    assert figures(learner) == pytest.approx(figures(memory), rel=1e-5, nan_ok=True)
    assert learner.metrics()["learned"] == 30_000
    assert learner.watermark_us == memory.watermark_us > 0


VARIANTS = {
    "plain": MODEL,
    "record": MODEL.replace("[learner]", '[learner]\nlearn_after = "record"'),
    "known base rate": MODEL.replace("alpha = 0.3", "alpha = 0.3\nbase_rate = 0.2"),
    "short base": MODEL.replace("alpha = 0.3", "alpha = 0.3\nbase_rate_events = 77"),
    "admission": MODEL.replace("alpha = 0.3", "alpha = 0.3\nadmission = 0.2"),
    "adagrad": MODEL.replace("[learner]", '[learner]\noptimizer = "adagrad"'),
    "squared": MODEL.replace("alpha = 0.3", 'alpha = 0.05\nloss = "squared"\noptimizer = "sgd"'),
    "counting": COUNTING,
}
EVERY_VARIANT = pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())


@EVERY_VARIANT
def test_one_batch_from_nothing_gives_the_very_bits_of_memory_mode(model: str) -> None:
    plan, records = plan_of(model), [*events(4_000), None, b" "]
    learner, rows = learner_of(plan), Rows()
    evaluations = learn(learner, rows, [records])
    memory, expected, state = in_memory(plan, records)
    assert {id: row for id, row in expected.items() if row != (0.0, 0.0)} == rows.features
    assert score_state(plan, rows.state, learner.watermark_us) == state
    assert figures(learner) == pytest.approx(figures(memory), rel=0, abs=0, nan_ok=True)
    again = Learner(plan).learn([(5, records, [0] * len(records))])
    assert evaluations == again.evaluations != []


@EVERY_VARIANT
def test_however_it_is_cut_into_batches(model: str) -> None:
    plan, records = plan_of(model), [*events(6_000), None]
    learner, rows = learner_of(plan, scan_threads=0), Rows()
    evaluations = learn(learner, rows, split(records, 7, 700))
    memory, expected, _ = in_memory(plan, records)
    if model != COUNTING:
        seen = {id: row for id, row in expected.items() if row != (0.0, 0.0)}
        assert_same_weights(plan, rows.features, seen)
    assert figures(learner) == pytest.approx(figures(memory), rel=1e-4, nan_ok=True)
    assert (learner.metrics()["learned"], learner.metrics()["duplicates"]) == expected_counts(6_000)[:2]
    assert len(evaluations) == memory.metrics()["evaluations"]


def occurrences(plan: Plan, records: Sequence[Record], window: int) -> tuple[Counter[int], int]:
    """Return how often each feature is learned, and how many events are, by the model's rules alone."""
    scan = plan.scan(records, [0] * len(records))
    ids, offsets = np.frombuffer(scan.ids, np.uint64), np.frombuffer(scan.offsets, np.uint32)
    last, counts, learned = deque[int](maxlen=window), Counter[int](), 0
    for at, event_id in enumerate(np.frombuffer(scan.event_id, np.uint64).tolist()):
        if event_id not in last:
            counts.update(ids[offsets[at] : offsets[at + 1]].tolist())
            learned += 1
        last.append(event_id)
    return counts, learned


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_is_counted_exactly_whatever_the_batches(seed: int) -> None:
    plan, records = plan_of(COUNTING), events(5_000, 1_000 * seed)
    rows = Rows()
    learn(learner_of(plan, shards=seed + 1), rows, split(records, seed, 900))
    counts, learned = occurrences(plan, records, 100)
    assert learned < 4_950
    assert rows.features == {id: (float(count), 0.0) for id, count in counts.items()}
    assert rows.rows[BIAS] == (learned, 0.0)


def test_a_successor_goes_on_as_if_nobody_had_left() -> None:
    records = events(3_000)
    batches = [records[at : at + 250] for at in range(0, 3_000, 250)]
    # Every 89th is a repeat of what came 30 before: number 1157 straddles.
    at = 1_145
    halves = [records[:at], records[at:]]
    straight, rows = learner_of(COUNTING), Rows()
    evaluations = learn(straight, rows, halves)
    first, second, shared = learner_of(COUNTING), learner_of(COUNTING), Rows()
    closed = learn(first, shared, [*batches[:4], records[1_000:at]])
    second.load_state(memoryview(first.state()))
    second.remember(records[at - 150 : at], [0] * 150)
    assert second.state() == first.state(), "nothing is learned or counted by remembering"
    closed += learn(second, shared, [records[at : at + 300], records[at + 300 :]])
    assert shared.rows == rows.rows
    assert second.state() == straight.state()
    assert [json.loads(one)["index"] for one in closed] == list(range(len(evaluations)))

    forgetful = learner_of(COUNTING)
    forgetful.load_state(first.state())
    learn(forgetful, Rows(), [records[at:]])
    assert forgetful.metrics()["duplicates"] < straight.metrics()["duplicates"]


def test_nothing_is_remembered_where_there_is_no_window() -> None:
    learner = learner_of(MODEL.replace("duplicate_window = 100", "duplicate_window = 0"))
    learner.remember(events(50), [0] * 50)
    learn(learner, Rows(), [events(50)])
    assert learner.metrics()["duplicates"] == 0


def test_a_batch_names_its_rows_by_shard_and_the_state_first() -> None:
    records = events(300)
    ids = {}
    for shards in (1, 2, 7):
        batch = scanned(learner_of(MODEL, shards=shards), records)
        found = [np.frombuffer(one, "<u8").tolist() for one in batch.ids]
        assert found[0][:3] == [BIAS, SUMS, EXAMPLES]
        features = [found[0][3:], *found[1:]]
        assert all(one == sorted(set(one)) for one in features)
        assert all(id % shards == shard for shard, one in enumerate(features) for id in one)
        ids[shards] = set().union(*features)
        assert (batch.records, batch.events) == (300, 300 - expected_counts(300)[2])
    assert ids[1] == ids[2] == ids[7] == set(occurrences(plan_of(MODEL), records, 1)[0])
    known = scanned(learner_of(VARIANTS["known base rate"]), [])
    assert np.frombuffer(known.ids[0], "<u8").tolist() == [BIAS]
    assert known.ids[1:] == [b"", b""]


def test_the_base_rate_is_frozen_after_so_many_examples_of_all_batches() -> None:
    learner, rows = learner_of(VARIANTS["short base"]), Rows()
    for records in split(events(400), 3, 40):
        learn(learner, rows, [records])
        assert rows.rows.get(EXAMPLES, (0.0, 0.0))[0] == min(learner.metrics()["learned"], 77)
    assert rows.rows[SUMS][1] == 77


def test_what_it_says_of_refused_events_is_what_a_learner_says() -> None:
    records = [*events(200), b"[1]"]
    learner = learner_of(MODEL)
    batch = scanned(learner, records)
    done, _ = learner.learn(batch, Rows().pull(batch))
    memory = Learner(plan_of(MODEL)).learn([(5, records, [0] * 201)])
    said = [
        [(one.partition, one.record, one.index, one.start, one.end, one.reason, one.detail) for one in each]
        for each in (done.refused, memory.refused)
    ]
    assert said[0] == said[1] != []
    assert (done.learned, done.duplicates, done.seconds > 0) == (memory.learned, memory.duplicates, True)


def test_the_next_batch_is_scanned_while_this_one_is_learned() -> None:
    batches = [events(2_000, at) for at in range(0, 20_000, 2_000)]
    calm, rows = learner_of(MODEL), Rows()
    learn(calm, rows, batches)
    busy, shared = learner_of(MODEL), Rows()
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(scanned, busy, batches[0])
        for following in [*batches[1:], []]:
            batch = coming.result()
            coming = other.submit(scanned, busy, following)
            shared.add(busy.learn(batch, shared.pull(batch))[1])
    assert shared.rows == rows.rows
    assert busy.state() == calm.state()


@EVERY_VARIANT
def test_a_replica_of_shared_rows_says_what_one_of_a_learner_says(model: str) -> None:
    plan, records = plan_of(model), events(2_000)
    learner, rows = learner_of(plan), Rows()
    learn(learner, rows, split(records, 2, 500))
    memory = Learner(plan)
    memory.learn([(5, records, [0] * len(records))])
    cut = memory.cut()
    shared, own = Replica(plan), Replica(plan)
    shared.apply(rows.wire, b"", score_state(plan, rows.state, learner.watermark_us), 1, 1.0)
    own.apply(cut.rows, cut.removed, cut.score_state, 1, 1.0)
    questions = [record for record in records[:300] if b"}" in record]
    said, expected = (
        [answer["log_odds"] for answer in replica.score(questions)] for replica in (shared, own)
    )
    assert said == pytest.approx(expected, abs=1e-4)
    assert model == COUNTING or len(set(expected)) > 20


def timed(seconds: int) -> bytes:
    return json.dumps({"id": f"t{seconds}", "label": 1, "user": "u", "at": seconds}).encode()


def test_a_state_tells_its_watermark_to_those_who_have_no_plan() -> None:
    learner, rows = learner_of(TIMED), Rows()
    nothing = blob_watermark(learner.state())
    assert nothing == learner.watermark_us == -(2**63)
    for seconds in (50, 70, 60):
        batch = learner.scan([timed(seconds)], [100_000])
        rows.add(learner.learn(batch, rows.pull(batch))[1])
    assert blob_watermark(memoryview(learner.state())) == learner.watermark_us == 70_000_000
    other = learner_of(TIMED)
    other.load_state(learner.state())
    assert other.watermark_us == 70_000_000
    replica = Replica(plan_of(TIMED))
    replica.apply(b"", b"", score_state(plan_of(TIMED), rows.state, 70_000_000), 1, 1.0)
    assert replica.watermark_us == 70_000_000
