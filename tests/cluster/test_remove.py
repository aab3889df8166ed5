"""What a release leaves behind when it goes."""

from __future__ import annotations

import pytest

from tests.cluster.release import NAME, Release
from tests.cluster.test_install import FILES
from tests.servers.processes import wait_until

# What is of the namespace, of the tests, or what had happened.
NOT_OURS = {"Event", "ServiceAccount default", "ConfigMap kube-root-ca.crt", "ConfigMap bookings-model"}
NOT_OURS |= {f"Secret stream-ml-{of}" for of in ("kafka", "redis", "snapshots")}


def left(release: Release) -> set[str]:
    found = {
        f"{each['kind']} {each['metadata']['name']}" for each in release.api.everything(release.namespace)
    }
    return {each for each in found if not {each, each.split()[0]} & NOT_OURS}


@pytest.mark.parametrize(
    ("name", "kept"), [("dev", {"snapshots"}), ("prod", {"retrainer"}), ("gpu", {"retrainer"})]
)
def test_only_volumes_stay(name: str, kept: set[str], release: Release) -> None:
    release.install(FILES[name])
    assert len(left(release)) > 20
    release.helm("test", NAME)
    release.helm("uninstall", NAME, "--wait")
    volumes = {f"PersistentVolumeClaim {NAME}-stream-ml-{each}" for each in kept}
    wait_until(lambda: left(release) == volumes, 30, lambda: str(left(release)))


def test_a_release_that_comes_again_has_the_volumes_of_the_one_before(release: Release) -> None:
    def volume() -> str:
        return str(release.get("persistentvolumeclaims", "snapshots")["spec"]["volumeName"])

    release.install(FILES["dev"])
    before = volume()
    release.helm("uninstall", NAME, "--wait")
    release.install(FILES["dev"])
    assert volume() == before
