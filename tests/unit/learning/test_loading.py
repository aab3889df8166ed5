"""Damaged snapshots: each is named and skipped, and the learner begins with the one before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_ml.learning.loading import Loaded, Loader
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import go_on
from stream_ml.learning.topics import ensure_topics
from stream_ml.weights.artefact import HEAD_BYTES
from stream_ml.weights.journal import JournalReader
from tests.clicks import events
from tests.unit.learning.rig import Rig, new_learner

Damage = Callable[[bytes], bytes]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A rig whose learner has lived twice, and so left a snapshot of either end."""
    rig = Rig(tmp_path)
    for first in (0, 300):
        rig.send(events(300, first))
        rig.run_to_the_end()
    return rig


def loaded(rig: Rig) -> Loaded:
    """Return what a learner that starts now begins with."""
    topics = ensure_topics(rig.log, "clicks", "events", 2, 60.0)
    parties = Parties(rig.log, rig.store, topics, rig.model, "test", False, go_on)
    with JournalReader.open(rig.log, "clicks.journal") as known:
        known.read_to_end()
        return Loader(parties, lambda: new_learner(rig.model)).newest(known, "v1")


def step_of(path: Path) -> int:
    return int(path.name.split("-")[1])


def check_the_previous_one_serves(rig: Rig, damages: Iterator[Damage]) -> int:
    """Damage the newest snapshot in each way; return in how many."""
    previous, newest = rig.snapshots[-2:]
    whole = newest.read_bytes()
    assert loaded(rig).snapshot_step == step_of(newest)
    tried = 0
    for damage in damages:
        newest.write_bytes(damage(whole))
        found = loaded(rig)
        found.journal.close()
        assert (found.snapshot_step, found.has_snapshot) == (step_of(previous), True)
        tried += 1
    newest.write_bytes(whole)
    assert loaded(rig).snapshot_step == step_of(newest)
    return tried


def test_cut_off_at_any_boundary_it_is_refused_and_the_previous_one_serves(
    rig: Rig, rounds: Callable[[int, int], int]
) -> None:
    name = str(rig.snapshots[-1].relative_to(rig.folder / "snapshots"))
    with rig.store.open(name) as snapshot:
        sizes = list(snapshot.sizes.values())
    ends = [0, 8, HEAD_BYTES, *(HEAD_BYTES + sum(sizes[: at + 1]) for at in range(len(sizes)))]
    near = {end + off for end in ends for off in (-1, 0, 1)}
    every = range(HEAD_BYTES, ends[-1], rounds(997, 1))
    lengths = sorted(length for length in near.union(every) if 0 <= length < ends[-1])
    damages = ((lambda whole, length=length: whole[:length]) for length in lengths)
    assert check_the_previous_one_serves(rig, damages) > 15


def test_with_any_bit_flipped_it_is_refused_and_the_previous_one_serves(
    rig: Rig, rounds: Callable[[int, int], int]
) -> None:
    dice = random.Random(11)
    size = rig.snapshots[-1].stat().st_size

    def flips() -> Iterator[Damage]:
        for number in range(rounds(100, 4000)):
            # Every other one behind the header, which is most of so small a file.
            at = dice.randrange(HEAD_BYTES, size) if number % 2 else dice.randrange(size)
            bit = dice.randrange(8)
            yield lambda whole, at=at, bit=bit: flipped(whole, at, bit)

    assert check_the_previous_one_serves(rig, flips()) >= 100


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
