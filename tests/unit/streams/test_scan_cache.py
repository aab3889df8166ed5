"""The directory of kept scans: found again, bounded; what is wrong with it is named and costs time alone."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

import pytest

from stream_ml._native import Plan
from stream_ml.features import compile_model
from stream_ml.streams import scan_cache
from stream_ml.streams.log import Topic
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.streams.scan_segments import KeptScan, ScannedRange
from tests.clicks import MODEL

TOPIC = Topic("events", "3fX_-identity", 2)
PLAN = Plan(compile_model(MODEL).plan_bytes)
OTHER_PLAN = Plan(compile_model(MODEL.replace('"page"', '"site"')).plan_bytes)


THIRD_PLAN = Plan(compile_model(MODEL.replace('"page"', '"shop"')).plan_bytes)


def range_at(first: int, partition: int = 0) -> ScannedRange:
    return ScannedRange(partition, first, first + 10, 9, 2**64 - 1 - first)


def scan_at(first: int, partition: int = 0, size: int = 50) -> KeptScan:
    return KeptScan(range_at(first, partition), 1_000 + first, b"%02d" % first * size)


def cache_in(folder: Path, plan: Plan = PLAN, topic: Topic = TOPIC, max_bytes: int = 10**6) -> ScanCache:
    return ScanCache(folder, plan, topic, max_bytes)


def keep(folder: Path, *scans: KeptScan, plan: Plan = PLAN, max_bytes: int = 10**6) -> int:
    with cache_in(folder, plan, max_bytes=max_bytes) as cache:
        cache.keep(scans)
    return cache.kept


def found(folder: Path, *ranges: ScannedRange, plan: Plan = PLAN, topic: Topic = TOPIC) -> bool:
    with cache_in(folder, plan, topic) as cache:
        return cache.find(ranges) is not None


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.scans"))


def test_a_step_is_found_by_all_of_its_ranges(tmp_path: Path) -> None:
    assert keep(tmp_path, scan_at(0), scan_at(10, 1)) == 2
    assert keep(tmp_path, scan_at(10)) == 1
    with cache_in(tmp_path) as cache:
        both = cache.find([range_at(10, 1), range_at(10)])
        assert both is not None
        assert both.scans == [(1, scan_at(10, 1).scan), (0, scan_at(10).scan)]
        assert both.newest_ms == 1_010
        assert cache.find([range_at(10), range_at(20)]) is None
        assert cache.found == 2


@pytest.mark.parametrize("change", [{"first": 1}, {"next": 11}, {"records": 8}, {"checksum": 7}])
def test_a_range_that_differs_in_anything_is_another(tmp_path: Path, change: dict[str, int]) -> None:
    keep(tmp_path, scan_at(0))
    assert found(tmp_path, range_at(0))
    assert not found(tmp_path, range_at(0)._replace(**change))


def test_another_topic_or_plan_has_its_own(tmp_path: Path) -> None:
    keep(tmp_path, scan_at(0))
    assert not found(tmp_path, range_at(0), plan=OTHER_PLAN)
    assert not found(tmp_path, range_at(0), topic=Topic("events", "made anew", 2))


def test_what_is_there_is_not_kept_twice(tmp_path: Path) -> None:
    keep(tmp_path, scan_at(0))
    assert keep(tmp_path, scan_at(0)) == 0
    assert len(segments(tmp_path)) == 1


def test_a_long_run_writes_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_cache, "SEGMENT_BYTES", 200)
    with cache_in(tmp_path) as cache:
        for first in range(0, 80, 10):
            cache.keep([scan_at(first)])
        assert found(tmp_path, range_at(0), range_at(10)), "not yet closed"
    assert len(segments(tmp_path)) == 4
    assert all(path.read_bytes() for path in segments(tmp_path))


def test_a_file_that_was_cut_or_altered_at_its_end_is_named_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, scan_at(0))
    keep(tmp_path, scan_at(10))
    path, _ = segments(tmp_path)
    sound = path.read_bytes()
    index = sound.rindex(b'{"format"')
    for damaged in [*(sound[:end] for end in range(len(sound))), b"x" + sound, b"", b"no segment" * 9]:
        path.write_bytes(damaged)
        caplog.clear()
        assert not found(tmp_path, range_at(0))
        assert found(tmp_path, range_at(10)), "the other file serves"
        assert [record.getMessage().split(" is ignored: ")[0] for record in caplog.records[:1]] == [str(path)]
    for at in range(index, len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        assert not found(tmp_path, range_at(0))
    path.write_bytes(sound)
    assert found(tmp_path, range_at(0))


def test_a_file_in_the_wrong_folder_is_named_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, scan_at(0))
    keep(tmp_path, scan_at(10), plan=OTHER_PLAN)
    ours, other = sorted(segments(tmp_path), key=lambda path: PLAN.scan_fingerprint not in path.parts)
    other.replace(ours)
    assert not found(tmp_path, range_at(10))
    assert f"it holds scans of topic {TOPIC.id} by {OTHER_PLAN.scan_fingerprint}" in caplog.text


def test_a_damaged_scan_is_kept_anew_and_then_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path, scan_at(0))
    with cache_in(tmp_path) as cache:
        assert cache.find([range_at(0)]) is not None
        cache.distrust([range_at(0)], "the checksum differs")
        assert (cache.found, cache.find([range_at(0)])) == (0, None)
        cache.keep([scan_at(0, size=60)])
    assert "00000001.scans is ignored: the checksum differs" in caplog.text
    with cache_in(tmp_path) as cache:
        again = cache.find([range_at(0)])
        assert again is not None
        assert again.scans == [(0, scan_at(0, size=60).scan)], "the later file counts"


def test_others_make_room_the_longest_unused_first_and_ours_never_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, scan_at(0), plan=OTHER_PLAN)
    keep(tmp_path, scan_at(10), plan=OTHER_PLAN)
    oldest, old = segments(tmp_path)
    os.utime(oldest, (1, 1))
    os.utime(old, (2, 2))
    size = old.stat().st_size
    assert keep(tmp_path, scan_at(0), max_bytes=int(2.5 * size)) == 1
    assert (oldest.exists(), old.exists()) == (False, True)
    assert keep(tmp_path, scan_at(10), max_bytes=int(2.5 * size)) == 1
    assert not old.exists()
    assert keep(tmp_path, scan_at(20), max_bytes=int(2.5 * size)) == 0
    assert "no more scans are kept" in caplog.text
    assert found(tmp_path, range_at(0), range_at(10))


def test_what_was_used_last_is_removed_last(tmp_path: Path) -> None:
    for made_at, plan in enumerate([OTHER_PLAN, THIRD_PLAN]):
        keep(tmp_path, scan_at(0), plan=plan)
        (path,) = tmp_path.glob(f"{plan.scan_fingerprint}/*/*.scans")
        os.utime(path, (made_at, made_at))
    assert found(tmp_path, range_at(0), plan=OTHER_PLAN)
    keep(tmp_path, scan_at(0), max_bytes=int(2.5 * path.stat().st_size))
    assert found(tmp_path, range_at(0), plan=OTHER_PLAN)
    assert not found(tmp_path, range_at(0), plan=THIRD_PLAN)


def test_a_directory_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert keep(tmp_path / "file", scan_at(0)) == 0
    assert "no more scans are kept" in caplog.text


def test_a_topic_without_identity_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with cache_in(tmp_path, topic=Topic("events", "", 1)) as cache:
        cache.keep([scan_at(0)])
    assert cache.kept == 0
    assert list(tmp_path.iterdir()) == []
    assert "the broker gives events no identity" in caplog.text


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    keep(tmp_path, scan_at(0))
    (path,) = segments(tmp_path)
    left, written = path.with_name("1.partial"), path.with_name("2.partial")
    left.write_bytes(b"half")
    with written.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert found(tmp_path, range_at(0))
        assert (left.exists(), written.exists()) == (False, True)


def test_two_processes_never_take_the_same_number(tmp_path: Path) -> None:
    with cache_in(tmp_path) as one, cache_in(tmp_path) as other:
        one.keep([scan_at(0)])
        other.keep([scan_at(0), scan_at(10)])
    assert len(segments(tmp_path)) == 2
    assert found(tmp_path, range_at(0), range_at(10))


def test_a_file_that_vanishes_is_named_and_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    keep(tmp_path, scan_at(0))
    with cache_in(tmp_path) as cache:
        segments(tmp_path)[0].unlink()
        assert cache.find([range_at(0)]) is None
    assert "00000001.scans is ignored" in caplog.text
