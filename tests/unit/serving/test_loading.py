import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_ml.features import compile_model
from stream_ml.serving.loading import Loaded, RefusedSnapshot, load_in_background, load_snapshot
from stream_ml.weights.lines import Announced
from tests.clicks import MODEL, event
from tests.scripted import ScriptedWriter


@pytest.fixture
def writer(tmp_path: Path) -> ScriptedWriter:
    writer = ScriptedWriter(tmp_path)
    writer.begin()
    writer.learn(500)
    writer.publish()
    return writer


def newest(writer: ScriptedWriter) -> Announced:
    return writer.journal.state.variants[writer.variant].snapshots[-1]


def load(writer: ScriptedWriter) -> Loaded:
    return load_snapshot(writer.store, newest(writer), writer.plan.fingerprint)


def test_a_snapshot_is_loaded_as_of_its_step_with_the_plan_inside_it(writer: ScriptedWriter) -> None:
    writer.snapshot()
    loaded = load(writer)
    learned = writer.learner.digest()
    found = loaded.replica.digest()
    assert (found["rows"], found["rows_hash"]) == (learned["rows"], learned["rows_hash"])
    assert (loaded.replica.step, loaded.replica.learned_at) == (1, loaded.manifest.learned_at)
    assert loaded.plan.source == writer.model.plan_bytes
    assert loaded.replica.score([event(3)])[0]["prediction"] == writer.prediction(event(3))


def test_a_snapshot_that_is_not_there_is_refused(writer: ScriptedWriter) -> None:
    name = writer.snapshot()
    writer.store.remove([name])
    with pytest.raises(RefusedSnapshot, match="not in the store") as refused:
        load(writer)
    assert refused.value.reason == "gone"


def test_every_flipped_bit_and_every_truncation_is_refused(
    writer: ScriptedWriter, rounds: Callable[[int, int], int]
) -> None:
    path = writer.folder / "snapshots" / str(writer.snapshot())
    whole, dice = path.read_bytes(), random.Random(5)
    for _ in range(rounds(100, 2000)):
        at = dice.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << dice.randrange(8)
        for broken in (bytes(damaged), whole[:at]):
            path.write_bytes(broken)
            with pytest.raises(RefusedSnapshot) as refused:
                load(writer)
            assert refused.value.reason == "corrupt"


def test_a_plan_of_another_fingerprint_is_refused_whatever_the_manifest_says(writer: ScriptedWriter) -> None:
    other = compile_model(MODEL.replace("l1 = 0.05", "l1 = 0.5"))
    writer.snapshot(plan=other.plan_bytes)
    with pytest.raises(RefusedSnapshot, match=f"its plan has fingerprint {other.fingerprint}") as refused:
        load(writer)
    assert refused.value.reason == "fingerprint"


def test_a_plan_that_this_release_cannot_run_is_refused_and_the_hint_is_to_upgrade(
    writer: ScriptedWriter,
) -> None:
    writer.snapshot(plan=writer.model.plan_bytes.replace(b'"format":1', b'"format":9'))
    with pytest.raises(RefusedSnapshot, match="upgrade") as refused:
        load(writer)
    assert refused.value.reason == "plan"


def test_what_fails_in_the_background_is_told_to_whoever_asks(writer: ScriptedWriter) -> None:
    writer.damage(writer.snapshot())
    loading = load_in_background(writer.store, newest(writer), writer.plan.fingerprint)
    with pytest.raises(RefusedSnapshot):
        loading.result(20)
    writer.snapshot(fingerprint=None)
    assert load_in_background(writer.store, newest(writer), writer.plan.fingerprint).result(20)
