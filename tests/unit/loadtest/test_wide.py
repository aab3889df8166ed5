import numpy as np
import orjson

from loadtest.wide import EVENTS_PER_RECORD, TOKENS, Wide, random_rows
from stream_ml._native import Learner


def test_every_event_is_json_and_no_token_comes_twice() -> None:
    events = [orjson.loads(line) for record in Wide().records(2_000) for line in record.splitlines()]
    tokens = [token for event in events for token in event["tokens"].split()]
    assert len(events) == 7 * EVENTS_PER_RECORD
    assert len(set(tokens)) == len(tokens) == TOKENS * len(events)
    assert len({event["id"] for event in events}) == len(events)


def test_the_learner_has_a_row_for_every_token() -> None:
    learner = Learner(Wide(window=100).plan())
    for record in Wide().records(640):
        assert learner.learn([(0, [record], [-1])]).refused == []
    assert learner.metrics()["rows"] == 640


def test_random_rows_have_ids_that_differ() -> None:
    rows = np.frombuffer(b"".join(random_rows(1_500_000)), dtype="<u8").reshape(-1, 2)
    assert len(np.unique(rows[:, 0])) == len(rows) == 1_500_000
