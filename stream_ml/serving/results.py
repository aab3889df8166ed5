"""What a predictor answers, typed, and the errors it answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_ml.errors import RecoverableError, StreamMlError
from stream_ml.serving.idl import predictor


class PredictorError(StreamMlError):
    """A predictor refused a call, and another one would too."""


class UnknownModel(PredictorError):
    """
    No such model at this predictor.

    Attributes:
        models: the names it would have answered.
    """

    def __init__(self, message: str, models: tuple[str, ...]) -> None:
        super().__init__(message)
        self.models = models


class BadRequest(PredictorError):
    """The call breaks a limit or lacks what it needs; the message says which."""


class CallRefused(PredictorError):
    """The two sides do not speak the same service: a newer client, or no predictor at all."""


class PredictorUnavailable(RecoverableError):
    """No predictor answered in time; the same call may succeed later."""


class NoModelYet(PredictorUnavailable):
    """Nothing of the model can be served yet: it has no good snapshot, or has learned nothing."""


class StaleWeights(PredictorUnavailable):
    """
    The weights are older than the call allows.

    Attributes:
        weights_age_seconds: how old they are.
    """

    def __init__(self, message: str, weights_age_seconds: float) -> None:
        super().__init__(message)
        self.weights_age_seconds = weights_age_seconds


class Overloaded(PredictorUnavailable):
    """
    The predictor sheds load.

    Attributes:
        retry_after_seconds: how long it asks to be left alone.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def error_of(answered: Exception) -> PredictorError | PredictorUnavailable:
    """Return our error for one that the predictor answered with."""
    match answered:
        case predictor.NoModelYet():
            return NoModelYet(answered.message)
        case predictor.UnknownModel():
            return UnknownModel(answered.message, tuple(answered.models or ()))
        case predictor.StaleWeights():
            return StaleWeights(answered.message, answered.weights_age_seconds)
        case predictor.BadRequest():
            return BadRequest(answered.message)
        case predictor.Overloaded():
            return Overloaded(answered.message, answered.retry_after_seconds)
    return CallRefused(f"the predictor refused the call: {answered}")


@dataclass(frozen=True, slots=True)
class EventError:
    """Why one event has no score: a code of a bounded set, and the detail for people."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Score:
    """
    What became of one event; either *error* is None, or everything else is.

    Attributes:
        prediction: the probability for a logistic model, the expected label for the others.
        log_odds: the linear score before the link function.
        uncertainty: how far one more such example could move the log-odds; None unless asked for.
        contributions: share of each feature of the model file, and of "bias"; they sum to *log_odds*;
            None unless asked for.
    """

    prediction: float | None
    log_odds: float | None
    uncertainty: float | None
    contributions: Mapping[str, float] | None
    error: EventError | None


@dataclass(frozen=True, slots=True)
class Scores:
    """
    The scores of one call, in the order of its events, and what they were computed from.

    Attributes:
        variant: the one variant that served all of them.
        fingerprint: of its feature plan, 32 hex digits.
        step: number of the last batch whose rows are all in the scores.
        watermark_us: latest event time learned, microseconds since 1970; None before there is one.
        weights_age_seconds: seconds since the served rows were the newest there are.
        stale: whether the predictor has lost touch with the feed.
    """

    scores: tuple[Score, ...]
    model: str
    variant: str
    fingerprint: str
    step: int
    watermark_us: int | None
    weights_age_seconds: float
    stale: bool
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model that a predictor serves, or, where not *ready*, waits for; then the rest is None."""

    model: str
    ready: bool
    variant: str | None
    fingerprint: str | None
    step: int | None
    watermark_us: int | None
    weights_age_seconds: float | None
    stale: bool | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """One predictor as a whole."""

    version: str
    uptime_seconds: float
    connections: int
    draining: bool
    models: tuple[ModelStatus, ...]


def scores_of(response: Any) -> Scores:
    """Return the typed form of a ``ScoreResponse``."""
    return Scores(
        scores=tuple(_score_of(score) for score in response.scores),
        model=response.model,
        variant=response.variant,
        fingerprint=response.fingerprint,
        step=response.step,
        watermark_us=response.watermark_us,
        weights_age_seconds=response.weights_age_seconds,
        stale=response.stale,
        correlation_id=response.correlation_id,
    )


def _score_of(score: Any) -> Score:
    shares = score.contributions
    return Score(
        prediction=score.prediction,
        log_odds=score.log_odds,
        uncertainty=score.uncertainty,
        contributions=None if shares is None else {share.slot: share.log_odds for share in shares},
        error=None if score.error is None else EventError(score.error.reason, score.error.detail),
    )


def status_of(status: Any) -> Status:
    """Return the typed form of a ``Status``."""
    return Status(
        version=status.version,
        uptime_seconds=status.uptime_seconds,
        connections=status.connections,
        draining=status.draining,
        models=models_of(status.models),
    )


def models_of(models: Any) -> tuple[ModelStatus, ...]:
    """Return the typed form of a list of ``ModelStatus``."""
    return tuple(
        ModelStatus(**{name: getattr(model, name) for name in ModelStatus.__dataclass_fields__})
        for model in models
    )
