"""The settings files that the chart renders are files that the services take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from stream_ml.features import compile_model
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.service_settings import ServiceSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings, load
from tests.helm.chart import DEV, GPU, PROD, RENDERED, SERVICES, files, merged, objects, one, render

KINDS: dict[str, type[ServiceSettings]] = {
    "learner": LearnerSettings,
    "predictor": PredictorSettings,
    "drift_monitor": DriftMonitorSettings,
    "retrainer": RetrainerSettings,
}


def loaded(text: str, service: str, folder: Path) -> Any:
    """Load it where the files that it names are those of *folder*."""
    (folder / "kafka").mkdir(exist_ok=True)
    (folder / "kafka" / "client.properties").write_text("sasl.password=p\n")
    path = folder / f"{service}.toml"
    path.write_text(text.replace("/etc/stream-ml", str(folder)))
    return load(KINDS[service], path, {})


@pytest.mark.parametrize("name", [each for each in RENDERED if each != "existing files"])
def test_each_service_takes_its_own(name: str, tmp_path: Path) -> None:
    found = files(objects(name))
    wanted = {s for s in SERVICES if RENDERED[name].get(s, {}).get("enabled", True)} | {"learner"}
    assert found.keys() == wanted
    for service, text in found.items():
        assert loaded(text, service, tmp_path).http_port == 9090


def test_what_is_given_arrives_verbatim(tmp_path: Path) -> None:
    given = {
        "kafka": {"session.timeout.ms": 6000, "enable.idempotence": True, "client.id": 'a "b" <c> & é\n'},
        "message_max_bytes": 900_001,
        "snapshots_kept_seconds": 3_155_760_000,
        "publish_interval_seconds": 0.015,
        "label_breaker": False,
    }
    text = files(render(merged(DEV, {"learner": {"settings": given}})))["learner"]
    settings = loaded(text, "learner", tmp_path).model_dump()
    kafka = settings.pop("kafka")
    assert kafka == {"bootstrap.servers": "kafka:9092", **given.pop("kafka")}
    # A property of librdkafka is text in the end, and 6000.0 no number to it.
    assert str(kafka["session.timeout.ms"]) == "6000"
    assert {name: settings[name] for name in given} == given


def test_a_service_wins_over_what_all_have() -> None:
    values = merged(DEV, {"predictor": {"settings": {"log_level": "error", "kafka": {"client.id": "p"}}}})
    found = files(render(values))
    assert 'log_level = "error"' in found["predictor"]
    assert 'log_level = "debug"' in found["learner"]
    assert '"client.id"' not in found["learner"]


def test_secrets_that_are_named_become_files_that_are_named(tmp_path: Path) -> None:
    found = files(objects("secrets"))
    assert loaded(found["learner"], "learner", tmp_path).kafka["sasl.password"] == "p"
    assert 'redis_password_file = "/etc/stream-ml/redis/password"' in found["learner"]
    assert "redis_password_file" not in found["predictor"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "ConfigMap"),
        ({"redis_password": "p"}, "Secret"),
        ({"kafka": {"sasl.password": "p"}}, "Secret"),
        ({"weights": "redis://:p@redis:6379"}, "Secret"),
        ({"snapshot_store": "s3://key@bucket"}, "Secret"),
    ],
)
def test_settings_that_name_a_secret_are_one(settings: dict[str, Any], kind: str) -> None:
    found = render(merged(DEV, {"learner": {"settings": settings}}))
    assert one(found, kind, "shop-stream-ml-learner")
    assert one(found, "ConfigMap", "shop-stream-ml-predictor")
    if kind == "Secret":
        assert all("redis_password" not in str(each.get("data")) for each in found)


def test_a_file_that_is_a_secret_already_is_not_rendered() -> None:
    found = objects("existing files")
    assert files(found) == {}
    for name in SERVICES:
        (pod,) = [
            each["spec"]["template"]["spec"]
            for each in found
            if each["kind"] in ("Deployment", "StatefulSet")
            and each["metadata"]["labels"]["app.kubernetes.io/component"] == name
        ]
        assert any(volume.get("secret", {}).get("secretName") == f"of-{name}" for volume in pod["volumes"])


def test_only_who_has_no_gpu_leaves_the_jobs_to_who_has(tmp_path: Path) -> None:
    for values, takes in ((PROD, True), (GPU, False)):
        assert loaded(files(render(values))["retrainer"], "retrainer", tmp_path).takes_jobs is takes


def test_the_variables_of_the_gpus_retrainer_are_settings_of_its(tmp_path: Path) -> None:
    (container,) = one(objects("gpu"), "CronJob", "shop-stream-ml-retrainer-gpu")["spec"]["jobTemplate"][
        "spec"
    ]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    path = tmp_path / "retrainer.toml"
    path.write_text(re.sub(r"kafka_file = .*\n", "", files(objects("gpu"))["retrainer"]))
    settings = load(RetrainerSettings, path, variables)
    assert (settings.device, settings.takes_jobs) == ("cuda", True)


def test_the_example_of_a_model_is_one() -> None:
    text = one(objects("dev"), "ConfigMap", "shop-stream-ml-model")["data"]["model.toml"]
    assert compile_model(text).model_file.name == "bookings"
