from pathlib import Path

import numpy as np
import orjson
import pytest
from vowpalwabbit import Workspace

from loadtest import stream
from loadtest.peers import vowpal_wabbit
from loadtest.stream import CARDINALITIES, NUMBERS, Layout, Stream


def events(wanted: Stream) -> list[dict[str, int | float | str]]:
    return [orjson.loads(line) for line in b"".join(wanted.chunks()).splitlines()]


def test_every_event_has_13_numbers_26_categories_and_a_label() -> None:
    for event in events(Stream(500)):
        numbers = [name for name, value in event.items() if isinstance(value, int | float)]
        assert numbers == ["_label", *(f"I{at + 1}" for at in range(NUMBERS))]
        assert [name for name, value in event.items() if isinstance(value, str)] == [
            f"C{at + 1}" for at in range(len(CARDINALITIES))
        ]
        assert event["_label"] in (-1, 1)


def test_an_event_takes_about_585_bytes() -> None:
    assert len(Stream(2_000).lines(0, 2_000)) / 2_000 == pytest.approx(585, abs=10)


def test_no_number_is_zero_because_a_zero_makes_no_feature() -> None:
    assert all(event[f"I{at + 1}"] != 0 for event in events(Stream(2_000)) for at in range(NUMBERS))


def test_both_signs_and_about_a_quarter_of_positive_labels_occur() -> None:
    made = events(Stream(20_000))
    assert {np.sign(event["I1"]) for event in made} == {-1, 1}  # type: ignore[arg-type]
    assert sum(event["_label"] == 1 for event in made) / len(made) == pytest.approx(0.25, abs=0.02)


def test_any_part_equals_the_same_part_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stream(300).lines(0, 300)
    monkeypatch.setattr(stream, "CHUNK_EVENTS", 70)
    assert b"".join(Stream(300).chunks()) == whole
    assert Stream(300).lines(100, 50).splitlines() == whole.splitlines()[100:150]


def test_another_seed_makes_other_events() -> None:
    assert Stream(50, seed=2).lines(0, 50) != Stream(50, seed=1).lines(0, 50)


def test_shuffled_events_are_the_same_events_with_another_order_of_keys_each() -> None:
    plain, shuffled = events(Stream(200)), events(Stream(200, "shuffled"))
    assert shuffled == plain
    assert len({tuple(event) for event in shuffled}) == 200


def test_identified_events_never_repeat_an_id_and_advance_in_time() -> None:
    made = events(Stream(200_000, identified=True))[::999]
    assert [event["id"] for event in made] == list(range(0, 200_000, 999))
    times = [event["time"] for event in made]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(199_800 / stream.EVENTS_PER_SECOND, abs=0.002)  # type: ignore[operator]


def test_frequent_values_are_frequent_and_large_cardinalities_have_a_long_tail() -> None:
    made = events(Stream(20_000))
    for name, least, most in (("C9", 3, 3), ("C3", 5_000, 20_000)):
        values, occurrences = np.unique([event[name] for event in made], return_counts=True)
        assert least <= len(values) <= most
        assert occurrences.max() > 20 * np.median(occurrences) or name == "C9"


def test_the_file_is_written_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CACHE", tmp_path / "cache")
    path = Stream(100).path()
    assert path.read_bytes() == Stream(100).lines(0, 100)
    path.write_bytes(b"kept")
    assert Stream(100).path().read_bytes() == b"kept"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("layout", ["json", "shuffled", "text"])
def test_vowpal_wabbit_reads_the_same_39_features_and_its_constant_from_every_layout(layout: Layout) -> None:
    for made, plain in zip(features_by_vw(layout), features_by_vw("json"), strict=True):
        assert made == pytest.approx(plain)
        assert len(made) == NUMBERS + len(CARDINALITIES) + 1


def features_by_vw(layout: Layout) -> list[dict[int, float]]:
    with Workspace(f"{'' if layout == 'text' else '--json'} -b 24 --quiet") as workspace:
        lines = Stream(20, layout).lines(0, 20).decode().splitlines()
        examples = [workspace.parse(line) for line in lines]
        found = [dict(example.iter_features()) for example in examples]
        for example in examples:
            workspace.finish_example(example)
    return found


@pytest.mark.parametrize("layout", ["shuffled", "text"])
def test_vowpal_wabbit_learns_the_same_from_every_layout(tmp_path: Path, layout: Layout) -> None:
    def loss(made: Stream) -> float:
        file = tmp_path / made.layout
        file.write_bytes(made.lines(0, 2_000))
        outcome = vowpal_wabbit(file, "" if made.layout == "text" else "--json")
        assert outcome.events == 2_000
        assert outcome.logloss is not None
        return outcome.logloss

    assert loss(Stream(2_000, layout)) == pytest.approx(loss(Stream(2_000)), rel=1e-6)
