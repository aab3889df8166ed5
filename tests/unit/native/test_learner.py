"""The learner: what it learns, counts and judges, and that nothing but the events alters a bit of it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from stream_ml._native import Cut, Learner, Plan, Seal
from stream_ml.features import compile_model
from tests.clicks import MODEL, event, events, expected_counts

RECORD_WISE = MODEL.replace("[learner]", '[learner]\nlearn_after = "record"')
Ranges = list[tuple[int, Sequence[bytes | None], Sequence[int]]]


def plan_of(model: str = MODEL) -> Plan:
    return Plan(compile_model(model).plan_bytes)


def learner_of(model: str = MODEL, *, scan_threads: int = 0) -> Learner:
    return Learner(plan_of(model), scan_threads=scan_threads)


def ranges_of(records: Sequence[bytes | None], partition: int = 0) -> Ranges:
    return [(partition, records, [0] * len(records))]


def labelled(id: str, label: int = 1, **fields: object) -> bytes:
    return json.dumps({"id": id, "label": label, "user": "u", **fields}).encode()


def records_of(count: int) -> list[bytes | None]:
    """Records of one to seven events, and tombstones."""
    chooser, records = random.Random(3), list[bytes | None]()
    lines = events(count)
    while lines:
        size = chooser.randrange(1, 8)
        records.append(b"\n".join(lines[:size]))
        del lines[:size]
        if chooser.randrange(20) == 0:
            records.append(None)
    return records


def split(records: list[bytes | None], seed: int) -> list[list[bytes | None]]:
    chooser, parts = random.Random(seed), []
    while records:
        size = chooser.randrange(1, 400)
        parts.append(records[:size])
        records = records[size:]
    return parts


def image_of(learner: Learner, max_rows: int, between: Sequence[bytes] = ()) -> tuple[list[bytes], Seal]:
    """Take an image; before each further piece some of *between* are learned and cut."""
    learner.begin_image()
    pieces, at = [], 0
    while piece := learner.take_image(max_rows):
        pieces.append(piece)
        learner.learn(ranges_of(between[at : at + 20]))
        at += 20
        learner.cut()
    return pieces, learner.seal_image()


def restored(pieces: Sequence[bytes], seal: Seal, model: str = MODEL) -> Learner:
    learner = learner_of(model)
    for piece in [*pieces, seal.rows]:
        learner.load_rows(memoryview(piece))
    learner.load_removed(seal.removed)
    learner.load_state(seal.state)
    return learner


@pytest.mark.parametrize("model", [MODEL, RECORD_WISE], ids=["event", "record"])
@pytest.mark.parametrize("scan_threads", [0, 1, 3])
def test_bits_depend_neither_on_scan_threads_nor_on_how_events_are_cut_into_calls(
    model: str, scan_threads: int
) -> None:
    records = records_of(6_000)
    whole = learner_of(model)
    evaluations = whole.learn(ranges_of(records)).evaluations
    assert len(evaluations) > 100
    cut_up, found = learner_of(model, scan_threads=scan_threads), []
    for part in split(records, scan_threads):
        found += cut_up.learn(ranges_of(part)).evaluations
    assert cut_up.digest() == whole.digest()
    assert cut_up.cut().score_state == whole.cut().score_state
    assert found == evaluations
    assert cut_up.metrics() == pytest.approx(whole.metrics(), rel=0, abs=0, nan_ok=True)


def test_every_record_is_learned_a_duplicate_a_refusal_or_empty() -> None:
    learner, records = learner_of(scan_threads=1), events(5_000)
    done = learner.learn([(0, [*records, None, b" \n"], [0] * 5_002)])
    assert (done.learned, done.duplicates, len(done.refused)) == expected_counts(5_000)
    assert (done.empty, done.skipped) == (2, 0)
    metrics = learner.metrics()
    assert [metrics[name] for name in ("learned", "duplicates", "refused", "empty", "records")] == [
        *expected_counts(5_000),
        2,
        5_002,
    ]


def test_a_refusal_names_its_partition_its_record_and_its_bytes() -> None:
    good, bad = event(1), b'{"label": }'
    refused = learner_of().learn([(7, [good, b"\n".join([good, bad, good])], [0, 0])]).refused
    assert [(one.partition, one.record, one.index, one.reason) for one in refused] == [
        (7, 1, 1, "invalid_json")
    ]
    assert b"\n".join([good, bad, good])[refused[0].start : refused[0].end] == bad


@pytest.mark.parametrize("calls", [1, 6])
def test_a_duplicate_is_one_of_the_last_accepted_events_and_is_accepted_itself(calls: int) -> None:
    learner = learner_of(MODEL.replace("duplicate_window = 100", "duplicate_window = 3"))
    records = [labelled(name) for name in "ABACDA"]
    size = len(records) // calls
    duplicates = [
        learner.learn(ranges_of(records[at : at + size])).duplicates for at in range(0, len(records), size)
    ]
    # The second A keeps A in the window of the last.
    assert duplicates == ([2] if calls == 1 else [0, 0, 1, 0, 0, 1])


def test_a_refused_event_does_not_enter_the_window() -> None:
    learner = learner_of(MODEL.replace("duplicate_window = 100", "duplicate_window = 2"))
    refused = [json.dumps({"id": f"r{at}"}).encode() for at in range(5)]
    done = learner.learn(ranges_of([labelled("A"), *refused, labelled("B"), labelled("A"), labelled("C")]))
    assert (done.duplicates, len(done.refused)) == (1, 5)


def test_each_partition_has_its_own_window() -> None:
    learner = learner_of()
    done = learner.learn(ranges_of([labelled("A")], 0) + ranges_of([labelled("A"), labelled("A")], 1))
    assert (done.learned, done.duplicates) == (2, 1)


def test_without_a_window_everything_is_learned() -> None:
    learner = learner_of(MODEL.replace("duplicate_window = 100", "duplicate_window = 0"))
    assert learner.learn(ranges_of([labelled("A")] * 3)).learned == 3


def evaluated(model: str, records: list[bytes]) -> dict[str, Any]:
    model = model.replace("evaluate_every = 50", "evaluate_every = 4")
    (evaluation,) = learner_of(model).learn(ranges_of(records)).evaluations
    found: dict[str, Any] = json.loads(evaluation)
    return found


def test_lines_of_a_record_are_all_scored_before_any_of_them_is_learned() -> None:
    lines = [labelled(str(at), at % 2) for at in range(4)]
    together, apart = [b"\n".join(lines)], lines
    # Nothing was known when the record was scored: every line was given even odds.
    assert evaluated(RECORD_WISE, together)["prediction_sum"] == 4 * 0.5
    assert evaluated(MODEL, together)["prediction_sum"] != 4 * 0.5
    assert evaluated(RECORD_WISE, apart) == evaluated(MODEL, together)


def test_an_evaluation_closes_after_so_many_learned_events_and_says_what_they_were() -> None:
    learner = learner_of()
    evaluations = [json.loads(one) for one in learner.learn(ranges_of(events(1_000))).evaluations]
    assert [one["index"] for one in evaluations] == list(range(len(evaluations)))
    assert [(one["learned_from"], one["learned_to"]) for one in evaluations[:2]] == [(0, 50), (50, 100)]
    first = evaluations[0]
    assert first["examples"] == sum(first["positives"]) + sum(first["negatives"]) == 50
    assert first["label_sum"] == sum(first["positives"])
    assert first["calibration"] == pytest.approx(first["prediction_sum"] / first["label_sum"])
    assert first["log_loss"] == pytest.approx(first["loss_sum"] / 50)
    assert 0 < first["auc"] < 1
    assert first["served"] is None
    total = sum(one["loss_sum"] for one in evaluations)
    assert total < learner.metrics()["loss_sum"] < total + evaluations[-1]["loss_sum"] * 3


def test_a_served_probability_is_judged_beside_the_learners_own() -> None:
    model = MODEL.replace("[features]", 'served = "said"\n\n[features]', 1)
    lines = [
        labelled("a", 1, said=0.9),
        labelled("b", 0, said=0.2),
        labelled("c", 1),
        labelled("d", 0, said=0.0),
    ]
    served = evaluated(model, lines)["served"]
    assert (served["examples"], served["label_sum"], served["auc"]) == (3, 1, 1)
    assert served["prediction_sum"] == pytest.approx(1.1, rel=1e-6)


def test_a_cold_model_says_the_base_rate_after_a_few_events() -> None:
    learner = learner_of(MODEL.replace("alpha = 0.3", "alpha = 0.0001\nbase_rate_events = 400"))
    learner.learn(ranges_of([labelled(f"n{at}", int(at % 100 == 0)) for at in range(400)]))
    before = learner.metrics()["prediction_sum"]
    learner.learn(ranges_of([labelled("x")]))
    assert learner.metrics()["prediction_sum"] - before == pytest.approx((4 + 0.5) / (400 + 1), rel=0.01)


def test_a_known_base_rate_is_said_at_once() -> None:
    learner = learner_of(MODEL.replace("alpha = 0.3", "alpha = 0.3\nbase_rate = 0.02"))
    learner.learn(ranges_of([labelled("x")]))
    assert learner.metrics()["prediction_sum"] == pytest.approx(0.02, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "poisson"])
@pytest.mark.parametrize("optimizer", ["ftrl", "adagrad", "sgd"])
def test_every_loss_and_optimizer_learns(loss: str, optimizer: str) -> None:
    alpha = 0.02 if optimizer == "sgd" else 0.2
    learning = f'alpha = {alpha}\nloss = "{loss}"\noptimizer = "{optimizer}"'
    learner = learner_of(MODEL.replace("alpha = 0.3", learning))
    sums = []
    for start in range(0, 4_000, 1_000):
        records = [
            labelled(f"e{at}", 1 + 2 * (at % 3), page=f"p{at % 3}") for at in range(start, start + 1_000)
        ]
        learner.learn(ranges_of(records))
        sums.append(learner.metrics()["loss_sum"])
    losses = [after - before for before, after in zip([0.0, *sums], sums, strict=False)]
    best = 0.0 if loss == "squared" else sum(y - y * math.log(y) for y in (1, 3, 5)) / 3
    assert losses[-1] / 1_000 == pytest.approx(best, abs=0.05)


def test_a_cut_says_every_row_that_changed_since_the_last_one() -> None:
    learner, other = learner_of(), learner_of()
    for start in range(0, 3_000, 500):
        learner.learn(ranges_of(events(500, start)))
        cut = learner.cut()
        assert cut.rows
        assert not cut.removed
        other.load_rows(cut.rows)
        assert other.digest()["rows_hash"] == learner.digest()["rows_hash"]
    assert isinstance(cut, Cut)
    assert learner.cut().rows == b""


@pytest.mark.parametrize("max_rows", [1, 100, 1_000_000])
def test_an_image_taken_while_learning_goes_on_is_the_live_table(max_rows: int) -> None:
    learner = learner_of()
    learner.learn(ranges_of(events(3_000)))
    pieces, seal = image_of(learner, max_rows, events(2_000, 3_000))
    copy = restored(pieces, seal)
    assert copy.digest() == learner.digest()
    assert (seal.total_rows, seal.rows_hash) == (learner.digest()["rows"], learner.digest()["rows_hash"])


def test_an_image_begun_again_forgets_the_first() -> None:
    learner = learner_of()
    learner.learn(ranges_of(events(2_000)))
    learner.begin_image()
    learner.take_image(100)
    assert restored(*image_of(learner, 300)).digest() == learner.digest()


@pytest.mark.parametrize("model", [MODEL, RECORD_WISE], ids=["event", "record"])
def test_a_restored_learner_goes_on_as_if_it_had_never_stopped(model: str) -> None:
    records = records_of(8_000)
    straight, first = learner_of(model), learner_of(model)
    straight.learn(ranges_of(records))
    first.learn(ranges_of(records[:1_000]))
    second = restored(*image_of(first, 1_000), model)
    second.learn(ranges_of(records[1_000:]))
    assert second.digest() == straight.digest()
    assert second.watermark_us == straight.watermark_us


def test_the_state_of_a_seal_is_as_of_then_whenever_it_is_asked_for() -> None:
    records = records_of(3_000)
    half = len(records) // 2
    learner, other = learner_of(), learner_of()
    for each in (learner, other):
        each.learn(ranges_of(records[:half]))
    seal, at_once = learner.seal_image(), other.seal_image().state
    pieces = seal.state_pieces()
    learner.learn(ranges_of(records[half:]))
    assert b"".join(pieces) == seal.state == at_once
    assert learner.seal_image().state != at_once


def test_state_of_another_plan_is_refused_and_nothing_changes() -> None:
    learner, other = learner_of(), learner_of(MODEL.replace("alpha = 0.3", "alpha = 0.31"))
    learner.learn(ranges_of(events(200)))
    before = other.digest()
    with pytest.raises(ValueError, match="of plan"):
        other.load_state(learner.seal_image().state)
    assert other.digest() == before


def test_every_damage_to_the_state_is_refused() -> None:
    learner = learner_of()
    learner.learn(ranges_of(events(60)))
    state = learner.seal_image().state
    for end in range(0, len(state), 97):
        with pytest.raises(ValueError, match="learner state"):
            learner.load_state(state[:end])
        flipped = bytearray(state)
        flipped[end] ^= 1 << end % 8
        with pytest.raises(ValueError, match="learner state"):
            learner.load_state(bytes(flipped))


@pytest.mark.parametrize(
    "row",
    [b"\0" * 16, b"short", b"\1" * 8 + b"\0\0\xc0\x7f" + b"\0" * 4],
    ids=["id 0", "torn", "z is NaN"],
)
def test_rows_that_no_learner_wrote_are_refused(row: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|no whole number"):
        learner_of().load_rows(row)


def test_as_many_timestamps_as_values() -> None:
    with pytest.raises(ValueError, match="2 values, 1 timestamps"):
        learner_of().learn([(0, [b"{}", b"{}"], [0])])


def test_a_window_for_which_there_is_no_memory_is_refused_at_once() -> None:
    plan = compile_model(MODEL).plan_bytes
    huge = plan.replace(b'"duplicate_window":100', b'"duplicate_window":1000000000000')
    assert huge != plan
    with pytest.raises(MemoryError, match="no memory for a learner"):
        Learner(Plan(huge))
