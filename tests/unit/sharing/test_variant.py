"""What a learner that shares refuses at its start, and where its shards stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml._native import Plan
from stream_ml.errors import ConfigError
from stream_ml.sharing.standing import standing
from tests.clicks import MODEL, event
from tests.unit.sharing.rig import SHARDS, Rig


def test_a_model_whose_rows_expire_is_refused_by_name(tmp_path: Path) -> None:
    text = MODEL.replace("[features]", 'timestamp = "at"\n[features]') + "expire_after_seconds = 60\n"
    with pytest.raises(ConfigError, match=r"clicks: weights in Redis: .*expire"):
        Rig(tmp_path, model_text=text).life()


def test_a_changed_model_file_is_refused_with_a_way_on(rig: Rig) -> None:
    rig.send(event(number) for number in range(100))
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    rig.model_text = MODEL.replace("alpha = 0.3", "alpha = 0.2")
    with pytest.raises(ConfigError, match=r"the model file was changed(.|\n)*snapshot copy"):
        rig.life()


def test_standing_tells_owners_fences_and_what_was_learned(tmp_path: Path) -> None:
    rig = Rig(tmp_path, partitions=2)
    rig.send((event(number) for number in range(200)), partition=0)
    rig.send((event(number) for number in range(1000, 1100)), partition=1)
    life = rig.life()
    life.wait_until(rig.all_pushed)
    life.end()
    stands = standing(rig.shards, Plan(rig.model.plan_bytes))
    assert stands.shards == ["fences"] * SHARDS
    assert (stands.next(0), stands.next(1), stands.next(7)) == (200, 100, 0)
    assert stands.owner(1).owner == "learner-0"
    assert stands.owner(7).owner == ""
    totals = stands.totals
    assert totals["learned"] + totals["duplicates"] + totals["refused"] == totals["records"] == 300
    rig.shards.close(1)
    assert standing(rig.shards, Plan(rig.model.plan_bytes)).shards == ["fences", "empty", "fences"]
