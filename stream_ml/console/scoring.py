"""One event, scored: for the page's box to try."""

from __future__ import annotations

from typing import Any

from stream_ml.errors import StreamMlError
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import NoModelYet, Score, Scores


def scored(client: PredictorClient, model: str, event: str) -> dict[str, Any]:
    """Return the score of *event*, as a producer would push it, or why there is none; for JSON."""
    try:
        answer = client.score([event], model=model, uncertainty=True, contributions=True)
    except NoModelYet as error:
        return {"error": str(error), "hint": "nothing may be learned yet: stream-ml send FILE"}
    except StreamMlError as error:
        return {"error": str(error), "hint": ""}
    return _said(answer, answer.scores[0])


def _said(answer: Scores, score: Score) -> dict[str, Any]:
    if score.error is not None:
        return {"error": f"{score.error.reason}: {score.error.detail}", "hint": ""}
    return {
        "prediction": score.prediction,
        "log_odds": score.log_odds,
        "uncertainty": score.uncertainty,
        "contributions": list((score.contributions or {}).items()),
        "variant": answer.variant,
        "step": answer.step,
        "weights_age_seconds": answer.weights_age_seconds,
        "stale": answer.stale,
    }
