"""The stream of the demo of drift: the change turns pages round, and little else."""

import orjson
import pytest

from stream_ml.demo.visits import COUNTRIES, PAGES, Visits


def test_the_same_seed_gives_the_same_visits_and_ids_are_unique():
    one, other, third = Visits(7), Visits(7), Visits(8)
    first = [one.next() for _ in range(500)]
    assert first == [other.next() for _ in range(500)]
    assert first != [third.next() for _ in range(500)]
    assert len({orjson.loads(visit.event)["id"] for visit in first}) == 500


def test_the_label_is_in_the_event():
    visits = Visits()
    for visit in (visits.next() for _ in range(200)):
        assert orjson.loads(visit.event)["bought"] == int(visit.bought)


def test_after_the_change_the_best_page_is_the_worst():
    visits = Visits()
    before = [visits.rate(page, 0) for page in range(PAGES)]
    visits.changed = True
    after = [visits.rate(page, 0) for page in range(PAGES)]
    assert before[after.index(max(after))] == pytest.approx(min(before))
    assert before[after.index(min(after))] == pytest.approx(max(before))


def test_the_change_leaves_the_rate_of_sales():
    """So nothing but the model's own figures can show it."""
    visits = Visits()

    def mean() -> float:
        rates = [visits.rate(page, country) for page in range(PAGES) for country in range(COUNTRIES)]
        return sum(rates) / len(rates)

    before = mean()
    visits.changed = True
    assert mean() == pytest.approx(before)
