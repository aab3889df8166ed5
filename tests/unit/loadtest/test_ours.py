from itertools import islice
from pathlib import Path

import pytest

from loadtest import ours
from loadtest.feed_source import _pieces
from loadtest.ingest import learn_in_process, records
from loadtest.model import plan
from loadtest.peers import vowpal_wabbit
from loadtest.stream import CARDINALITIES, NUMBERS, Stream


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stream"
    path.write_bytes(Stream(3_000).lines(0, 3_000))
    return path


@pytest.mark.parametrize(("record_bytes", "batch_records"), [(4_096, 3), (700, 1), (300, 2), (10**7, 4)])
def test_records_hold_every_line_once_whole_and_in_order(
    file: Path, record_bytes: int, batch_records: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "RECORD_BYTES", record_bytes)
    made = [record for batch in ours.blocks(file, batch_records) for record in batch]
    assert b"".join(made) == file.read_bytes()
    assert all(record.endswith(b"\n") for record in made)
    assert [
        line for batch in ours._lines(file, batch_records) for line in batch
    ] == file.read_bytes().splitlines()


def test_every_way_to_hand_events_over_learns_the_same_bits(file: Path) -> None:
    one = ours.learn_file(file, scan_threads=0)
    assert one.events == 3_000
    assert ours.learn_file(file, scan_threads=2).digest == one.digest
    lines = ours.learn_file(file, scan_threads=0, one_event_a_record=True)
    # The state counts records, of which there are more; the table's bytes are the same.
    assert lines.digest.split()[-1] == one.digest.split()[-1]


def test_another_stream_gives_another_digest(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(Stream(3_000, seed=2).lines(0, 3_000))
    assert ours.learn_file(file, 0).digest != ours.learn_file(other, 0).digest


def test_ours_and_vowpal_wabbit_learn_the_same_stream_about_equally_well(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(Stream(30_000).lines(0, 30_000))
    peer = vowpal_wabbit(path, "--json").logloss
    assert ours.learn_file(path, 0).logloss == pytest.approx(peer, abs=0.003)


def test_a_refused_event_stops_the_run(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b'{"I1":1}\n')
    with pytest.raises(RuntimeError, match=r"1 events .* refused"):
        ours.learn_file(file, 0)


@pytest.mark.parametrize("layout", ["json", "shuffled"])
def test_the_plan_sees_13_numbers_as_they_are_and_26_categories(layout: str) -> None:
    plain, made = plan().explain(Stream(1).lines(0, 1)), plan().explain(Stream(1, layout).lines(0, 1))  # type: ignore[arg-type]
    assert made == plain
    values = [value for _, _, _, value in made["features"]]
    assert len(values) == NUMBERS + len(CARDINALITIES)
    assert values[NUMBERS:] == [1.0] * len(CARDINALITIES)
    assert 1.0 not in values[:NUMBERS] or len(set(values[:NUMBERS])) > 3


def test_identified_events_are_learned_once_whatever_the_record_size(tmp_path: Path) -> None:
    path = tmp_path / "identified"
    path.write_bytes(Stream(2_000, identified=True).lines(0, 2_000))
    assert [len(list(records(path, size))) for size in (1, 50, 300)] == [2_000, 40, 7]
    assert b"\n".join(records(path, 300)) + b"\n" == path.read_bytes()
    assert learn_in_process(path, 50) > 0


def test_the_feed_source_repeats_its_rows_around_and_around() -> None:
    assert list(islice(_pieces(b"abcdefg", 3), 4)) == [b"abc", b"def", b"gab", b"cde"]
