from __future__ import annotations

import errno
from pathlib import Path

import pytest

from stream_ml.weights.artefact import CorruptSnapshot
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore, StoreUnavailable
from tests.unit.weights.artefacts import MANIFEST, PARTS, image, store_one


@pytest.mark.parametrize(
    "text", ["", "m/v/1-2.safetensors", "m/v/1-2-00.safetensors", f"a/m/v/1-2-{'0' * 32}.safetensors"]
)
def test_another_file_is_no_snapshot(text: str) -> None:
    with pytest.raises(ValueError, match=r"MODEL/VARIANT/EPOCH-STEP-CHECKSUM"):
        SnapshotName.parse(text)


def test_files_of_others_in_the_store_are_left_alone(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    name = store_one(store)
    stranger = tmp_path / "m/v/notes.safetensors"
    stranger.write_text("mine")
    assert store.names("m") == [name]
    store.retain([name], keep=1)
    assert stranger.exists()


def test_a_disk_that_fills_up_costs_the_snapshot_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        store_one(store)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    name = store_one(store)
    assert store.names("m") == [name]


def test_a_store_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable, match="store"):
        SnapshotStore(str(tmp_path / "store")).writer("m", "v")


def test_a_file_removed_under_a_writer_costs_the_snapshot_only(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    with store.writer("m", "v") as writer:
        writer.add_rows(image()[0])
        next(tmp_path.rglob("*.partial")).unlink()
        with pytest.raises(StoreUnavailable):
            writer.finish(MANIFEST, b"", PARTS)
    assert store.names("m") == []


def test_a_folder_taken_away_under_a_writer_costs_the_snapshot_only(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    with store.writer("m", "v") as writer:
        writer.add_rows(image()[0])
        (tmp_path / "m").rename(tmp_path / "away")
        (tmp_path / "m").write_text("a file where a folder was")
        with pytest.raises(StoreUnavailable):
            writer.finish(MANIFEST, b"", PARTS)
    (tmp_path / "m").unlink()
    (tmp_path / "away").rename(tmp_path / "m")
    assert store.names("m") == []
    assert store.clean("m", "v") == 1


@pytest.mark.parametrize("spoiled", ["a folder", "a link to itself", "unreadable blocks"])
def test_one_file_that_cannot_be_read_is_damage_and_no_absence_of_the_store(
    tmp_path: Path, spoiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SnapshotStore(str(tmp_path))
    name = store_one(store)
    path = tmp_path / str(name)
    path.unlink()
    if spoiled == "a folder":
        path.mkdir()
    elif spoiled == "a link to itself":
        path.symlink_to(path)
    else:
        store_one(store)

        def unreadable(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("stream_ml.weights.artefact.ArtefactReader.verify", unreadable)
    with pytest.raises(CorruptSnapshot, match="cannot be read"):
        store.verify(name)


def test_a_store_that_lets_nobody_in_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SnapshotStore(str(tmp_path))
    name = store_one(store)

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("stream_ml.weights.artefact.ArtefactReader.verify", forbidden)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        store.verify(name)
