from itertools import islice, pairwise

import orjson
import pytest

from stream_ml.demo.events import PSEUDO_DEPARTMENTS, Basket, baskets

# What is only known at the till, or says the label.
TILL_ONLY = {"coupon_disc", "coupon_match_disc", "sales_value", "retail_disc"}


@pytest.fixture(scope="module")
def some() -> list[Basket]:
    return list(islice(baskets(), 2_000))


def test_events_are_in_order_of_time(some):
    assert all(earlier.bought_at <= later.bought_at for earlier, later in pairwise(some))


def test_a_record_is_one_whole_basket(some):
    assert len({basket.key for basket in some}) == len(some)
    for basket in some:
        assert {str(orjson.loads(line)["basket_id"]).encode() for line in basket.record.split(b"\n")} == {
            basket.key
        }


def test_nothing_that_is_only_known_at_the_till_is_in_an_event(some):
    for basket in some:
        for line, label in zip(basket.lines, basket.labels, strict=True):
            event = orjson.loads(line)
            assert not TILL_ONLY & event.keys()
            assert event["redeemed"] == label
            assert event.get("department") not in PSEUDO_DEPARTMENTS


def test_the_limit_ends_the_stream_after_a_whole_basket():
    limited = list(baskets(300))
    assert 300 <= sum(len(basket.lines) for basket in limited) < 300 + len(limited[-1].lines)
