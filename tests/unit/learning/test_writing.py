from pathlib import Path

import pytest

from stream_ml.learning.points import Point
from tests.clicks import events, expected_counts
from tests.unit.learning.rig import EndAt, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_everything_produced_is_learned_repeated_or_a_dead_letter(rig: Rig) -> None:
    rig.send(events(500))
    life = rig.run_to_the_end()
    counts = life.counts
    assert (counts["learned"], counts["duplicates"], counts["refused"]) == expected_counts(500)
    assert len(set(rig.keys("clicks.dead-letters"))) == counts["refused"]
    assert len(set(rig.keys("clicks.evaluations"))) == counts["learned"] // 50


# Of a changed model file or of a challenger: see test_evolving, test_challenging.
CHANGED = {
    Point.CHANGED_VARIANT_BEGUN,
    Point.CHALLENGER_BEGUN,
    Point.SERVING_DECIDED,
    Point.BREAKER_OPENED,
}


@pytest.mark.parametrize("point", [point for point in Point if point not in CHANGED])
def test_killed_at_a_point_the_next_life_has_the_same_bits(tmp_path: Path, point: Point) -> None:
    whole = Rig(tmp_path / "whole")
    whole.send(events(500))
    expected = whole.run_to_the_end()
    rig = Rig(tmp_path / "killed")
    rig.send(events(500))
    killed = rig.run_to_the_end(EndAt(point))
    assert killed.killed, f"{point} was never reached"
    life = rig.run_to_the_end()
    assert life.digest == expected.digest
    assert life.counts["refused"] == len(set(rig.keys("clicks.dead-letters")))
    assert set(rig.keys("clicks.evaluations")) == set(whole.keys("clicks.evaluations"))
