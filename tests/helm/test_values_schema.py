"""Values that no service or template knows are refused before anything is installed, with their path."""

from __future__ import annotations

import re
from typing import Any

import helm_python
import pytest
import yaml

from helm.values_schema import PATH, Chart, text
from tests.helm.chart import CHART, DEV, SERVICES, merged, render


def test_the_schema_is_the_one_that_the_settings_give() -> None:
    assert PATH.read_text() == text(), "python -m helm.values_schema writes it anew"


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split("/")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    "path",
    [
        "leaner",
        "settings/kafka_brokers",
        "learner/replica",
        *(f"{name}/settings/log_levels" for name in SERVICES),
        "predictor/autoscaling/max",
        "retrainer/storage/claim/sizes",
        "networkPolicy/client",
    ],
)
def test_an_unknown_value_is_refused_with_its_path(path: str) -> None:
    parent, _, name = path.rpartition("/")
    where = rf"at '/?{parent}': additional properties '{name}' not allowed"
    with pytest.raises(helm_python.HelmError, match=where):
        render(merged(DEV, nested(path, 1)))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("settings/broker_timeout_seconds", 0, "minimum"),
        ("learner/settings/snapshots_kept", 2, "minimum"),
        ("learner/settings/weights", "http://redis", "does not match pattern"),
        ("predictor/settings/server_threads", "two", "got string, want integer"),
        ("retrainer/settings/promotion", "never", "one of"),
        ("image/digest", "latest", "does not match pattern"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_path(path: str, value: Any, said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=rf"at '/{path}': .*{said}"):
        render(merged(DEV, nested(path, value)))


def test_a_password_of_a_chart_that_includes_this_one_is_no_business_of_ours() -> None:
    assert render(merged(DEV, {"global": {"anything": 1}}))


def test_every_value_is_explained_by_its_default_or_a_comment() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def missing(model: Any, given: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            key, kind = field.alias or name, field.annotation
            if key == "global":
                continue
            if key not in given:
                found.append(f"{path}{key}")
            elif hasattr(kind, "model_fields") and key != "settings":
                found += missing(kind, given[key], f"{path}{key}/")
        return found

    assert missing(Chart, values, "") == []


def test_every_value_is_read_by_a_template() -> None:
    texts = "".join(path.read_text() for path in sorted((CHART / "templates").rglob("*.*")))
    keys = set(re.findall(r"^ *([a-zA-Z_]+):", (CHART / "values.yaml").read_text(), re.MULTILINE))
    of_settings = {
        "kafka", "snapshot_store", "http_host", "http_port", "log_format", "model_file", "thrift_host",
        "thrift_port", "learner_settings", "reports", "scratch", "requests", "limits",
    }  # fmt: skip
    assert (
        sorted(key for key in keys - of_settings if f".{key}" not in texts and f'"{key}"' not in texts) == []
    )
