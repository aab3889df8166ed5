"""What `stream-ml replay` advises: it changes nothing, so nothing that a learner would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.cli.replay import _changes_nothing, _waiting
from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.features import compile_model
from stream_ml.learning.replaying import ReplayImpossible
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.runtime.settings import LearnerSettings


def test_a_replay_that_is_impossible_asks_for_the_store_and_not_for_a_loss() -> None:
    settings = LearnerSettings(
        kafka={"bootstrap.servers": "b:1"}, model_file=Path("m.toml"), snapshot_store="s3://u:s3cret@b/store"
    )
    with pytest.raises(CannotContinue) as told, _changes_nothing(settings):
        raise ReplayImpossible(
            f"no snapshot of v1 verifies; restore one, or begin a new variant with {ACCEPT_LOSS}"
        )
    said = str(told.value)
    assert said.startswith(
        "no snapshot of v1 verifies\n  hint: is s3://***@b/store the model's snapshot store?"
    )
    assert "accept-loss" not in said


MODEL = 'name = "m"\nlabel = "y"\ntimestamp = "at"\nlabel_time = "known_at"\n[features]\na = "a"\n'


def test_honest_labels_need_a_model_file_that_says_when_they_became_known() -> None:
    assert _waiting(compile_model(MODEL), 17) == 17
    with pytest.raises(ConfigError, match="label_time ="):
        _waiting(compile_model(MODEL.replace('label_time = "known_at"\n', "")), 17)
