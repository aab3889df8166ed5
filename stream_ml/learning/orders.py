"""The order to begin a challenger: what a retrainer tells the learner process that it starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from stream_ml.errors import ConfigError


class Order(BaseModel):
    """
    A challenger to be begun; the model file is its own.

    Attributes:
        job: of one job there is one challenger, however often it is ordered.
        champion: the variant that it was compared with; "" where that does not matter.
        warm: whether it begins with rows; else with an empty table, and learns from *events* on.
        base: the snapshot of the champion whose rows it begins with, or its newest where that is gone.
        events: by partition.
        proof: what the gate said of it; "" where nobody asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    champion: str = ""
    why: str
    warm: bool
    base: str | None = None
    events: dict[NonNegativeInt, NonNegativeInt] | None = None
    proof: str = ""


def read_order(path: Path) -> Order:
    """
    Return the order in the JSON file *path*.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        return Order.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: no order to begin a challenger: {error}") from error
