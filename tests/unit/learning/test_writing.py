from pathlib import Path

import pytest

from stream_ml.errors import RecoverableError
from stream_ml.learning.points import Point
from stream_ml.streams.log import Undeliverable
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Line, Release
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


def test_a_broker_that_goes_as_the_variant_is_released_may_come_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, not 3: all that the next start needs was acknowledged."""
    rig.send(events(100))

    append = JournalWriter.append

    def last(journal: JournalWriter, line: Line) -> int:
        if isinstance(line, Release):
            monkeypatch.setattr(JournalWriter, "flush", away)
        return append(journal, line)

    def away(journal: JournalWriter, seconds: float) -> None:
        raise Undeliverable(f"1 records not acknowledged in {seconds:g} s")

    with monkeypatch.context() as broken:
        broken.setattr(JournalWriter, "append", last)
        with pytest.raises(RecoverableError, match=r"not released: .* the next start replays"):
            rig.run_to_the_end()
    monkeypatch.undo()
    assert rig.run_to_the_end().counts["learned"] == expected_counts(100)[0]
