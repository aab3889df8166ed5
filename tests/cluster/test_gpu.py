"""The GPU's CronJob makes Jobs whose pods find the node with a GPU, and nothing else goes there."""

from __future__ import annotations

from tests.cluster.release import NAME, Release
from tests.cluster.simulated import GPU_NODE
from tests.cluster.test_install import FILES
from tests.servers.processes import wait_until


def work(release: Release, *jobs: str) -> dict[str, set[str]]:
    """Make Jobs as docs/kubernetes.md says; once all have ended return the nodes of pods, by their Job."""
    for job in jobs:
        release.kubectl("create", "job", f"--from=cronjob/{NAME}-stream-ml-retrainer-gpu", job)
    ended = f"--for=condition=complete job/{' job/'.join(jobs)}"
    release.kubectl("wait", "--timeout=30s", *ended.split())
    nodes: dict[str, set[str]] = {}
    for pod in release.pods():
        nodes.setdefault(pod["metadata"]["labels"].get("job-name", ""), set()).add(pod["spec"]["nodeName"])
    return nodes


def test_a_retrainer_that_is_asked_for_works_on_the_gpu_and_ends(release: Release) -> None:
    release.install(FILES["gpu"])
    nodes = work(release, "once")
    assert nodes.pop("once") == {GPU_NODE}
    assert GPU_NODE not in set.union(*nodes.values())
    assert release.warnings == []


def test_the_second_of_two_waits_for_the_one_gpu(release: Release) -> None:
    release.install(FILES["gpu"])
    nodes = work(release, "first", "second")
    assert nodes["first"] == nodes["second"] == {GPU_NODE}
    wait_until(lambda: "Insufficient nvidia.com/gpu" in release.told())
