"""``inspect``: what it says of a snapshot, against the scores of a replica that holds the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_ml._native import Learner, Plan, Replica
from stream_ml.cli import cli
from stream_ml.cli.stored import newest_of
from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from stream_ml.local.running import Running
from stream_ml.weights.artefact import CorruptSnapshot, Parts
from stream_ml.weights.snapshots import SnapshotName, SnapshotStore
from tests.unit.weights.artefacts import MANIFEST

MODEL = """
name = "m"
label = "y"
[features]
color = "color"
size = "number(size)"
[learner]
optimizer = "{optimizer}"
alpha = 0.2
beta = 0.7
l1 = 0.9
l2 = 0.3
"""
EVENTS = [
    {"color": color, "size": size, "y": int((n + size) % 3 == 0)}
    for n, color in enumerate(["red", "blue", "green"] * 20)
    for size in (-1.5, 0.5)
]
LINES = [orjson.dumps(event) for event in EVENTS]


def taken(
    folder: Path, optimizer: str = "ftrl", model: str = "m", epoch: int = 7
) -> tuple[SnapshotName, Plan]:
    """Learn, take a fuzzy image in the middle, and store it."""
    text = MODEL.format(optimizer=optimizer)
    (folder / "m.toml").write_text(text)
    plan = Plan(compile_model(folder / "m.toml").plan_bytes)
    learner = Learner(plan)
    learner.learn([(0, LINES[:60], [0] * 60)])
    learner.begin_image()
    with SnapshotStore(str(folder / "store")).writer(model, "v") as writer:
        writer.add_rows(learner.take_image(2))
        learner.learn([(0, LINES[60:], [0] * len(LINES[60:]))])
        writer.add_rows(learner.take_image(100))
        seal = learner.seal_image()
        parts = Parts(seal.removed, seal.state, seal.score_state, text.encode(), plan.source)
        manifest = replace(
            MANIFEST, model=model, epoch=epoch, total_rows=seal.total_rows, rows_hash=seal.rows_hash
        )
        return writer.finish(manifest, seal.rows, parts), plan


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["inspect", *arguments])


@pytest.fixture
def events(tmp_path: Path) -> str:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([*LINES, b'{"color": {}, "y": 1}']))
    return str(path)


@pytest.mark.parametrize("optimizer", ["ftrl", "adagrad", "sgd", "counting"])
def test_weights_are_those_that_score(tmp_path: Path, events: str, optimizer: str) -> None:
    name, plan = taken(tmp_path, optimizer)
    report = orjson.loads(run(str(tmp_path / "store"), "--events", events, "--json").stdout)
    assert (report["name"], report["rows"]) == (str(name), 4)
    assert [abs(each["w"]) for each in report["weights"]] == sorted(
        (abs(each["w"]) for each in report["weights"]), reverse=True
    )
    replica = Replica(plan)
    with SnapshotStore(str(tmp_path / "store")).open(name) as snapshot:
        for rows in snapshot.rows():
            replica.load_rows(rows)
    weights = {(each["slot"], each["value"]): each["w"] for each in report["weights"]}
    for color in ("red", "blue", "green"):
        event = orjson.dumps({"color": color, "size": 2.0})
        shares = dict(replica.score([event], contributions=True)[0]["contributions"])
        assert shares["color"] == pytest.approx(weights["color", color], rel=1e-6)
        assert shares["size"] == pytest.approx(2.0 * weights["size", None], rel=1e-6)


def test_of_a_snapshot_of_which_nothing_was_learned_it_says_so_and_when_the_next_comes(
    tmp_path: Path,
) -> None:
    plan = Plan(compile_model(MODEL.format(optimizer="ftrl")).plan_bytes)
    learner = Learner(plan)
    learner.begin_image()
    seal = learner.seal_image()
    parts = Parts(seal.removed, seal.state, seal.score_state, b"", plan.source)
    with SnapshotStore(str(tmp_path / "store")).writer("m", "v") as writer:
        writer.finish(replace(MANIFEST, step=0, rows_hash=seal.rows_hash), seal.rows, parts)
    text = run(str(tmp_path / "store")).stdout
    assert "nothing was learned yet" in text
    assert "snapshot_interval_seconds (60 unless set)" in text


@pytest.mark.parametrize("embedded", [True, False])
def test_of_a_service_that_was_just_tried_out_it_waits_for_the_first_snapshot_that_has_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedded: bool
) -> None:
    directory = tmp_path / "up"
    directory.mkdir()
    begun = taken(tmp_path)[0]
    empty, later = begun._replace(step=0), begun._replace(step=3)
    addresses = dict.fromkeys(
        ("bootstrap", "topic", "group", "predictor", "learner_http", "predictor_http"), ""
    )
    Running(model="m", embedded=embedded, snapshot_store=str(tmp_path / "store"), **addresses).save(directory)
    looks = iter([[empty], [empty], [empty, later]])
    monkeypatch.setattr(SnapshotStore, "names", lambda *_: next(looks))
    assert newest_of(directory)[1] == (later if embedded else empty)


def test_it_says_what_the_snapshot_is_and_names_only_what_the_sample_holds(tmp_path: Path) -> None:
    name, _ = taken(tmp_path)
    text = run(str(tmp_path / "store" / str(name)), "--top", "2").stdout
    assert f"snapshot  {name}" in text
    assert "step  40, of the writer with epoch 7" in text
    assert "rows  4 (" in text
    assert "nothing was learned" not in text
    assert text.count(" id ") == 2
    assert "--events FILE names" in text


def test_named_weights_are_shown_by_slot_and_value(tmp_path: Path, events: str) -> None:
    taken(tmp_path)
    text = run(str(tmp_path / "store"), "--events", events).stdout
    assert "green" in text
    assert "hint" not in text


def test_the_newest_of_the_store_that_up_left_is_taken_by_default(tmp_path: Path) -> None:
    taken(tmp_path, epoch=3)
    newest, _ = taken(tmp_path, epoch=11)
    (tmp_path / "store").rename(tmp_path / "snapshots")
    report = orjson.loads(run("--directory", str(tmp_path), "--json").stdout)
    assert report["name"] == str(newest)
    assert report["manifest"]["step"] == 40


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    name, _ = taken(tmp_path)
    path = tmp_path / "store" / str(name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert isinstance(run(str(path)).exception, CorruptSnapshot)


def test_what_cannot_be_found_is_said_with_a_hint(tmp_path: Path) -> None:
    for arguments, said in (
        (["--directory", str(tmp_path)], "give a snapshot, or the folder"),
        ([str(tmp_path)], "holds no snapshot of any model"),
        ([str(tmp_path / "notes.safetensors")], "is no snapshot's name"),
    ):
        error = run(*arguments).exception
        assert isinstance(error, ConfigError)
        assert said in str(error)


def test_a_store_of_several_models_asks_for_one(tmp_path: Path) -> None:
    taken(tmp_path)
    other, _ = taken(tmp_path, model="other")
    error = run(str(tmp_path / "store")).exception
    assert isinstance(error, ConfigError)
    assert "--model m or other" in str(error)
    report = orjson.loads(run(str(tmp_path / "store"), "--model", "other", "--json").stdout)
    assert report["name"] == str(other)
