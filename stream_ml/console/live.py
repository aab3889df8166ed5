"""How fresh and how fast, as curves: what the services say of themselves, kept for a while."""

from __future__ import annotations

from collections import deque
from typing import Any

from stream_ml.console.scrape import Look

SAMPLES_KEPT = 900  # half an hour
CURVES = (
    "learned_per_second",
    "scored_per_second",
    "lag_seconds",
    "weights_age_seconds",
    "publish_seconds",
    "apply_seconds",
)


def sample(model: str, look: Look) -> dict[str, float | None]:
    """Return one point of every curve of *model*; None where nobody says it."""
    learned_at = "stream_ml_predictor_weights_learned_timestamp_seconds"
    # A predictor on another machine has read another clock.
    ages = [max(0.0, each.at - when) for each in look.now for when in each.values(learned_at, model=model)]
    return {
        "learned_per_second": look.growth("stream_ml_learner_learned_total", model=model),
        # A predictor counts the calls of all its models together.
        "scored_per_second": look.growth("stream_ml_predictor_events_total", outcome="scored"),
        "lag_seconds": max(look.values("stream_ml_learner_lag_seconds", model=model), default=None),
        "weights_age_seconds": max(ages, default=None),
        "publish_seconds": look.mean("stream_ml_learner_publish_delay_seconds", model=model),
        "apply_seconds": look.mean("stream_ml_predictor_apply_delay_seconds", model=model),
    }


class Live:
    """The curves of one model, of the last `SAMPLES_KEPT` looks."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, float | None]]] = deque(maxlen=SAMPLES_KEPT)

    def take(self, at: float, point: dict[str, float | None]) -> None:
        """Take in what was seen at *at*, unix seconds."""
        self._samples.append((at, point))

    def columns(self) -> dict[str, list[Any]]:
        """Return what the page draws."""
        return {
            "at": [at for at, _ in self._samples],
            **{name: [point[name] for _, point in self._samples] for name in CURVES},
        }


def figures(model: str, look: Look) -> dict[str, float | None]:
    """Return what the learners and predictors of *model* say now, by name; None where nobody does."""

    def total(name: str) -> float | None:
        values = look.values(f"stream_ml_learner_{name}", model=model)
        return sum(values) if values else None

    def most(name: str, **labels: str) -> float | None:
        return max(look.values(f"stream_ml_{name}", model=model, **labels), default=None)

    ready = look.values("stream_ml_predictor_ready", model=model)
    return {
        **{name: total(f"{name}_total") for name in ("learned", "duplicates", "dead_letters", "skipped")},
        "writers": total("writer"),
        "step": most("learner_step"),
        "rows": most("learner_rows"),
        "snapshot_at": most("learner_snapshot_timestamp_seconds"),
        "snapshot_bytes": most("learner_snapshot_bytes"),
        "snapshot_store_fails": most("learner_snapshot_store_fails"),
        "breaker_open": most("learner_breaker_open"),
        "stopped": most("learner_stopped"),
        "shards_unavailable": most("learner_shards_unavailable"),
        "no_events": most("learner_silence", what="no_events"),
        "no_labels": most("learner_silence", what="no_labels"),
        "predictors_ready": sum(ready) if ready else None,
        "stale": most("predictor_stale"),
        "served_step": most("predictor_step"),
        "watermark": most("predictor_watermark_timestamp_seconds"),
    }
