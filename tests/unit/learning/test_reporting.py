from functools import partial
from pathlib import Path

import pytest

from stream_ml.runtime.metrics import REGISTRY
from tests.clicks import events, expected_counts
from tests.servers.processes import wait_until
from tests.unit.learning.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def shown(name: str) -> float:
    """Return a learner's metric as Prometheus reads it, summed over its labels but the model."""
    samples = [
        sample
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"stream_ml_learner_{name}" and sample.labels.get("model") == "clicks"
    ]
    return sum(sample.value for sample in samples)


def learned_are(expected: int) -> bool:
    return shown("learned_total") == expected


def test_the_operator_sees_counts_position_and_lag(rig: Rig) -> None:
    rig.send(events(400))
    life = rig.in_background()
    life.wait_until_learned()
    learned, duplicates, refused = expected_counts(400)
    wait_until(lambda: shown("learned_total") == learned)
    assert (shown("duplicates_total"), shown("dead_letters_total")) == (duplicates, refused)
    assert shown("writer") == 1
    wait_until(lambda: life.loop is not None and shown("step") == life.loop.step)
    wait_until(lambda: shown("lag_records") == 0)
    assert shown("rows") == life.digest["rows"]
    life.end()
    assert shown("writer") == 0


def test_totals_go_on_where_the_life_before_left_them(rig: Rig) -> None:
    for lives in (1, 2):
        rig.send(events(200, first=200 * (lives - 1)))
        life = rig.in_background()
        life.wait_until_learned()
        wait_until(partial(learned_are, expected_counts(200 * lives)[0]))
        life.end()


def test_every_metric_of_a_learner_is_set_by_a_life_with_all_that_can_happen(rig: Rig) -> None:
    rig.send(events(400))
    rig.run_to_the_end()
    families = [f for f in REGISTRY.collect() if f.name.startswith("stream_ml_learner_")]
    silent = {f.name for f in families if not any(sample.labels["model"] == "clicks" for sample in f.samples)}
    # A store that fails and a broker that keeps few bytes are not part of this life.
    assert silent <= {"stream_ml_learner_snapshot_failures", "stream_ml_learner_retention_margin_ratio"}
