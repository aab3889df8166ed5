from __future__ import annotations

import io

import numpy
import orjson
import pytest
import xxhash
from safetensors.numpy import load

from stream_ml.errors import CannotContinue
from stream_ml.weights import artefact
from stream_ml.weights.artefact import ArtefactReader, ArtefactWriter, CorruptSnapshot
from stream_ml.weights.lines import NewerFormat
from tests.unit.weights.artefacts import MANIFEST, PARTS, image, rows_of


def whole(pieces: list[bytes]) -> tuple[bytes, str]:
    file = io.BytesIO()
    writer = ArtefactWriter(file)
    for piece in pieces:
        writer.add_rows(piece)
    checksum = writer.finish(MANIFEST, PARTS)
    return file.getvalue(), checksum


def test_the_safetensors_package_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "TENSOR_BYTES", 16 * 8)
    data, _ = whole(image())
    tensors = load(data)
    rows = b"".join(tensors[f"rows.{at:05}"].tobytes() for at in range(4))
    assert rows == b"".join(image())
    assert tensors["rows.00003"].shape == (6, 16)
    assert tensors["removed"].dtype == numpy.uint64
    assert tensors["removed"].tolist() == [3, 5]
    assert tensors["model"].tobytes() == PARTS.model
    assert len(tensors) == 4 + len(PARTS)


def test_the_bytes_do_not_depend_on_how_the_rows_were_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "TENSOR_BYTES", 16 * 7)
    rows = b"".join(image())
    assert whole([rows]) == whole([rows[at : at + 16] for at in range(0, len(rows), 16)])
    assert whole([rows]) == whole([rows, b""])


def test_the_bytes_do_not_depend_on_how_the_state_was_handed_over() -> None:
    file = io.BytesIO()
    state = (PARTS.state[at : at + 1] for at in range(len(PARTS.state)))
    checksum = ArtefactWriter(file).finish(MANIFEST, PARTS._replace(state=b"elsewhere"), state)
    assert len(PARTS.state) > 1
    assert (file.getvalue(), checksum) == whole([])


def test_a_model_without_rows_is_a_snapshot_too() -> None:
    data, checksum = whole([])
    reader = ArtefactReader(io.BytesIO(data), checksum, "x")
    reader.verify()
    assert list(reader.rows()) == []
    assert reader.parts() == PARTS
    assert len(load(data)) == len(PARTS)


def test_a_reader_holds_one_tensor_of_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "TENSOR_BYTES", 16 * 4)
    data, checksum = whole([rows_of(range(1, 11), 0.5)])
    reader = ArtefactReader(io.BytesIO(data), checksum, "x")
    assert [len(rows) for rows in reader.rows()] == [64, 64, 32]
    assert reader.manifest == MANIFEST


def test_the_checksum_stands_for_the_header_and_so_for_everything() -> None:
    data, checksum = whole(image())
    header = 8 + int.from_bytes(data[:8], "little")
    assert xxhash.xxh3_128_hexdigest(data[:header]) == checksum
    with pytest.raises(CorruptSnapshot, match="not the one that its name stands for"):
        ArtefactReader(io.BytesIO(data), "0" * 32, "x")


def test_a_snapshot_of_a_newer_release_says_to_upgrade() -> None:
    header = orjson.dumps({"__metadata__": {"format": "2", "novelty": "x"}})
    data = len(header).to_bytes(8, "little") + header
    with pytest.raises(NewerFormat, match="upgrade"):
        ArtefactReader(io.BytesIO(data), xxhash.xxh3_128_hexdigest(data), "x")


def test_a_manifest_is_read_strictly() -> None:
    header = orjson.dumps({"__metadata__": {"format": "1", "manifest": "[{}, {}]"}})
    data = len(header).to_bytes(8, "little") + header
    with pytest.raises(CorruptSnapshot, match="fingerprint"):
        ArtefactReader(io.BytesIO(data), xxhash.xxh3_128_hexdigest(data), "x")


def test_more_tensors_than_the_header_has_room_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "TENSOR_BYTES", 16)
    with pytest.raises(CannotContinue, match="do not fit"):
        whole([rows_of(range(1, 3000), 1.0)])
