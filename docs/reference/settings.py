"""The reference of the services' settings files, from their models."""

from __future__ import annotations

from pydantic import BaseModel

from docs.reference.markdown import head, page, table
from stream_ml.runtime.bounds import bounds
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.redis_settings import RedisSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.service_settings import ServiceSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings

_INTRO = """
A settings file is TOML, a key a line. `STREAM_ML_<KEY>` in the environment overrides a key of it, and an
unknown key is an error. On Kubernetes `<service>.settings` of the chart's values *is* this file
([kubernetes.md](../kubernetes.md)).
"""
_PARTS: tuple[tuple[str, str, type[BaseModel], tuple[type[BaseModel], ...]], ...] = (
    ("Every service", "", ServiceSettings, ()),
    ("Learner", "", LearnerSettings, (ServiceSettings, RedisSettings)),
    ("Learner with its weights in Redis", "[redis.md](../redis.md) says what it does.", RedisSettings, ()),
    ("Predictor", "", PredictorSettings, (ServiceSettings,)),
    (
        "Drift monitor",
        "[drift.md](../drift.md) says what it does, and which of `kafka` its second client follows.",
        DriftMonitorSettings,
        (ServiceSettings,),
    ),
    (
        "Retrainer",
        "[retraining.md](../retraining.md) says what it does.",
        RetrainerSettings,
        (ServiceSettings,),
    ),
)


def text() -> str:
    """Return the page."""
    parts = [page(f"## {title}", words, _table(kind, known)) for title, words, kind, known in _PARTS]
    return page(head("Services: settings", "`stream_ml/runtime`"), _INTRO, *parts)


def _table(kind: type[BaseModel], known: tuple[type[BaseModel], ...]) -> str:
    """Return the settings of *kind* that none of *known* has."""
    others = {name for each in known for name in each.model_fields}
    rows = []
    for name, field in kind.model_fields.items():
        if name not in others:
            default = "wanted" if field.is_required() else f"`{_toml(field.default)}`"
            rows.append((f"`{name}`", default, field.description or "", bounds(field)))
    return table(("setting", "default", "meaning", "may be"), rows)


def _toml(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
