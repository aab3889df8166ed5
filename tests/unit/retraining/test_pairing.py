"""Live evaluations of two native learners, one of which began later; both learn the same events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_ml.retraining.blocks import Blocks
from stream_ml.retraining.pairing import Mispaired, history, pair, together
from tests.contested import BLOCK, World, columns, contest, evaluations, model, noisy

EVENTS, BEGAN = 30_000, 10_000
RECORDS = World(3, pair=0.5).records(EVENTS)
CHAMPION, CHALLENGER = model(noisy(0)), model(noisy(0, pair="cross(a, b)"))


def paired(began: int) -> Blocks:
    champion = history(evaluations(CHAMPION, RECORDS))
    challenger = history(evaluations(CHALLENGER, RECORDS[began:]))
    return pair(champion, challenger, "late", began)[0]


def test_where_the_ends_meet_each_evaluation_is_a_block_of_the_same_events() -> None:
    blocks = paired(BEGAN)
    truth = contest(RECORDS, CHAMPION, {"late": CHALLENGER}, BEGAN)
    assert blocks.events == EVENTS - BEGAN == len(blocks.examples) * BLOCK
    assert blocks.champion.loss == pytest.approx(truth.champion.loss, rel=1e-9)
    assert blocks.labels == pytest.approx(truth.labels)
    own = columns(evaluations(CHALLENGER, RECORDS[BEGAN:]), 0)
    assert blocks.challengers["late"].loss == pytest.approx(own["loss_sum"], rel=1e-9)
    assert blocks.challengers["late"].predictions == pytest.approx(own["prediction_sum"], rel=1e-9)


def test_where_they_do_not_meet_the_sums_of_many_blocks_are_right_all_the_same() -> None:
    blocks = paired(BEGAN + 170)
    begin, end = BEGAN + 170, BEGAN + 170 + blocks.events
    assert set(blocks.examples) == {8.0 * BLOCK}
    every_event = columns(evaluations(model(noisy(0), 1), RECORDS), 0)
    loss = every_event["loss_sum"][begin:end].sum()
    assert abs(blocks.champion.loss.sum() - loss) < 0.5 * blocks.champion.loss.max() / 8
    assert blocks.labels.sum() == every_event["label_sum"][begin:end].sum()


def test_what_only_one_of_them_has_evaluated_waits() -> None:
    champion = history(evaluations(CHAMPION, RECORDS[:20_000]))
    challenger = history(evaluations(CHALLENGER, RECORDS[BEGAN:]))
    assert pair(champion, challenger, "late", BEGAN)[0].events == 10_000
    lost_its_past = history([each for each in evaluations(CHAMPION, RECORDS) if each["index"] >= 30])
    assert pair(lost_its_past, challenger, "late", BEGAN)[0].events == EVENTS - 30 * BLOCK
    assert pair(history([]), challenger, "late", BEGAN)[0].events == 0
    assert pair(champion, history([]), "late", BEGAN)[0].events == 0


def test_repeats_are_dropped_and_a_hole_is_refused() -> None:
    found = evaluations(CHAMPION, RECORDS)
    repeated = history([*found[5:9], *found, *found[3:7]])
    assert (repeated.counts == history(found).counts).all()
    with pytest.raises(Mispaired, match="between evaluations 6 and 8 some are missing"):
        history([*found[:7], *found[8:]])


def test_other_events_are_noticed_by_their_labels() -> None:
    champion = history(evaluations(CHAMPION, RECORDS))
    other = history(evaluations(CHALLENGER, World(4, bias=0.5).records(20_000)))
    with pytest.raises(Mispaired, match="they did not learn the same events"):
        pair(champion, other, "late", BEGAN)


def with_segments(found: list[dict[str, float]]) -> list[dict[str, Any]]:
    """A tenth of each evaluation's sums belong to a segment, another tenth to the rest."""
    figures = ("examples", "importance_sum", "label_sum", "prediction_sum", "loss_sum")
    tenth = [{name: each[name] / 10 for name in figures} for each in found]
    return [
        {**each, "segments": [{"segment": "City", **part}, {"segment": None, **part}]}
        for each, part in zip(found, tenth, strict=True)
    ]


def test_segments_are_slices() -> None:
    champion = history(with_segments(evaluations(CHAMPION, RECORDS)))
    challenger = history(with_segments(evaluations(CHALLENGER, RECORDS[BEGAN:])))
    blocks, _ = pair(champion, challenger, "late", BEGAN)
    assert set(blocks.slices) == set(blocks.champion.slices) == {"City", "(rest)"}
    assert blocks.champion.slices["City"] == pytest.approx(blocks.champion.loss / 10)
    assert blocks.slices["City"].examples == pytest.approx(blocks.examples / 10)


def test_sources_are_laid_together_by_their_watermarks() -> None:
    def source(watermarks: list[int], segments: bool) -> tuple[Blocks, np.ndarray]:
        found = evaluations(CHAMPION, RECORDS[: BLOCK * len(watermarks)])
        dated: list[dict[str, Any]] = with_segments(found) if segments else list(found)
        for each, at in zip(dated, watermarks, strict=True):
            each["watermark_us"] = at
        return pair(history(dated), history(dated), "same", 0)

    first, second = source([10, 30, 50], segments=True), source([20, 40], segments=False)
    blocks = together([first, second])
    one, two = first[0].champion.loss, second[0].champion.loss
    assert blocks.champion.loss == pytest.approx([one[0], two[0], one[1], two[1], one[2]])
    assert blocks.challengers["same"].loss == pytest.approx(blocks.champion.loss)
    assert blocks.slices["City"].examples == pytest.approx([50, 0, 50, 0, 50])
    assert blocks.champion.slices["City"][[1, 3]] == pytest.approx([0, 0])
