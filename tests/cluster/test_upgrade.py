"""Upgrades renew what reads something new, one after another; what cannot get ready takes nobody's place."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.cluster.api import Refused
from tests.cluster.release import NAME, CommandFailed, Release, component, ready
from tests.helm.chart import merged
from tests.servers.processes import wait_until

DEV, PROD = ["values-dev.yaml"], ["values-prod.yaml"]
THREE = {"predictor": {"replicas": 3}}
OTHER_THREADS = {"predictor": {"replicas": 3, "settings": {"server_threads": 3}}}
REDIS = {"learner": {"replicas": 3, "settings": {"weights": "redis://redis:6379"}}}


def names(release: Release) -> dict[str, set[str]]:
    """Return the ids of all pods, by service; a new pod of an old name is another."""
    found: dict[str, set[str]] = {}
    for pod in release.pods():
        found.setdefault(component(pod), set()).add(pod["metadata"]["uid"])
    return found


def renewed(before: dict[str, set[str]], after: dict[str, set[str]]) -> set[str]:
    return {name for name in before if not before[name] & after.get(name, set())}


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ({"predictor": {"settings": {"server_threads": 3}}}, {"predictor"}),
        ({"learner": {"settings": {"held_steps": 65}}}, {"learner", "retrainer", "topics"}),
    ],
    ids=["a predictor's", "a learner's"],
)
def test_a_changed_setting_renews_who_reads_it(
    change: dict[str, Any], of: set[str], release: Release
) -> None:
    release.install(DEV)
    before = names(release)
    release.upgrade(DEV, change)
    wait_until(lambda: renewed(before, names(release)) == of)  # what is not wanted any more goes by and by


def test_predictors_are_renewed_and_none_is_missing(release: Release) -> None:
    release.install(DEV, THREE)
    with release.watching_pods("predictor") as states:
        release.upgrade(DEV, OTHER_THREADS)
    counts = {len(ready(state.values())) for state in states}
    assert counts == {3, 4}
    assert not ready(states[0].values()) & ready(states[-1].values())


def test_learners_are_renewed_one_by_one_the_last_first(release: Release) -> None:
    release.install(DEV)
    with release.watching_pods("learner") as states:
        release.upgrade(DEV, {"learner": {"settings": {"held_steps": 65}}})
    over_time = [ready(state.values()) for state in states]
    changes = [after for before, after in pairwise(over_time) if before != after]
    first, second = f"{NAME}-stream-ml-learner-0", f"{NAME}-stream-ml-learner-1"
    assert changes == [{first}, {first, second}, {second}, {first, second}]


def test_learners_that_share_the_work_are_renewed_one_by_one(release: Release) -> None:
    release.install(DEV, REDIS)
    with release.watching_pods("learner") as states:
        release.upgrade(DEV, merged(REDIS, {"learner": {"settings": {"held_steps": 65}}}))
    assert {len(ready(state.values())) for state in states} == {2, 3}
    assert max(map(len, states)) <= 4, "none more but who is about to go"


def test_predictors_that_never_get_ready_take_nobodys_place(release: Release) -> None:
    release.install(DEV, THREE)
    old = ready(release.pods("predictor"))
    never = {"predictor": {"podAnnotations": {"tests/never-ready": "yes"}}}
    with pytest.raises(CommandFailed, match="deadline exceeded"):
        release.upgrade(DEV, merged(OTHER_THREADS, never), seconds=6)
    assert ready(release.pods("predictor")) == old
    release.helm("rollback", NAME, "--wait", "--timeout=60s")
    assert {pod["metadata"]["name"] for pod in release.pods("predictor")} == old


def test_a_learner_that_never_gets_ready_leaves_the_writer_alone_and_a_rollback_replaces_it(
    release: Release,
) -> None:
    release.install(DEV)
    never = {"learner": {"podAnnotations": {"tests/never-ready": "yes"}}}
    with pytest.raises(CommandFailed, match="deadline exceeded"):
        release.upgrade(DEV, never, seconds=6)
    assert ready(release.pods("learner")) == {f"{NAME}-stream-ml-learner-0"}
    release.helm("rollback", NAME, "--wait", "--timeout=60s")
    assert len(ready(release.pods("learner"))) == 2


def test_a_setting_with_a_password_makes_a_secret_of_the_file(release: Release) -> None:
    release.install(DEV)
    release.upgrade(DEV, {"predictor": {"settings": {"kafka": {"sasl.password": "of-the-tests"}}}})
    with pytest.raises(Refused, match="not found"):
        release.get("configmaps", "predictor")
    (pod,) = release.pods("predictor")
    (secret,) = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert (
        "settings.toml"
        in release.get("secrets", secret["secretName"].removeprefix(f"{NAME}-stream-ml-"))["data"]
    )


def test_a_rollback_brings_back_what_was(release: Release) -> None:
    release.install(DEV, THREE)
    before = release.manifest()
    release.upgrade(DEV, {"predictor": {"replicas": 2, "settings": {"server_threads": 3}}})
    assert len(release.pods("predictor")) == 2
    assert release.manifest() != before
    release.helm("rollback", NAME, "1", "--wait", "--wait-for-jobs", "--timeout=60s")
    assert release.manifest() == before
    assert len(ready(release.pods("predictor"))) == 3
    assert "server_threads" not in release.get("configmaps", "predictor")["data"]["settings.toml"]


def test_learners_go_from_memory_to_redis_and_back(release: Release) -> None:
    def owners() -> list[str]:
        return [pod["metadata"]["ownerReferences"][0]["kind"] for pod in release.pods("learner")]

    release.install(DEV)
    release.upgrade(DEV, REDIS)
    wait_until(lambda: owners() == 3 * ["ReplicaSet"])
    release.helm("rollback", NAME, "--wait", "--timeout=60s")
    wait_until(lambda: owners() == 2 * ["StatefulSet"])


def test_topics_are_made_once_more_where_their_job_is_gone(release: Release) -> None:
    """Kubernetes removes it a day after its end."""
    release.install(DEV)
    (job,) = release.api.all(release.path("batch/v1/jobs"))
    release.kubectl("delete", "job", job["metadata"]["name"])
    release.upgrade(DEV)
    (again,) = release.api.all(release.path("batch/v1/jobs"))
    assert again["metadata"]["name"] == job["metadata"]["name"]
    assert again["status"]["succeeded"] == 1


def test_an_upgrade_that_changes_nothing_renews_nothing(release: Release) -> None:
    release.install(PROD)
    before = names(release)
    release.upgrade(PROD)
    assert names(release) == before
