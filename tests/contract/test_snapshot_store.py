"""What every snapshot store promises: a folder, objects in memory, and a real server of objects."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from stream_ml.errors import ConfigError
from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore, StoreUnavailable, load
from tests.servers.objects import ObjectServer, client_settings
from tests.unit.weights.artefacts import PARTS, Rows, image, store_one, truth

Damage = Callable[[SnapshotName, Callable[[bytes], bytes]], None]


@pytest.fixture(params=["folder", "objects", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "staging"))
    (tmp_path / "staging").mkdir()
    if request.param == "s3":
        server: ObjectServer = request.getfixturevalue("objects")
        monkeypatch.setitem(fsspec.config.conf, "s3", client_settings(server.port))
        return server.bucket()
    return f"memory://{uuid.uuid4()}" if request.param == "objects" else str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> SnapshotStore:
    return SnapshotStore(url)


@pytest.fixture
def damage(url: str) -> Damage:
    def apply(name: SnapshotName, change: Callable[[bytes], bytes]) -> None:
        with fsspec.open(f"{url}/{name}", "rb") as file:
            content = change(file.read())
        with fsspec.open(f"{url}/{name}", "wb") as file:
            file.write(content)

    return apply


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_snapshot_is_read_back_as_it_was_taken(store: SnapshotStore) -> None:
    name = store_one(store)
    table = Rows()
    with store.open(name) as snapshot:
        assert load(snapshot, table) == PARTS
        assert (snapshot.manifest.step, snapshot.manifest.events) == (40, {0: 5, 3: 2**40})
    assert table == truth(image())
    assert store.verify(str(name)).total_rows == len(table.rows)


def test_the_name_says_variant_epoch_step_and_checksum(store: SnapshotStore) -> None:
    name = store_one(store)
    assert name[:4] == ("m", "v", 7, 40)
    assert SnapshotName.parse(str(name)) == name
    assert store.names("m") == store.names("m", "v") == [name]


def test_names_come_newest_first(store: SnapshotStore) -> None:
    names = [store_one(store, step, epoch) for step, epoch in ((9, 30), (10, 2), (10, 12))]
    assert store.names("m", "v") == names[::-1]
    assert store.names("m", "other") == []


def test_a_name_is_never_overwritten(store: SnapshotStore) -> None:
    name = store_one(store)
    with pytest.raises(StoreUnavailable, match="never overwritten"):
        store_one(store)
    assert store.names("m") == [name]
    store.verify(name)


def test_a_flipped_bit_anywhere_is_seen(store: SnapshotStore, damage: Damage) -> None:
    name = store_one(store)
    with store.open(name) as snapshot:
        size = 2**18 + sum(snapshot.sizes.values())
    for at in [0, 7, 8, 100, 5000, 2**18 - 1, *range(2**18, size, 13), size - 1]:
        damage(name, flipped(at))
        with pytest.raises(CorruptSnapshot):
            store.verify(name)
        damage(name, flipped(at))
    store.verify(name)


@pytest.mark.parametrize("length", [0, 7, 8, 9, 4000, 2**18 - 1, 2**18, 2**18 + 1, 2**18 + 470, -1])
def test_a_truncated_file_is_seen(store: SnapshotStore, damage: Damage, length: int) -> None:
    name = store_one(store)
    damage(name, lambda content: content[:length])
    with pytest.raises(CorruptSnapshot):
        store.verify(name)


def test_bytes_after_the_end_are_seen(store: SnapshotStore, damage: Damage) -> None:
    name = store_one(store)
    damage(name, lambda content: content + b"\0")
    with pytest.raises(CorruptSnapshot, match="after its end"):
        store.verify(name)


def test_a_snapshot_under_another_name_is_seen(store: SnapshotStore, url: str) -> None:
    name = store_one(store)
    other = name._replace(step=41)
    with fsspec.open(f"{url}/{name}", "rb") as file, fsspec.open(f"{url}/{other}", "wb") as copy:
        copy.write(file.read())
    with pytest.raises(CorruptSnapshot, match="its manifest says v step 40"):
        store.verify(other)


def test_a_snapshot_that_is_not_there_is_named(store: SnapshotStore) -> None:
    with pytest.raises(CorruptSnapshot, match=r"m/v/1-2-0{32}\.safetensors: not in the store"):
        store.verify(SnapshotName("m", "v", 1, 2, "0" * 32))


def test_rows_that_differ_from_the_manifest_are_refused(store: SnapshotStore) -> None:
    name = store_one(store)
    table = Rows({99: b"leftover"})
    with store.open(name) as snapshot, pytest.raises(CorruptSnapshot, match="were loaded"):
        load(snapshot, table)


def test_three_that_verify_are_kept_and_a_bad_one_is_named_and_skipped(
    store: SnapshotStore, damage: Damage
) -> None:
    names = [store_one(store, step) for step in range(1, 7)]
    damage(names[4], flipped(-1))
    retained = store.retain(names)
    assert retained.kept == [names[5], names[3], names[2]]
    assert [str(names[4]) in str(error) for error in retained.bad] == [True]
    assert sorted(retained.removed) == names[:2]
    assert store.names("m") == names[:1:-1]


def test_nothing_is_removed_while_fewer_than_three_verify(store: SnapshotStore, damage: Damage) -> None:
    names = [store_one(store, step) for step in range(1, 5)]
    for name in names[:2]:
        damage(name, lambda content: content[:-1])
    retained = store.retain(names)
    assert (retained.kept, retained.removed, len(retained.bad)) == (names[:1:-1], [], 2)
    assert len(store.names("m")) == 4


def test_one_that_is_not_announced_counts_for_nothing_and_goes_when_it_is_old(store: SnapshotStore) -> None:
    names = [store_one(store, step) for step in range(1, 7)]
    announced = [names[1], names[2], names[4]]
    assert store.retain(announced).removed == [names[0]]
    assert store.names("m") == names[:0:-1]


def test_beyond_the_count_what_is_young_is_kept_too(store: SnapshotStore, damage: Damage) -> None:
    names = [store_one(store, step, created_at=100.0 * step) for step in range(1, 7)]
    damage(names[0], flipped(-1))
    assert store.retain(names, 3, created_since=200.0).removed == [names[0]]
    assert store.retain(names, 3, created_since=300.0).removed == [names[1]]
    assert store.retain(names, 3, created_since=1000.0).removed == [names[2]]
    assert store.names("m") == names[:2:-1]


def test_what_is_not_finished_leaves_nothing_behind(store: SnapshotStore, tmp_path: Path) -> None:
    with store.writer("m", "v") as writer:
        writer.add_rows(image()[0])
        assert len(list(tmp_path.rglob("*.partial"))) == 1
    assert list(tmp_path.rglob("*.partial")) == []
    assert store.names("m") == []
    store_one(store)
    assert list(tmp_path.rglob("*.partial")) == []


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(
    store: SnapshotStore, tmp_path: Path
) -> None:
    with store.writer("m", "v") as writer:
        (living,) = tmp_path.rglob("*.partial")
        dead = living.with_name("dead.partial")
        dead.write_bytes(b"half")
        assert store.clean("m", "v") == 1
        assert (living.exists(), dead.exists()) == (True, False)
        writer.abandon()
    assert store.clean("m", "v") == 0


@pytest.mark.parametrize("url", ["nowhere://bucket", "dask://bucket"])
def test_a_url_without_a_library_that_knows_it_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigError, match=f"snapshot_store: {url} cannot be opened"):
        SnapshotStore(url)


def test_a_store_whose_name_looks_like_a_pattern_knows_what_it_holds(url: str) -> None:
    store = SnapshotStore(f"{url}/ [prod] *")
    name = store_one(store)
    assert store.names(name.model) == [name]
