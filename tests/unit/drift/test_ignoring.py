from __future__ import annotations

import pytest

from services.drift_monitor.app import rules_of
from stream_ml.drift.ignoring import ignored
from stream_ml.drift.statistics import DIRECTIONS
from stream_ml.errors import ConfigError
from stream_ml.runtime.drift_settings import DriftMonitorSettings


def test_every_statistic_may_be_ignored() -> None:
    assert ignored([*DIRECTIONS]) == DIRECTIONS.keys()
    assert ignored([]) == frozenset()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("event_rat", "did you mean 'event_rate'"),
        ("missing:age", "did you mean 'missing'"),
        ("x", "known are auc"),
        ("", "known are auc"),
    ],
)
def test_a_name_of_none_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ignored(["loss", name])


def test_the_services_settings_are_looked_at() -> None:
    settings = DriftMonitorSettings(model="m", kafka={"bootstrap.servers": "h:1"}, ignore=["auc"])
    assert rules_of(settings).ignore == {"auc"}
    with pytest.raises(ConfigError, match="did you mean 'auc'"):
        rules_of(settings.model_copy(update={"ignore": ["aux"]}))
