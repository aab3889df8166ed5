"""The commands of docs/kubernetes.md, from top to bottom, on a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.conftest import MODEL
from tests.cluster.control_plane import BUILT, ControlPlane
from tests.docs import shell
from tests.docs.pages import DOCS, blocks
from tests.helm.chart import CHART

# No container engine is here, no container runs, and this test is of `make test-cluster`.
LEFT_OUT = ("podman", "kubectl -n ml exec", "make ")


def test_the_commands_of_the_page_install_upgrade_and_remove(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "helm").mkdir()
    (tmp_path / "helm" / "stream-ml").symlink_to(CHART)
    (tmp_path / "model.toml").write_text(MODEL)
    (tmp_path / "client.properties").write_text("security.protocol=SASL_SSL\n")
    changed = (CHART / "values-prod.yaml").read_text().replace("snapshots_kept: 5", "snapshots_kept: 6")
    (tmp_path / "my-values.yaml").write_text(changed)
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    monkeypatch.setenv("PATH", str(BUILT), prepend=":")
    try:
        script = shell.script(blocks(DOCS / "kubernetes.md"), LEFT_OUT)
        told = shell.run(script, tmp_path, {"REGISTRY": "registry.example.com"})
    finally:
        plane.api.ask("DELETE", "/api/v1/namespaces/ml")
    for said in (
        "STATUS: deployed",
        "Phase:          Succeeded",
        "Rollback was a success",
        'release "bookings" uninstalled',
    ):
        assert said in told
