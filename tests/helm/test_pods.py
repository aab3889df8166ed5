"""What every pod of the chart has: few rights, bounds, probes that ask the right thing, and time to end."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.drift_monitor.__main__ import main as drift_monitor
from services.learner.__main__ import main as learner
from services.predictor.__main__ import main as predictor
from services.retrainer.__main__ import main as retrainer
from stream_ml import cli
from stream_ml.runtime.settings import PredictorSettings
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import ModelStatus
from tests.helm.chart import (
    CHART,
    DEV,
    GPU,
    PROD,
    RENDERED,
    SECRETS,
    SERVICES,
    merged,
    objects,
    one,
    pods,
    render,
)

ALL = [(name, who, pod) for name in RENDERED for who, pod in pods(objects(name))]
EVERY_POD = pytest.mark.parametrize(
    ("name", "pod"), [(n, p) for n, _, p in ALL], ids=[f"{n} {w}" for n, w, _ in ALL]
)
MAINS = {"learner": learner, "predictor": predictor, "drift_monitor": drift_monitor, "retrainer": retrainer}


def component(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def of_service(name: str, service: str, kind: str = "Deployment") -> dict[str, Any]:
    spec: dict[str, Any] = one(objects(name), kind, f"shop-stream-ml-{service.replace('_', '-')}")["spec"]
    return spec


def test_there_are_all_kinds_of_pods() -> None:
    assert {component(pod) for _, _, pod in ALL} == {*SERVICES, "topics", "test"}


@EVERY_POD
def test_a_pod_has_no_rights(name: str, pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    assert all("hostPath" not in volume for volume in spec.get("volumes", []))
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@EVERY_POD
def test_a_pod_has_its_own_account_without_a_token(name: str, pod: dict[str, Any]) -> None:
    if component(pod) != "test":  # it asks nobody of the cluster
        account = one(objects(name), "ServiceAccount", pod["spec"]["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False
        assert account["metadata"]["name"].endswith(component(pod).replace("_", "-"))


@EVERY_POD
def test_a_pod_says_what_it_needs_and_no_more_memory_than_it_may_have(name: str, pod: dict[str, Any]) -> None:
    for container in pod["spec"]["containers"]:
        resources = container["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in resources["limits"]
        assert "cpu" not in resources["limits"], "who is throttled misses heartbeats"


@EVERY_POD
def test_whatever_is_mounted_is_a_volume_and_the_other_way_round(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    mounts = [mount["name"] for mount in container.get("volumeMounts", [])]
    assert sorted(mounts) == sorted(volume["name"] for volume in pod["spec"].get("volumes", []))
    paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    assert len(set(paths)) == len(paths)


@EVERY_POD
def test_what_is_mounted_is_there_or_the_operators(name: str, pod: dict[str, Any]) -> None:
    theirs = {"of-kafka", "of-redis", "theirs", "bookings-model", *(f"of-{each}" for each in SERVICES)}
    theirs |= {"stream-ml-kafka", "stream-ml-redis"}
    there = {(each["kind"], each["metadata"]["name"]) for each in objects(name)}
    for volume in pod["spec"].get("volumes", []):
        named = {
            "ConfigMap": volume.get("configMap", {}).get("name"),
            "Secret": volume.get("secret", {}).get("secretName"),
            "PersistentVolumeClaim": volume.get("persistentVolumeClaim", {}).get("claimName"),
        }
        for kind, what in named.items():
            assert what is None or what in theirs or (kind, what) in there


@EVERY_POD
def test_probes_ask_whether_it_lives_and_whether_it_works(name: str, pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    if component(pod) not in SERVICES:
        return
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}
    assert {probe: get["path"] for probe, get in asked.items()} == {
        "startup": "/livez",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {get["port"] for get in asked.values()} == {"http"}
    assert ports["http"] == 9090
    patience = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
    longest = PredictorSettings.model_fields["broker_timeout_seconds"].default
    assert patience > 2 * longest, "a process ends by itself, with a reason, where brokers stay away"


@EVERY_POD
def test_the_command_is_one_that_there_is(
    name: str, pod: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (container,) = pod["spec"]["containers"]
    arguments = container["args"]
    if component(pod) in SERVICES:
        module, *options = arguments[1:]
        service = module.removeprefix("services.")
        assert service == component(pod)
        with pytest.raises(SystemExit) as ended:
            MAINS[service]([*options, "--help"])
        assert ended.value.code == 0
        known = re.findall(r"--[\w-]+", capsys.readouterr().out)
        assert {option for option in options if option.startswith("--")} <= {*known}
    elif component(pod) == "topics":
        assert arguments[:3] == ["-m", "stream_ml", "topics"]
        assert arguments[2] in cli.COMMANDS
        assert arguments[3:] == ["/etc/stream-ml/learner/settings.toml", *arguments[4:]]


def test_the_test_asks_with_what_the_client_has() -> None:
    (pod,) = [pod for _, pod in pods(objects("prod")) if component(pod) == "test"]
    _, program, address, *models = pod["spec"]["containers"][0]["args"]
    asked = {node.attr for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Attribute)}
    assert asked == {"argv", "exit", "models", "model"}
    assert hasattr(PredictorClient, "models")
    assert "model" in ModelStatus.__annotations__
    assert (address, models) == ("shop-stream-ml-predictor:7590", ["bookings"])


@pytest.mark.parametrize(("drain", "pre_stop"), [(0, 1), (10, 5), (20.5, 10), (120, 30)])
def test_a_predictor_has_time_to_drain(drain: float, pre_stop: int) -> None:
    change = {"predictor": {"preStopSeconds": pre_stop, "settings": {"drain_timeout_seconds": drain}}}
    found = one(render(merged(DEV, change)), "Deployment", "shop-stream-ml-predictor")
    spec = found["spec"]["template"]["spec"]
    assert spec["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": pre_stop}}
    assert spec["terminationGracePeriodSeconds"] >= drain + pre_stop + 10


def test_predictors_are_replaced_without_a_gap() -> None:
    assert of_service("prod", "predictor")["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    budget = one(objects("prod"), "PodDisruptionBudget", "shop-stream-ml-predictor")["spec"]
    assert budget["maxUnavailable"] == 1


def test_who_scales_predictors_is_one() -> None:
    assert of_service("dev", "predictor")["replicas"] == 1
    for name, kind in (("prod", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")):
        assert "replicas" not in of_service(name, "predictor")
        kinds = [each["kind"] for each in objects(name)]
        assert [each for each in kinds if each in ("HorizontalPodAutoscaler", "ScaledObject")] == [kind]


def test_a_learner_with_its_rows_in_memory_has_a_standby_of_a_steady_name() -> None:
    spec = of_service("prod", "learner", "StatefulSet")
    assert (spec["replicas"], spec["podManagementPolicy"]) == (2, "Parallel")
    assert one(objects("prod"), "Service", spec["serviceName"])["spec"]["clusterIP"] == "None"


def test_learners_with_rows_in_redis_are_alike() -> None:
    spec = of_service("gpu", "learner")
    assert spec["replicas"] == 3
    assert not [each for each in objects("gpu") if each["kind"] == "StatefulSet"]


@pytest.mark.parametrize("service", ["learner", "predictor"])
def test_pods_of_one_kind_are_spread(service: str) -> None:
    spec = of_service("prod", service, "StatefulSet" if service == "learner" else "Deployment")
    spread = spec["template"]["spec"]["topologySpreadConstraints"]
    assert [(each["topologyKey"], each["whenUnsatisfiable"]) for each in spread] == [
        ("kubernetes.io/hostname", "DoNotSchedule"),
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
    ]
    assert all(each["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"] for each in spread)
    assert {each["nodeTaintsPolicy"] for each in spread} == {"Honor"}, "nodes that take none do not count"


def checksums(values: dict[str, Any]) -> dict[str, str]:
    return {
        component(pod): hashlib.sha256(repr(pod["metadata"].get("annotations")).encode()).hexdigest()
        for who, pod in pods(render(values))
        if component(pod) in SERVICES and "CronJob" not in who
    }


@pytest.mark.parametrize(
    ("change", "renewed"),
    [
        ({"learner": {"settings": {"held_steps": 65}}}, {"learner", "retrainer"}),
        ({"predictor": {"settings": {"server_threads": 2}}}, {"predictor"}),
        ({"model": {"file": 'name = "bookings"\n'}}, {"learner", "retrainer"}),
        ({"settings": {"log_level": "info"}}, set(SERVICES)),
        ({"learner": {"replicas": 3}}, set()),
    ],
)
def test_pods_are_new_when_what_they_read_is(change: dict[str, Any], renewed: set[str]) -> None:
    before, after = checksums(DEV), checksums(merged(DEV, change))
    assert {name for name in before if before[name] != after[name]} == renewed


def test_secrets_of_the_operator_are_used_and_none_is_made() -> None:
    found = objects("secrets")
    assert not [each for each in found if each["kind"] == "Secret"]
    used = repr([pod for _, pod in pods(found)])
    for secret in SECRETS.values():
        assert secret["existingSecret"] in used
    for _, pod in pods(found):
        if component(pod) in SERVICES:
            names = [each["secretRef"]["name"] for each in pod["spec"]["containers"][0]["envFrom"]]
            assert names == ["of-snapshots"]


def test_a_gpu_is_asked_for_by_the_retrainer_alone() -> None:
    asking = [who for who, pod in pods(render(GPU)) if "nvidia.com/gpu" in str(pod["spec"]["containers"])]
    assert asking == ["CronJob shop-stream-ml-retrainer-gpu"]
    job = of_service("gpu", "retrainer-gpu", "CronJob")
    assert job["suspend"] is False
    pod = job["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert pod["containers"][0]["image"] == "stream-ml:0.1.0-cuda"
    assert of_service("keda", "retrainer-gpu", "CronJob")["suspend"] is True


@pytest.mark.parametrize(
    ("change", "image"),
    [
        ({"image": {"repository": "here/stream-ml"}}, "here/stream-ml:0.1.0-cuda"),
        ({"image": {"repository": "here/stream-ml", "tag": "7"}}, "here/stream-ml:7-cuda"),
        ({"retrainer": {"gpu": {"image": {"repository": "there/ml", "tag": "8"}}}}, "there/ml:8"),
    ],
)
def test_the_image_for_a_gpu_lies_beside_that_of_all(change: dict[str, Any], image: str) -> None:
    found = one(render(merged(GPU, change)), "CronJob", "shop-stream-ml-retrainer-gpu")
    (pod,) = [pod for _, pod in pods([found])]
    assert pod["spec"]["containers"][0]["image"] == image


def test_what_a_gpu_shares_with_a_pod_anywhere_is_for_many() -> None:
    sharing: dict[str, set[str]] = {}
    for who, pod in pods(objects("gpu")):
        for volume in pod["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            sharing.setdefault(claim, set()).add(who)
    (claim,) = sharing.keys() - {None}
    assert sharing[claim] == {"CronJob shop-stream-ml-retrainer-gpu", "Deployment shop-stream-ml-retrainer"}
    assert one(objects("gpu"), "PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteMany"]


def test_where_pods_are_told_to_be_they_are() -> None:
    for service in SERVICES:
        template = of_service("placed", service, "StatefulSet" if service == "learner" else "Deployment")[
            "template"
        ]
        spec = template["spec"]
        assert spec["nodeSelector"] == {"pool": "ml"}
        assert spec["tolerations"] == [{"key": "ml", "operator": "Exists"}]
        assert (spec["priorityClassName"], spec["affinity"]) == ("high", {"podAntiAffinity": {}})
        assert template["metadata"]["annotations"]["a/b"] == "c"
        (container,) = spec["containers"]
        assert container["image"] == "stream-ml@sha256:" + "a" * 64
        assert {"name": "STREAM_ML_LOG_LEVEL", "value": "warning"} in container["env"]


def topics_job(values: dict[str, Any], chart: Path = CHART) -> dict[str, Any]:
    (job,) = [each for each in render(values, chart) if each["kind"] == "Job"]
    return job


def name_of(job: dict[str, Any]) -> str:
    return str(job["metadata"]["name"])


def test_topics_are_made_once_whatever_else_changes() -> None:
    before = topics_job(DEV)
    for change in ({"learner": {"replicas": 3}}, {"predictor": {"env": [{"name": "A", "value": "b"}]}}):
        assert topics_job(merged(DEV, change)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"topics": {"eventsPartitions": 6}},
        {"topics": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"image": {"pullPolicy": "Always"}},
        {"image": {"pullSecrets": [{"name": "registry"}]}},
        {"image": {"tag": "7"}},
        {"learner": {"env": [{"name": "STREAM_ML_LOG_LEVEL", "value": "warning"}]}},
        {"learner": {"existingSecret": "theirs"}},
        {"kafka": {"existingSecret": "theirs"}},
        {"redis": {"existingSecret": "theirs"}},
        {"snapshots": {"existingSecret": "theirs"}},
        {"snapshots": {"claim": {"existing": "theirs"}}},
        {"model": {"existingConfigMap": "theirs"}},
        {"nameOverride": "other"},
    ],
    ids=repr,
)
def test_a_job_of_topics_that_would_be_another_has_another_name(change: dict[str, Any]) -> None:
    before, after = topics_job(DEV), topics_job(merged(DEV, change))
    assert before["spec"]["template"] != after["spec"]["template"], "Kubernetes refuses to change it"
    assert name_of(before) != name_of(after)


@pytest.mark.parametrize(
    "change", [{"model": {"file": 'name = "other"\n'}}, {"learner": {"settings": {"events_topic": "other"}}}]
)
def test_a_job_of_topics_that_would_read_something_else_has_another_name(change: dict[str, Any]) -> None:
    assert name_of(topics_job(DEV)) != name_of(topics_job(merged(DEV, change)))


def test_topics_are_made_by_another_job_in_another_release_of_the_chart(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "stream-ml")
    about = tmp_path / "stream-ml" / "Chart.yaml"
    about.write_text(re.sub(r"(?m)^version: .*$", "version: 99.0.0", about.read_text()))
    later = topics_job(DEV, tmp_path / "stream-ml")
    assert later["metadata"]["labels"]["helm.sh/chart"] == "stream-ml-99.0.0"
    assert name_of(later) != name_of(topics_job(DEV))


@pytest.mark.parametrize(("store", "claims"), [("/var/snapshots", 1), ("s3://bucket/models", 0)])
def test_snapshots_have_a_volume_where_they_are_in_a_folder(store: str, claims: int) -> None:
    found = render(merged(DEV, {"settings": {"snapshot_store": store}}))
    assert len([each for each in found if each["kind"] == "PersistentVolumeClaim"]) == claims
    mounting = [
        component(pod)
        for _, pod in pods(found)
        for mount in pod["spec"]["containers"][0].get("volumeMounts", [])
        if mount["mountPath"] == store
    ]
    assert sorted(mounting) == claims * ["learner", "predictor", "retrainer", "topics"]


def test_what_was_learned_outlives_the_release() -> None:
    for each in (*objects("dev"), *objects("prod")):
        if each["kind"] == "PersistentVolumeClaim":
            assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert {
        each["metadata"]["name"] for each in objects("prod") if each["kind"] == "PersistentVolumeClaim"
    } == {"shop-stream-ml-retrainer"}
    assert PROD["retrainer"]["storage"]["claim"]["create"]
