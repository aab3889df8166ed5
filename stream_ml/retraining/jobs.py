"""
Retrain jobs: what the topic ``retrain-jobs`` says, checked as a whole.

A job's key is its id. Who asks again for the same thing makes the same id, and gets one job.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, ClassVar

import orjson
import xxhash
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from stream_ml.errors import InvalidRecord
from stream_ml.runtime.service_settings import MODEL_NAME
from stream_ml.streams.log import Log

FORMAT = 1
JOBS_TOPIC = "retrain-jobs"
# Its name among those that are compared.
CHAMPION = "champion"
MOST_SETTINGS = 256

Offset = Annotated[int, Field(ge=0)]


class _Strict:
    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(_Strict):
    """
    The events that a job replays.

    Attributes:
        events: of the model's own topic, per partition ``[first, next)``.
        files: of this machine, in the order in which they are read. One of both is given.
    """

    events: dict[Annotated[int, Field(ge=0)], tuple[Offset, Offset]] | None = None
    files: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        if (self.events is None) == (self.files is None):
            raise ValueError('one of "events" and "files" is wanted')
        for partition, (first, after) in (self.events or {}).items():
            if first > after:
                raise ValueError(f"partition {partition} ends at {after}, before it begins at {first}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(_Strict):
    """
    What one challenger has other than the champion; None is as the champion.

    Attributes:
        decay: factor of forgetting, each time a feature occurs.
        slots: the features it has, a subset.
        warm: begins with the rows of the base snapshot.
        window: how many of the last events it is trained on; None is all of them.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=,-]{0,99}$")]
    alpha: Annotated[float, Field(gt=0, le=1000)] | None = None
    beta: Annotated[float, Field(ge=0, le=1e6)] | None = None
    l1: Annotated[float, Field(ge=0, le=1e6)] | None = None
    l2: Annotated[float, Field(ge=0, le=1e6)] | None = None
    decay: Annotated[float, Field(gt=0, le=1)] | None = None
    slots: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    warm: bool = True
    window: Annotated[int, Field(ge=1)] | None = None

    def described(self) -> dict[str, Any]:
        """Return what is given, without the name."""
        given = {key: value for key, value in asdict(self).items() if value is not None}
        given.pop("name")
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Strict):
    """
    One retraining that somebody asked for.

    Attributes:
        job: its id.
        reason: why, for people and scripts; of a drift, its record.
        base: name of the snapshot that warm challengers begin with; None: the newest that suits the window.
        grid: the challengers.
        asked_by: who.
    """

    # The name of folders too: none that leads out of where they are, as "..", none that is hidden.
    job: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    model: Annotated[str, Field(pattern=f"^{MODEL_NAME.pattern}$")]
    reason: dict[str, Any]
    base: str | None
    window: Window
    grid: Annotated[tuple[Setting, ...], Field(min_length=1, max_length=MOST_SETTINGS)]
    asked_by: str
    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT

    def __post_init__(self) -> None:
        names = [setting.name for setting in self.grid]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two settings of the grid are called {repeated!r}")
        if CHAMPION in names:
            raise ValueError(f"a setting of the grid is called {CHAMPION!r}, as what it is compared with")


_JOB: TypeAdapter[Job] = TypeAdapter(Job)
_KNOWN = {"window": Window, "grid": Setting}


def job_id(*what: str | int | None) -> str:
    """Return the id of what *what* says; of a drift: model, variant, partition, statistic, segment, index."""
    return xxhash.xxh3_128_hexdigest(orjson.dumps(what))


def encode_job(job: Job) -> bytes:
    """Return the record's value; None is left out of settings."""
    said = asdict(job)
    said["window"] = {key: value for key, value in said["window"].items() if value is not None}
    said["grid"] = [{"name": each.name, **each.described()} for each in job.grid]
    ordered = {"format": said.pop("format"), **said}
    return orjson.dumps(ordered, option=orjson.OPT_NON_STR_KEYS)


def decode_job(key: bytes | None, value: bytes | None) -> Job:
    """
    Return the job that a record holds.

    Raises:
        InvalidRecord: it says none; the message says which key is wrong, and how.
    """
    if value is None:
        raise InvalidRecord(f"{JOBS_TOPIC}: a record without a value is no job")
    try:
        job = _JOB.validate_json(value, strict=True)
    except ValidationError as error:
        # A list of which an item is wrong counts as shorter, which is no error of its own.
        errors = [each for each in error.errors() if each["type"] != "too_short" or not each["input"]]
        told = "; ".join(dict.fromkeys(explain(each) for each in errors))
        raise InvalidRecord(f"{JOBS_TOPIC}: {told}") from error
    if key != job.job.encode():
        # Else two records of one job could lie in two partitions, or one be compacted away by another's.
        raise InvalidRecord(f"{JOBS_TOPIC}: the record's key is {_text(key)}, its job {job.job!r}")
    return job


def ensure_jobs(log: Log) -> None:
    """Create the topic of jobs where it is not there: the last record of every job is kept."""
    log.ensure_topic(JOBS_TOPIC, 1, settings={"cleanup.policy": "compact"})


def explain(error: ErrorDetails, *within: str) -> str:
    """
    Return what is wrong, with its key.

    Args:
        within: where what was checked has its place in a job.
    """
    place = [*within, *(str(part) for part in error["loc"])]
    at = ".".join(place) or "the record"
    if error["type"] == "missing":
        return f"{at} is missing"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        kind = _KNOWN.get(place[0], Job) if len(place) > 1 else Job
        known = [each.name for each in fields(kind)]
        near = difflib.get_close_matches(place[-1], known, n=1)
        return f"unknown key {at!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if error["type"] == "json_invalid":
        return f"not JSON: {error['msg'].removeprefix('Invalid JSON: ')}"
    if place == ["format"]:
        return f"format {error['input']} is of a later release, we read up to {FORMAT}; upgrade this process"
    return f"{at}: {error['msg'].removeprefix('Value error, ')}, got {_short(error['input'])}"


def _short(value: Any) -> str:
    text = repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 100 else text[:100] + "…"


def _text(key: bytes | None) -> str:
    return "missing" if key is None else repr(key.decode(errors="replace"))
