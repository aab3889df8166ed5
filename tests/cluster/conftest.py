"""The cluster that all tests of this folder share; each test has a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.control_plane import BUILT, ControlPlane
from tests.cluster.release import Release
from tests.cluster.simulated import furnish

MODEL = 'name = "bookings"\nlabel = "is_canceled"\n\n[features]\nhotel = "hotel"\n'
# What docs/kubernetes.md tells to make before the chart is installed.
SECRETS = {
    "stream-ml-kafka": "client.properties",
    "stream-ml-snapshots": "AWS_ACCESS_KEY_ID",
    "stream-ml-redis": "password",
}


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    if not (BUILT / "kwok").exists():
        pytest.fail(f"no control plane in {BUILT}: run make cluster")
    plane = ControlPlane(tmp_path_factory.mktemp("cluster"))
    try:
        furnish(plane.start())
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def release(plane: ControlPlane, tmp_path: Path) -> Iterator[Release]:
    """A release that is not installed yet; the namespace takes only pods of the strictest standard."""
    namespace = f"ml-{uuid.uuid4().hex[:6]}"
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    metadata = {"name": namespace, "labels": modes}
    plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    _prepare(plane, namespace)
    plane.api.warnings.clear()
    try:
        yield Release(plane, namespace, tmp_path)
    finally:
        plane.api.ask("DELETE", f"/api/v1/namespaces/{namespace}")


def _prepare(plane: ControlPlane, namespace: str) -> None:
    model = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bookings-model"}}
    plane.api.create({**model, "data": {"model.toml": MODEL}}, namespace)
    for name, key in SECRETS.items():
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        plane.api.create({**secret, "stringData": {key: "of-the-tests"}}, namespace)
