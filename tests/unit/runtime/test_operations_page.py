"""The operators' page names every exit code, and only metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

from stream_ml.runtime import lifecycle, metrics

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


def test_every_exit_code_is_there() -> None:
    codes = {value for name, value in vars(lifecycle).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d) \|", PAGE, flags=re.MULTILINE)} == codes


def test_every_metric_named_there_is_exported() -> None:
    exported = Path(metrics.__file__).read_text()
    named = set(re.findall(r"stream_ml_\w+", PAGE))
    assert len(named) > 10
    assert [name for name in named if f'"{name.removesuffix("_bucket")}"' not in exported] == []
