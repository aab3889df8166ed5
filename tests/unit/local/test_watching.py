"""What the demo reads of the learner: each evaluation once, in its order."""

from __future__ import annotations

import orjson
import pytest

from stream_ml.learning.outputs import evaluations_topic
from stream_ml.local.watching import Counts, Evaluations
from stream_ml.streams.memory import MemoryLog


def evaluation(index: int) -> bytes:
    bins = [0.0] * 512
    sums = {"importance_sum": 10.0, "label_sum": 2.0, "prediction_sum": 3.0, "loss_sum": 4.0 + index}
    return orjson.dumps(
        {"index": index, "learned_from": index * 10, "positives": bins, "negatives": bins, **sums}
    )


def followed(*values: bytes | None) -> Evaluations:
    log = MemoryLog()
    log.ensure_topic(evaluations_topic("m"), 1)
    with log.writer() as writer:
        for value in values:
            writer.send(evaluations_topic("m"), value, partition=0)
    evaluations = Evaluations(log, "m")
    evaluations.poll()
    return evaluations


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], []),
        ([0, 1, 2], [0, 10, 20]),
        ([0, 1, 0, 1, 2], [0, 10, 20]),
        ([0, 0, 0], [0]),
        ([0, 2], [0]),
    ],
)
def test_each_evaluation_is_taken_once_and_in_its_order(sent: list[int], kept: list[int]) -> None:
    evaluations = followed(*map(evaluation, sent))
    assert [each.learned_from for each in evaluations.closed] == kept


def test_a_tombstone_is_no_evaluation() -> None:
    assert len(followed(None, evaluation(0), None).closed) == 1


@pytest.mark.parametrize(
    ("since", "examples", "loss"), [(0, 30, 15), (1, 20, 11), (10, 20, 11), (11, 10, 6), (21, 0, 0)]
)
def test_figures_since_an_event_are_of_the_evaluations_begun_after_it(
    since: int, examples: float, loss: float
) -> None:
    figures = followed(*map(evaluation, range(3))).since(since)
    assert (figures.importance_sum, figures.loss_sum) == (examples, loss)


def test_all_events_are_those_learned_repeated_and_refused() -> None:
    assert Counts(learned=5, duplicates=2, dead_letters=1).all == 8
