"""The operators' page names every setting with its default, every exit code, and only metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from stream_ml.runtime import lifecycle, metrics
from stream_ml.runtime.bounds import bounds
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.redis_settings import RedisSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.service_settings import ServiceSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


def toml_of(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')


def rows_of(kind: type[BaseModel], *known: type[BaseModel]) -> list[str]:
    names = kind.model_fields.keys() - {name for each in known for name in each.model_fields}
    rows = []
    for name, field in kind.model_fields.items():
        if name in names:
            default = "wanted" if field.is_required() else f"`{toml_of(field.default)}`"
            cells = (f"`{name}`", default, field.description, bounds(field))
            rows.append("".join(f"| {cell} " if cell else "| " for cell in cells) + "|")
    return rows


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(ServiceSettings),
        rows_of(RedisSettings),
        rows_of(LearnerSettings, ServiceSettings, RedisSettings),
        rows_of(PredictorSettings, ServiceSettings),
        rows_of(RetrainerSettings, ServiceSettings),
        rows_of(DriftMonitorSettings, ServiceSettings),
    ],
    ids=["every service", "weights in Redis", "learner", "predictor", "retrainer", "drift monitor"],
)
def test_every_setting_is_there_with_its_default_and_meaning(rows: list[str]) -> None:
    wanted = "\n".join(rows)
    assert wanted in PAGE, f"docs/operations.md lacks\n{wanted}"


def test_every_exit_code_is_there() -> None:
    codes = {value for name, value in vars(lifecycle).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d) \|", PAGE, flags=re.MULTILINE)} == codes


def test_every_metric_named_there_is_exported() -> None:
    exported = Path(metrics.__file__).read_text()
    named = set(re.findall(r"stream_ml_\w+", PAGE))
    assert len(named) > 10
    assert [name for name in named if f'"{name.removesuffix("_bucket")}"' not in exported] == []
