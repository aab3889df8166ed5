"""`stream-ml skip` reads its places before anything is connected to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_ml.cli.skip import skip
from stream_ml.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "learner.toml"
    path.write_text('model_file = "m.toml"\n[kafka]\n"bootstrap.servers" = "127.0.0.1:1"\n')
    return path


def refused(settings: Path, *places: str) -> str:
    options = [part for place in places for part in ("--to", place)]
    error = CliRunner().invoke(skip, [str(settings), *options]).exception
    assert isinstance(error, ConfigError), repr(error)
    return str(error)


@pytest.mark.parametrize("place", ["99999999999999999999:1", "2147483648:1", "9" * 5000 + ":1"])
def test_a_partition_beyond_those_of_kafka_is_refused(settings: Path, place: str) -> None:
    assert "no partition is above 2147483647" in refused(settings, place)


@pytest.mark.parametrize("place", ["0:99999999999999999999", f"0:{2**63}", "0:" + "9" * 5000])
def test_an_offset_beyond_those_of_kafka_is_refused(settings: Path, place: str) -> None:
    assert f"no offset is above {2**63 - 1}" in refused(settings, place)


@pytest.mark.parametrize("place", ["0", "0:", ":5", "0:-5", "0:5:6", "0:٥", "a:b"])
def test_what_is_no_place_is_refused(settings: Path, place: str) -> None:
    assert "PARTITION:OFFSET is wanted" in refused(settings, place)


@pytest.mark.parametrize("again", ["0:6", "0:5", "00:7"])
def test_two_places_of_one_partition_are_refused(settings: Path, again: str) -> None:
    assert "partition 0 is named twice: 5 and" in refused(settings, "0:5", "1:4", again)


def test_the_largest_place_is_read(settings: Path) -> None:
    for zeros in ("", "0" * 5000):
        place = f"{zeros}{2**31 - 1}:{zeros}{2**63 - 1}"
        assert "m.toml" in refused(settings, place), "the next thing that is wrong"
