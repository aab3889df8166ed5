"""``export``: what other tools read in the files is what the learner learns."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Any

import crc32c
import numpy
import orjson
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet
from safetensors import safe_open
from sklearn.datasets import load_svmlight_file
from tfrecord.reader import tfrecord_loader
from vowpalwabbit import Workspace

from loadtest.model import MODEL_FILE
from loadtest.peers import ALPHA, BETA, VW_BITS
from loadtest.stream import Stream
from stream_ml._native import Learner, Plan
from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from tests.unit.cli.test_inspect import taken

MODEL = """
name = "shop"
label = "bought"
timestamp = "at"
importance = "worth"
[features]
user = "user"
price = "log1p(price)"
words = "words(title)"
"""
EVENTS: list[dict[str, Any]] = [
    {"bought": 1, "at": 1_700_000_000.5, "user": "ana", "price": 3, "title": "red hat"},
    {"bought": "?", "at": 1_700_000_001, "user": "bo"},
    {"bought": 0, "at": 1_700_000_002, "user": "bo", "price": 1e5},
    {"bought": 0, "at": 1_700_000_003, "title": "a red scarf"},
]
LINES = [orjson.dumps(event) for event in EVENTS]
ACCEPTED = [LINES[0], LINES[2], LINES[3]]
PLAN = Plan(compile_model(MODEL).plan_bytes)
# What the learner makes of each: (slot, value text, id, x) of its features.
FEATURES = [PLAN.explain(line)["features"] for line in ACCEPTED]
VW_EVENTS = 20_000
VW_FTRL = f"--ftrl --ftrl_alpha {ALPHA} --ftrl_beta {BETA} --l1 0 --l2 0"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shop.toml").write_text(MODEL)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(LINES))
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["export", *arguments])
    if result.exception is not None:
        raise result.exception
    return result


def exported(files: Path, name: str) -> Path:
    output = files / name
    result = run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), str(output), "--json")
    assert orjson.loads(result.stdout) == {"examples": 3, "refused": {"wrong_type": 1}, "skipped": 0}
    return output


def test_scikit_learn_reads_libsvm_and_each_column_is_a_feature_id_of_the_learner(files: Path) -> None:
    output = exported(files, "events.libsvm")
    matrix, labels = load_svmlight_file(str(output), zero_based=False)
    ids = [int(line, 16) for line in (files / "events.libsvm.ids").read_text().splitlines()]
    assert labels.tolist() == [1, 0, 0]
    assert matrix.shape == (3, len(ids))
    for row, features in zip(matrix, FEATURES, strict=True):
        found = {ids[column]: value for column, value in zip(row.indices, row.data, strict=True)}
        assert found == {id: pytest.approx(x, rel=1e-7) for _, _, id, x in features}


@pytest.mark.parametrize("kind", ["libsvm", "vw", "tfrecord", "parquet"])
def test_the_output_may_be_the_file_that_is_read(files: Path, kind: str) -> None:
    model, events, apart = (str(files / name) for name in ("shop.toml", "events.jsonl", "apart"))
    for output in (apart, events):
        run("examples", model, events, output, "--format", "jsonl", "--as", kind)
    assert Path(events).read_bytes() == Path(apart).read_bytes()


def test_what_an_error_ends_leaves_the_file_that_was_there_and_nothing_else(files: Path) -> None:
    output, broken = files / "events.vw", files / "broken.csv"
    output.write_text("of yesterday")
    broken.write_text("bought,user\n1,ana\n0\n")
    there = set(files.iterdir())
    with pytest.raises(ConfigError, match="1 cells under a header of 2"):
        run("examples", str(files / "shop.toml"), str(broken), str(output))
    assert (output.read_text(), set(files.iterdir())) == ("of yesterday", there)


@pytest.mark.parametrize("name", ["no/such/folder.vw", "no/such/folder.libsvm", "no/such/folder.parquet"])
def test_an_output_that_cannot_be_written_is_told_of(files: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"folder\..*: cannot be written: .*\n  hint: "):
        run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), str(files / name))


def test_a_full_disk_is_told_of_and_a_device_is_written_to_as_it_is(files: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/full: cannot be written: No space left"):
        run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), "/dev/full", "--as", "vw")
    run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), "/dev/null", "--as", "vw")
    assert not Path("/dev/null").is_file()


def test_a_link_stays_one(files: Path) -> None:
    link = files / "link.vw"
    link.symlink_to("target.vw")
    exported(files, "link.vw")
    assert link.is_symlink()
    assert (files / "target.vw").read_bytes()


def test_an_independent_reader_reads_the_tfrecords(files: Path) -> None:
    output = exported(files, "events.tfrecord")
    records = list(tfrecord_loader(str(output), None))
    assert [record["label"].tolist() for record in records] == [[1.0], [0.0], [0.0]]
    assert [record["importance"].tolist() for record in records] == [[1.0]] * 3
    assert [record["timestamp_us"].tolist() for record in records] == [
        [1_700_000_000_500_000],
        [1_700_000_002_000_000],
        [1_700_000_003_000_000],
    ]
    for record, features in zip(records, FEATURES, strict=True):
        assert record["ids"].view(numpy.uint64).tolist() == [id for _, _, id, _ in features]
        assert record["values"].tolist() == [x for _, _, _, x in features]


def test_the_checksums_of_tfrecords_are_tensorflows(files: Path) -> None:
    data, at, records = exported(files, "events.tfrecord").read_bytes(), 0, 0

    def is_checked(start: int, end: int) -> bool:
        crc = crc32c.crc32c(data[start:end])
        (stored,) = struct.unpack_from("<I", data, end)
        return bool(stored == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        assert is_checked(at, at + 8)
        assert is_checked(at + 12, at + 12 + length)
        at, records = at + 16 + length, records + 1
    assert records == 3


def test_parquet_has_a_column_for_each_slot(files: Path) -> None:
    rows = parquet.read_table(exported(files, "events.parquet")).to_pylist()
    assert [row["features.user"] for row in rows] == ["ana", "bo", None]
    assert [row["features.words"] for row in rows] == [["red", "hat"], None, ["a", "red", "scarf"]]
    assert rows[0]["features.price"] == pytest.approx(numpy.log1p(3))
    assert [row["label"] for row in rows] == [1.0, 0.0, 0.0]
    assert rows[2]["timestamp_us"] == 1_700_000_003_000_000


def test_vowpal_wabbit_learns_its_text_to_the_same_progressive_loss(tmp_path: Path) -> None:
    lines = Stream(VW_EVENTS).lines(0, VW_EVENTS).splitlines()
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    # VW begins with even odds; ours else with those of the first events.
    (tmp_path / "model.toml").write_text(f"{MODEL_FILE.read_text()}\nbase_rate = 0.5\n")
    run("examples", str(tmp_path / "model.toml"), str(tmp_path / "events.jsonl"), str(tmp_path / "events.vw"))
    learner = Learner(Plan(compile_model(tmp_path / "model.toml").plan_bytes))
    learner.learn([(0, lines, [0] * len(lines))])
    workspace = Workspace(f"-d {tmp_path}/events.vw --quiet -b {VW_BITS} --loss_function logistic {VW_FTRL}")
    assert workspace.get_weighted_examples() == VW_EVENTS
    loss = workspace.get_sum_loss() / VW_EVENTS
    workspace.finish()
    assert loss == pytest.approx(learner.metrics()["log_loss"], abs=0.0005)


def test_vw_text_says_importance_and_labels_as_vw_wants_them(files: Path) -> None:
    (files / "events.jsonl").write_bytes(b'{"bought": true, "at": 1, "user": "ana", "worth": 2.5}')
    (files / "shop.toml").write_text(MODEL.replace('"bought"', '"bool(bought)"'))
    run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), str(files / "events.vw"))
    ((_, _, id, _),) = PLAN.explain(b'{"user": "ana"}')["features"]
    assert (files / "events.vw").read_text() == f"1 2.5 | {id}:1\n"


@pytest.mark.parametrize(
    ("event", "output", "complaint"),
    [
        (b'{"bought": 1, "at": 1, "worth": 3}', "events.libsvm", "libsvm has no place for importance"),
        (b'{"bought": 0.5, "at": 1}', "events.vw", "takes the labels 0 and 1, an event has 0.5"),
        (b'{"bought": 1, "at": 1}', "events.txt", "the extension names no format"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(files: Path, event: bytes, output: str, complaint: str) -> None:
    (files / "events.jsonl").write_bytes(event)
    with pytest.raises(ConfigError, match=complaint):
        run("examples", str(files / "shop.toml"), str(files / "events.jsonl"), str(files / output))


def test_weights_are_those_of_the_snapshot(tmp_path: Path) -> None:
    name, plan = taken(tmp_path)
    events = tmp_path / "events.jsonl"
    events.write_bytes(b'{"color": "red"}\n{"color": "blue", "size": 2}')
    store = str(tmp_path / "store")
    said = run("weights", str(tmp_path / "w.csv"), "--snapshot", store, "--events", str(events))
    assert said.stdout == f"4 weights of {name} to {tmp_path / 'w.csv'}\n"
    run("weights", str(tmp_path / "w.safetensors"), "--snapshot", store)
    with safe_open(tmp_path / "w.safetensors", "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in ("ids", "w", "z", "n")}
        assert file.metadata()["fingerprint"]
    with (tmp_path / "w.csv").open() as text:
        rows = {int(row["id"], 16): row for row in csv.DictReader(text)}
    for id, w, z, n in zip(*(tensors[key] for key in ("ids", "w", "z", "n")), strict=True):
        assert [numpy.float32(rows[int(id)][key]) for key in ("w", "z", "n")] == [w, z, n]
    for slot, value, id, _ in plan.explain(b'{"color": "red"}')["features"]:
        assert (rows[id]["slot"], rows[id]["value"]) == (slot, value)
    with pytest.raises(ConfigError, match=r"\.csv or \.safetensors"):
        run("weights", str(tmp_path / "w.onnx"), "--snapshot", store)
