from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_ml.drift.evaluation import Tally
from stream_ml.drift.statistics import (
    auc_of,
    direction,
    rate_value,
    seconds_between,
    shape_value,
    share_value,
    values_of,
)
from tests.evaluations import Events, Stream, flipped, more_positives, shifted, tally

DRAWS = 400


def drawn(seed: int, drift: object = None) -> list[Tally]:
    stream = Stream(seed, segments=0)
    return [each.whole.progressive for each in stream.evaluations(DRAWS, drift)]  # type: ignore[arg-type]


@pytest.mark.parametrize("statistic", ["label_rate", "prediction", "calibration", "loss", "auc"])
def test_the_variance_is_the_one_that_draws_have(statistic: str) -> None:
    values = [dict(values_of(each))[statistic] for each in drawn(5)]
    found = np.var([value.watched for value in values], ddof=1)
    said = np.mean([value.variance for value in values])
    # Of 400 draws the variance is known to 7 %.
    if statistic == "auc":
        # That of the AUC alone: less what the predictions would have, it varies less.
        assert 0.5 < found / said < 1.0
    elif statistic == "prediction":
        # That of labels, which a learner's weights follow; here the model does not learn.
        assert 0.1 < found / said < 0.5
    else:
        assert 0.75 < found / said < 1.3


def moved(statistic: str, drift: object) -> float:
    """How far a drift moves a statistic, in standard deviations of one evaluation of 1,000 events."""
    before = [dict(values_of(each))[statistic].watched for each in drawn(5)]
    after = [dict(values_of(each))[statistic].watched for each in drawn(6, drift)]
    return float((np.mean(after) - np.mean(before)) / np.std(before))


def test_each_drift_moves_its_own_statistic_most() -> None:
    table = {
        name: {
            statistic: moved(statistic, drift) for statistic in ("label_rate", "prediction", "loss", "auc")
        }
        for name, drift in (("more", more_positives), ("flipped", flipped), ("shifted", shifted))
    }
    assert table["more"]["label_rate"] > 2 * abs(table["more"]["auc"])
    assert abs(table["more"]["prediction"]) < 0.3
    assert table["flipped"]["loss"] > table["flipped"]["label_rate"] > 0
    assert table["flipped"]["auc"] < -3
    assert table["shifted"]["prediction"] > table["shifted"]["label_rate"]
    # Covariates that wander are no change of what a label is worth.
    assert abs(table["shifted"]["loss"]) < 0.3
    assert abs(table["shifted"]["auc"]) < 0.3


def test_figures_are_those_that_a_person_knows() -> None:
    random = np.random.default_rng(3)
    log_odds = random.standard_normal(2_000)
    labels = (random.random(2_000) < 0.3).astype(float)
    found = {name: value.figure for name, value in values_of(tally(log_odds, labels, 512))}
    predictions = 1 / (1 + np.exp(-log_odds))
    assert found["label_rate"] == pytest.approx(labels.mean())
    assert found["calibration"] == pytest.approx(predictions.mean() / labels.mean())
    loss = -np.where(labels > 0, np.log(predictions), np.log1p(-predictions)).mean()
    assert found["loss"] == pytest.approx(loss)
    pairs = log_odds[labels > 0][:, None] > log_odds[labels == 0][None, :]
    assert found["auc"] == pytest.approx(pairs.mean(), abs=0.002)


def test_another_loss_has_no_auc_and_no_known_variance() -> None:
    zeros = np.zeros(512)
    found = dict(values_of(Tally(100, 100.0, 250.0, 240.0, 80.0, zeros, zeros)))
    assert set(found) == {"label_rate", "prediction", "calibration", "loss"}
    assert {value.variance for value in found.values()} == {0.0}
    assert found["loss"].watched == pytest.approx(0.8)


def test_nothing_follows_from_no_example() -> None:
    assert list(values_of(Tally.none(64))) == []


def test_a_tally_of_one_label_has_no_auc() -> None:
    assert auc_of(np.ones(4), np.zeros(4)) is None
    events = next(Stream(1, segments=0).evaluations(1)).whole.progressive
    only = replace(
        events, label_sum=0.0, positives=np.zeros(512), negatives=events.negatives + events.positives
    )
    assert "auc" not in dict(values_of(only))


def test_a_distribution_that_is_the_same_is_near_and_another_is_far() -> None:
    before = sum((each.positives + each.negatives for each in drawn(7)), np.zeros(512))
    same = [value for each in drawn(8) if (value := shape_value(each, before))]
    other = [value for each in drawn(9, wider) if (value := shape_value(each, before))]
    mean, variance = np.mean([v.watched for v in same]), np.var([v.watched for v in same])
    assert mean == pytest.approx(1 - 2 / (9 * 9), abs=0.03)
    assert 0.75 < variance / same[0].variance < 1.3
    assert np.mean([v.watched for v in other]) > mean + np.sqrt(variance)


def wider(events: Events, far: float) -> Events:
    """The mean prediction stays about where it is."""
    return events.labelled(events.true, events.said + 0.5 * events.random.standard_normal(len(events.said)))


def test_no_distribution_is_compared_with_nothing() -> None:
    assert shape_value(drawn(7)[0], np.zeros(512)) is None


def test_a_share_varies_alike_wherever_it_is() -> None:
    random = np.random.default_rng(4)
    for share in (0.02, 0.5):
        found = np.var([share_value(int(random.binomial(2_000, share)), 2_000).watched for _ in range(2_000)])
        assert found == pytest.approx(1 / 8_000, rel=0.15)
    assert share_value(3, 2).figure == 1.0


def test_a_rate_is_of_event_time() -> None:
    closed = list(Stream(1).evaluations(2))
    seconds = seconds_between(closed[0].watermark_us, closed[1])
    assert seconds == pytest.approx(10, rel=0.2)
    assert rate_value(1_000, 10.0).figure == 100
    assert seconds_between(None, closed[1]) is None
    assert seconds_between(closed[1].watermark_us, closed[1]) is None


def test_what_gets_worse_is_known_of_every_slot() -> None:
    assert (direction("loss"), direction("auc"), direction("missing:age")) == (1, -1, 0)
