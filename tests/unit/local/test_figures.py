import numpy as np
import pytest

from stream_ml.local.figures import BINS, Figures


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    log_odds = random.normal(-2, 1.5, 20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    return log_odds, labels


def exact_auc(log_odds: np.ndarray, labels: np.ndarray) -> float:
    ranks = np.empty(len(labels))
    ranks[np.argsort(log_odds)] = np.arange(1, len(labels) + 1)
    positives = int(labels.sum())
    above = ranks[labels > 0].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(labels) - positives)))


def test_auc_of_the_bins_is_that_of_the_ranks_within_a_thousandth(scored):
    assert Figures.of_scores(*scored).auc == pytest.approx(exact_auc(*scored), abs=1e-3)


def test_a_reversed_ranking_has_the_complement(scored):
    log_odds, labels = scored
    there, back = Figures.of_scores(log_odds, labels), Figures.of_scores(-log_odds, labels)
    assert there.auc + back.auc == pytest.approx(1, abs=1e-3)


def test_figures_of_parts_add_up_to_those_of_the_whole(scored):
    log_odds, labels = scored
    parts = Figures.of_scores(log_odds[:7_000], labels[:7_000]) + Figures.of_scores(
        log_odds[7_000:], labels[7_000:]
    )
    whole = Figures.of_scores(log_odds, labels)
    assert parts.auc == pytest.approx(whole.auc, rel=1e-12)
    assert parts.log_loss == pytest.approx(whole.log_loss, rel=1e-12)
    assert parts.calibration == pytest.approx(whole.calibration, rel=1e-12)


def test_labels_drawn_from_the_predictions_are_calibrated(scored):
    assert Figures.of_scores(*scored).calibration == pytest.approx(1, abs=0.03)


def test_figures_without_examples_are_not_numbers():
    empty = Figures()
    assert all(np.isnan(value) for value in (empty.auc, empty.log_loss, empty.calibration))


def test_sums_are_read_from_an_evaluation():
    bins = [0.0] * BINS
    value = {"index": 3, "importance_sum": 4, "label_sum": 1, "prediction_sum": 2, "loss_sum": 1.5}
    value |= {"positives": [*bins[:-1], 1.0], "negatives": [3.0, *bins[1:]]}
    figures = Figures.of_evaluation(value)
    assert (figures.auc, figures.log_loss, figures.calibration) == (1.0, 0.375, 2.0)
