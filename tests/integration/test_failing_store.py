"""A learner whose snapshot store is full, forbidden or away: it learns on, and says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from stream_ml.runtime.metrics import REGISTRY
from stream_ml.weights.lines import Snapshot
from stream_ml.weights.snapshots import SnapshotStore, StoreUnavailable
from tests.clicks import events
from tests.servers.objects import ObjectServer, Proxy, client_settings
from tests.servers.processes import wait_until
from tests.unit.learning.rig import BackgroundLife, Rig
from tests.unit.weights.artefacts import store_one

# Room for three snapshots, each a little more than its header of 256 KiB, and not for a fourth.
SMALL_BYTES = 1 << 20
# The client of an object store tries again by itself, each time after a longer pause, before it says that it
# failed: on a busy machine that adds up.
PATIENCE_SECONDS = 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one MiB; whoever is not root has no such thing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(disk))
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def mount(*arguments: str) -> None:
    done = try_mount(*arguments)
    if done.returncode:
        explain = f"a tmpfs cannot be mounted ({done.stderr.strip()}): run the tests as root"
        if os.environ.get("CI") == "true":
            pytest.fail(explain)
        pytest.skip(explain)


def try_mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.overrides["snapshot_interval_seconds"] = 0.02
    return rig


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"stream_ml_learner_{name}", {"model": "clicks"}) or 0.0


def announced(rig: Rig) -> list[int]:
    return [entry.line.step for entry in rig.journal() if isinstance(entry.line, Snapshot)]


def learn(rig: Rig, life: BackgroundLife, count: int) -> None:
    """Send the next events and wait until they are learned."""
    rig.send(events(count, rig.log.bounds("events", 0).next))
    life.wait_until_learned()


def learn_until_it_fails(rig: Rig, life: BackgroundLife) -> None:
    """Go on learning until the store has failed."""
    before = metric("snapshot_failures_total")

    def failed() -> bool:
        learn(rig, life, 20)
        return metric("snapshot_failures_total") > before

    wait_until(failed, PATIENCE_SECONDS)
    wait_until(lambda: metric("snapshot_store_fails") == 1, PATIENCE_SECONDS)


def check_whole_again(rig: Rig, life: BackgroundLife) -> None:
    """The next snapshot is whole, nothing half-written is left, and a new life has the same bits."""
    learn(rig, life, 100)
    assert life.loop is not None
    loop = life.loop
    wait_until(
        lambda: announced(rig)[-1:] == [loop.step],
        PATIENCE_SECONDS,
        lambda: f"step {loop.step}, announced {announced(rig)}, {metric('snapshot_failures_total')} failures",
    )
    wait_until(lambda: metric("snapshot_store_fails") == 0, PATIENCE_SECONDS)
    life.end()
    assert not list(rig.folder.rglob("*.partial"))
    learned = rig.log.bounds("events", 0).next
    assert sum(life.counts[name] for name in ("learned", "duplicates", "refused")) == learned
    assert rig.run_to_the_end().digest == life.digest


def test_a_full_disk_costs_snapshots_and_not_one_event(rig: Rig, small_disk: Path) -> None:
    rig.store = SnapshotStore(str(small_disk))
    life = rig.in_background()
    learn_until_it_fails(rig, life)
    assert len(list(small_disk.rglob("*.safetensors"))) == 3
    mount("-o", f"remount,size={4 * SMALL_BYTES}", str(small_disk))
    check_whole_again(rig, life)


def test_a_store_that_may_not_be_written_costs_snapshots_and_not_one_event(
    rig: Rig, small_disk: Path
) -> None:
    rig.store = SnapshotStore(str(small_disk))
    life = rig.in_background()
    learn(rig, life, 50)
    # Root may write what it is forbidden to; no one can write to a file system that is read-only.
    # While a snapshot is being written there it is busy.
    wait_until(lambda: try_mount("-o", "remount,ro", str(small_disk)).returncode == 0)
    learn_until_it_fails(rig, life)
    mount("-o", f"remount,rw,size={4 * SMALL_BYTES}", str(small_disk))
    check_whole_again(rig, life)


def test_a_server_of_objects_that_dies_costs_snapshots_and_not_one_event(
    rig: Rig, objects: ObjectServer, proxy: Proxy
) -> None:
    rig.store = SnapshotStore(objects.bucket())
    life = rig.in_background()
    learn(rig, life, 50)
    proxy.cut_after_bytes = 0
    learn_until_it_fails(rig, life)
    proxy.cut_after_bytes = None
    check_whole_again(rig, life)


@pytest.fixture
def proxy(objects: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The only way to the objects that this test's stores know."""
    proxy = Proxy(objects.port)
    monkeypatch.setitem(fsspec.config.conf, "s3", client_settings(proxy.port))
    yield proxy
    proxy.close()


def test_an_upload_that_breaks_off_is_no_snapshot_and_the_next_one_is_whole(
    objects: ObjectServer, proxy: Proxy
) -> None:
    store = SnapshotStore(objects.bucket())
    first = store_one(store, 1)
    proxy.cut_after_bytes = 100_000
    with pytest.raises(StoreUnavailable, match="nothing is lost"):
        store_one(store, 2)
    proxy.cut_after_bytes = None
    assert store.names("m") == [first]
    second = store_one(store, 2)
    store.verify(second)
    assert store.names("m") == [second, first]


def test_a_list_that_takes_its_time_delays_no_learning(rig: Rig, objects: ObjectServer, proxy: Proxy) -> None:
    rig.store = SnapshotStore(objects.bucket())
    life = rig.in_background()
    learn(rig, life, 50)
    wait_until(lambda: announced(rig)[-1:] != [])
    proxy.delay_seconds = 1.0
    kept = len(announced(rig))
    learn(rig, life, 2000)
    assert len(announced(rig)) <= kept + 1, "all was learned while the store still answered the first call"
    proxy.delay_seconds = 0.0
    check_whole_again(rig, life)
