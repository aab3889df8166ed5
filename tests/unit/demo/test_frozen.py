"""The model that stopped learning: rows of the learner as of that event, and scores of the rest only."""

from __future__ import annotations

import orjson
import pytest

from stream_ml._native import Learner, Plan, Replica
from stream_ml.demo.events import Basket
from stream_ml.demo.frozen import BASKETS_PER_CALL, FrozenModel
from stream_ml.features import compile_model
from stream_ml.local.figures import Figures

PLAN = compile_model('name = "m"\nlabel = "redeemed"\n[features]\nproduct = "product"\n').plan_bytes


def basket(number: int, lines: int = 2) -> Basket:
    """Products 0 to 4 are always redeemed, the others never."""
    products = [(number * 3 + line) % 10 for line in range(lines)]
    labels = [int(product < 5) for product in products]
    events = [
        orjson.dumps({"product": product, "redeemed": label})
        for product, label in zip(products, labels, strict=True)
    ]
    return Basket(key=b"%d" % number, lines=events, labels=labels, bought_at=float(number))


def judged(count: int, learned_events: int) -> Figures:
    model = FrozenModel(PLAN, learned_events)
    for number in range(count):
        model.take(basket(number))
    model.finish()
    return model.figures


@pytest.mark.parametrize("learned_events", [2, 40, 999, 2 * BASKETS_PER_CALL + 20])
def test_it_is_judged_on_what_follows_its_last_learned_basket(learned_events: int) -> None:
    count = 2 * BASKETS_PER_CALL
    learned_baskets = -(-learned_events // 2)
    assert judged(count, learned_events).importance_sum == 2 * (count - learned_baskets)


def test_its_scores_are_those_of_a_replica_of_the_learner_then() -> None:
    baskets = [basket(number) for number in range(60)]
    learner = Learner(Plan(PLAN))
    learner.learn([(0, [each.record for each in baskets[:20]], [0] * 20)])
    replica, cut = Replica(Plan(PLAN)), learner.cut()
    replica.apply(cut.rows, cut.removed, cut.score_state, 0, 0.0)
    predictions = [
        score["prediction"] for score in replica.score([line for each in baskets[20:] for line in each.lines])
    ]
    figures = judged(60, 40)
    assert figures.prediction_sum == pytest.approx(sum(predictions), rel=1e-6)
    assert figures.label_sum == sum(sum(each.labels) for each in baskets[20:])
    assert figures.auc == 1.0


def test_a_stream_that_ends_before_it_has_learned_enough_judges_nothing() -> None:
    assert judged(10, 1000).importance_sum == 0


def test_a_record_is_the_lines_of_its_basket() -> None:
    one = basket(3, lines=4)
    assert one.record.split(b"\n") == one.lines
    assert len(one.lines) == len(one.labels) == 4
