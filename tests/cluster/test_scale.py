"""More and fewer predictors, by a number, by the autoscaler; and who may be sent away meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.api import Object, Refused
from tests.cluster.control_plane import ControlPlane
from tests.cluster.release import NAME, CommandFailed, Release, is_ready, ready
from tests.cluster.simulated import NODES, WORKERS, cordon
from tests.helm.chart import merged
from tests.servers.processes import wait_until

DEV, PROD = ["values-dev.yaml"], ["values-prod.yaml"]


@pytest.fixture
def closed(plane: ControlPlane) -> Iterator[ControlPlane]:
    """The cluster, whose nodes a test may close: they are open again after it."""
    yield plane
    for node in NODES:
        cordon(plane.api, node, closed=False)


def serving(release: Release, service: str) -> list[Object]:
    return [*filter(is_ready, release.pods(service))]


def evict(release: Release, pod: Object) -> None:
    """Send a pod away, as `kubectl drain` does."""
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    release.api.ask("POST", f"{release.path('pods', name)}/eviction", eviction)


def may_go(release: Release, service: str) -> int:
    return int(release.get("policy/v1/poddisruptionbudgets", service)["status"]["disruptionsAllowed"])


@pytest.mark.parametrize("count", [4, 1])
def test_predictors_become_as_many_as_is_said_and_all_are_asked(count: int, release: Release) -> None:
    release.install(DEV, {"predictor": {"replicas": 2}})
    release.upgrade(DEV, {"predictor": {"replicas": count}})
    addresses = {pod["status"]["podIP"] for pod in serving(release, "predictor")}
    assert len(addresses) == count
    wait_until(lambda: asked(release) == addresses)


def asked(release: Release) -> set[str]:
    """Return the addresses that calls to the predictors' Service go to."""
    named = {"labelSelector": f"kubernetes.io/service-name={NAME}-stream-ml-predictor"}
    slices = release.api.all(release.path("discovery.k8s.io/v1/endpointslices"), **named)
    assert {port["port"] for each in slices for port in each["ports"]} == {7590}
    ends = [end for each in slices for end in each["endpoints"] if end["conditions"]["ready"]]
    return {address for end in ends for address in end["addresses"]}


def test_the_autoscaler_is_asked_and_an_upgrade_does_not_undo_what_it_did(release: Release) -> None:
    release.install(PROD)
    wait_until(lambda: len(serving(release, "predictor")) == 3)  # its least; Helm says nothing of a number
    release.upgrade(PROD, {"predictor": {"autoscaling": {"minReplicas": 5}}})
    wait_until(lambda: len(serving(release, "predictor")) == 5, 30, release.told)
    with release.watching_pods("predictor") as states:
        change = {"settings": {"server_threads": 3}, "autoscaling": {"minReplicas": 4}}
        release.upgrade(PROD, {"predictor": change})
    assert {len(ready(state.values())) for state in states} == {5, 6}


def test_an_autoscaler_takes_over_from_a_number(release: Release) -> None:
    """Helm takes the number away; without one a Deployment has one pod. docs/kubernetes.md warns of it."""
    release.install(DEV, {"predictor": {"replicas": 3}})
    with release.watching_pods("predictor") as states:
        release.upgrade(DEV, {"predictor": {"autoscaling": {"kind": "hpa", "minReplicas": 3}}})
        wait_until(lambda: may_go(release, "predictor") == 1 and len(serving(release, "predictor")) == 3)
    counts = [len(ready(state.values())) for state in states]
    assert (counts[0], min(counts), counts[-1]) == (3, 1, 3)


@pytest.mark.parametrize("nodes", [3, 1])
def test_there_is_a_place_for_more_predictors_than_nodes(
    nodes: int, release: Release, closed: ControlPlane
) -> None:
    """Nodes that take none of them, as one with a GPU, must not count where pods are spread."""
    for node in WORKERS[nodes:]:
        cordon(closed.api, node, closed=True)
    change = {"predictor": {"autoscaling": {"minReplicas": 5}}, "learner": {"replicas": nodes}}
    release.install(PROD, change)
    wait_until(lambda: len(serving(release, "predictor")) == 5, 30, release.told)
    release.upgrade(PROD, merged(change, {"settings": {"log_level": "debug"}}))


@pytest.mark.parametrize("service", ["learner", "predictor"])
def test_one_may_be_sent_away_and_no_other_until_there_is_another(
    service: str, release: Release, closed: ControlPlane
) -> None:
    release.install(DEV, {"predictor": {"replicas": 3}})
    wait_until(lambda: may_go(release, service) == 1)
    for node in NODES:
        cordon(closed.api, node, closed=True)
    first, second, *_ = serving(release, service)
    evict(release, first)
    with pytest.raises(Refused, match="disruption budget") as refused:
        evict(release, second)
    assert refused.value.code == 429
    wanted = len(serving(release, service)) + 1
    for node in NODES:
        cordon(closed.api, node, closed=False)
    wait_until(lambda: len(serving(release, service)) == wanted)
    wait_until(lambda: may_go(release, service) == 1)
    evict(release, second)


def test_a_pod_that_never_gets_ready_does_not_hold_a_node(release: Release) -> None:
    release.install(DEV, {"predictor": {"replicas": 3}})
    never = {"replicas": 3, "podAnnotations": {"tests/never-ready": "yes"}}
    with pytest.raises(CommandFailed):
        release.upgrade(DEV, {"predictor": never}, seconds=4)
    good, *_ = serving(release, "predictor")
    (bad,) = [pod for pod in release.pods("predictor") if not is_ready(pod)]
    evict(release, good)
    evict(release, bad)
