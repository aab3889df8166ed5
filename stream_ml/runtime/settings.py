"""
Settings: one typed model a service, from a TOML file and the environment; unknown keys are errors.

``STREAM_ML_<KEY>`` overrides a key of the file. librdkafka's properties have names with points:
``STREAM_ML_KAFKA_SASL_PASSWORD`` is ``sasl.password``.
"""

from __future__ import annotations

import difflib
import logging
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from stream_ml.errors import ConfigError
from stream_ml.runtime import kafka_properties
from stream_ml.runtime.logging import LogFormat

log = logging.getLogger(__name__)

PREFIX = "STREAM_ML_"
_CLIENT_LIMIT, _CLIENT_LIMIT_DEFAULT = "message.max.bytes", 1_000_000  # librdkafka's
# Kubernetes puts these in every pod for a service that is called stream-ml-…; they are not ours.
_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_.*)?)?)$")
_SECRET = re.compile(r"password|secret|token|credential|key\.pem|private", re.IGNORECASE)
# What stands before a URL's last @ (a password may have a slash or an @); query parameters named as secrets.
_SECRETS_OF_URLS = (
    (re.compile(r"://(?:[^\s,]*:[^\s,]*|[^/@\s]+)@"), "://***@"),
    (
        re.compile(r"([?&][^=&\s]*(?:password|secret|token|credential|signature|key)[^=&\s]*=)[^&\s]+", re.I),
        r"\1***",
    ),
)

# One heartbeat may be late and the next lost before a writer counts as silent.
HEARTBEATS_MISSED = 3

KafkaProperties = dict[str, str | int | float | bool]


class ServiceSettings(BaseModel):
    """What every service has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kafka: KafkaProperties = Field(
        description="librdkafka properties, passed through: bootstrap.servers, SASL, TLS.",
    )
    kafka_file: Path | None = Field(
        default=None, description="File of further librdkafka properties, name=value a line; `kafka` wins."
    )
    snapshot_store: str = Field(
        default="snapshots", description="Where snapshots are kept: a folder, or a URL that fsspec knows."
    )
    broker_timeout_seconds: float = Field(
        default=30.0, gt=0, description="How long brokers may stay away before the process ends."
    )
    http_host: str = Field(default="127.0.0.1", description="Address of /metrics, /livez and /readyz.")
    http_port: int = Field(
        default=0, ge=0, le=65535, description="Port of /metrics, /livez, /readyz; 0 picks one."
    )
    log_level: str = Field(
        default="info", pattern="^(debug|info|warning|error)$", description="Least level logged."
    )
    log_format: LogFormat = Field(
        default="auto", description="auto is human on a terminal and json elsewhere."
    )

    @model_validator(mode="before")
    @classmethod
    def _merge_kafka_file(cls, data: dict[str, Any]) -> dict[str, Any]:
        path, table = data.get("kafka_file"), data.get("kafka", {})
        # What has the wrong type is refused with its key, when the fields are looked at.
        if path and not isinstance(path, str | Path):
            return {**data, "kafka": table}
        if not path or not isinstance(table, dict):
            return data
        return {**data, "kafka": {**kafka_properties.from_file(Path(path)), **table}}

    @model_validator(mode="after")
    def _needs_brokers(self) -> Self:
        if not self.kafka.get("bootstrap.servers"):
            raise ValueError('kafka needs bootstrap.servers, for example "127.0.0.1:9092"')
        return self


class LearnerSettings(ServiceSettings):
    """Settings of the learner."""

    model_file: Path = Field(description="The model to learn (TOML).")
    events_topic: str = Field(default="events", description="The topic with the events; it must exist.")
    batch_max_records: int = Field(default=20_000, ge=1, description="Most records of one step.")
    batch_max_bytes: int = Field(default=8 << 20, ge=1, description="Bytes of one step, met on average.")
    step_interval_seconds: float = Field(
        default=0.02,
        ge=0,
        description="Shortest time between two steps that are not full; bounds the journal's growth.",
    )
    poll_wait_seconds: float = Field(
        default=0.01, gt=0, description="Longest wait for a record before the loop looks after other things."
    )
    fetch_queue_batches: int = Field(default=4, ge=1, description="Batches fetched ahead of learning.")
    held_steps: int = Field(
        default=64, ge=1, description="Steps learned ahead of the journal; their outputs wait for their line."
    )
    scan_threads: int = Field(
        default=1, ge=0, le=256, description="Threads that parse and hash, beside the one that learns."
    )
    expected_rows: int = Field(default=0, ge=0, description="Rows the table has room for from the start.")
    publish_interval_seconds: float = Field(
        default=0.01, gt=0, description="Shortest time between two deltas in the feed."
    )
    heartbeat_interval_seconds: float = Field(
        default=0.5, gt=0, description="Longest silence in the feed; an empty delta is the heartbeat."
    )
    feed_bytes_per_second: int = Field(
        default=64 << 20,
        ge=1 << 16,
        description="Budget of the feed: the more there is to say, the longer the interval.",
    )
    feed_partitions: int = Field(default=1, ge=1, description="Partitions of the feed where it is created.")
    feed_retention_seconds: float = Field(
        default=86_400.0, gt=0, description="Retention of the feed where its topic is created."
    )
    message_max_bytes: int = Field(
        default=900_000,
        ge=10_000,
        description="Largest record we send; below the broker's message.max.bytes.",
    )
    snapshot_interval_seconds: float = Field(default=60.0, gt=0, description="Time between two snapshots.")
    snapshots_kept: int = Field(
        default=3, ge=3, le=16, description="Snapshots that verify and are kept; the journal knows no more."
    )
    snapshots_kept_seconds: float = Field(
        default=0.0, ge=0, description="Younger snapshots are kept too, however many they are."
    )
    snapshot_rows_per_batch: int = Field(
        default=50_000, ge=1, description="Rows of a snapshot's image taken between two batches."
    )
    commit_interval_seconds: float = Field(
        default=5.0, gt=0, description="Time between two commits of offsets, which are advice for lag tools."
    )
    consumer_group: str = Field(
        default="", description="Group the advice is committed to; empty: <model>.learner."
    )
    takeover_after_seconds: float = Field(
        default=3.0,
        gt=0,
        description="Silence of the writer after which a caught-up standby claims; several heartbeats.",
    )

    @model_validator(mode="after")
    def _hears_before_it_takes_over(self) -> Self:
        least = HEARTBEATS_MISSED * self.heartbeat_interval_seconds
        if self.takeover_after_seconds < least:
            raise ValueError(
                f"takeover_after_seconds is {self.takeover_after_seconds:g}, but a writer with nothing to "
                f"say is heard only every {self.heartbeat_interval_seconds:g} s "
                "(heartbeat_interval_seconds): a standby would take over from a living writer\n"
                f"  hint: takeover_after_seconds = {least:g} or more, which is {HEARTBEATS_MISSED} heartbeats"
            )
        return self

    @model_validator(mode="after")
    def _client_sends_as_much(self) -> Self:
        limit = _whole_number(self.kafka, _CLIENT_LIMIT, _CLIENT_LIMIT_DEFAULT)
        if self.message_max_bytes > limit:
            # Else the first large delta would end the learner, after every start.
            raise ValueError(
                f"message_max_bytes is {self.message_max_bytes}, but the Kafka client refuses records above "
                f"{limit} bytes\n  hint: set kafka's {_CLIENT_LIMIT}, and the broker's or the topics' limit"
            )
        return self


def _whole_number(properties: KafkaProperties, name: str, default: int) -> int:
    value = properties.get(name, default)
    if not re.fullmatch(r"[0-9]{1,10}", str(value)):
        raise ValueError(
            f"kafka.{name} is {value!r}, a whole number is wanted\n  hint: its default is {default}"
        )
    return int(value)


class PredictorSettings(ServiceSettings):
    """Settings of the predictor."""

    models: list[str] = Field(min_length=1, description="Names of the models to serve.")
    thrift_host: str = Field(default="127.0.0.1", description="Address of the Thrift port.")
    thrift_port: int = Field(default=0, ge=0, le=65535, description="The Thrift port; 0 picks one.")
    server_threads: int = Field(default=1, ge=1, le=256, description="Threads that answer calls.")
    stale_after_seconds: float = Field(
        default=10.0, gt=0, description="Silence of the feed after which scores are marked stale."
    )
    max_connections: int = Field(default=1024, ge=1, description="Connections beyond are closed at once.")
    max_frame_bytes: int = Field(default=8 << 20, ge=1 << 10, description="Largest call.")
    max_events_per_call: int = Field(default=1000, ge=1, description="Most events of a call.")
    max_event_bytes: int = Field(
        default=1 << 20, ge=1, le=1 << 20, description="Largest event; one that is larger fails alone."
    )
    max_buffered_bytes: int = Field(
        default=48 << 20,
        ge=1 << 20,
        description="Unfinished calls and answers not taken yet, of all connections together.",
    )
    max_turn_bytes: int = Field(
        default=64 << 10,
        ge=1 << 10,
        description="Calls and answers of one connection before others get their turn; one call at least.",
    )
    idle_timeout_seconds: float = Field(
        default=600.0, gt=0, description="How long a connection may be silent between calls."
    )
    transfer_timeout_seconds: float = Field(
        default=10.0, gt=0, description="How long one call may take to arrive, or its answer to be taken."
    )
    overload_lag_seconds: float = Field(
        default=0.25, gt=0, description="Calls are shed while the server thread is this late."
    )
    drain_timeout_seconds: float = Field(
        default=10.0, ge=0, description="How long calls in flight may take to end after SIGTERM."
    )


AnySettings = TypeVar("AnySettings", bound=ServiceSettings)
_ALL = (LearnerSettings, PredictorSettings)


def load(kind: type[AnySettings], path: Path | None, environment: Mapping[str, str]) -> AnySettings:
    """
    Return the settings of the file, overridden by the environment.

    Raises:
        ConfigError: names the file or variable, the key, and the nearest known key.
    """
    values = _read_toml(path) if path else {}
    origin = str(path) if path else "settings"
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX):
            _override(values, kind, name, text)
    try:
        return kind(**values)
    except ValidationError as error:
        # A value that fits none of several types is an error of each.
        found = dict.fromkeys(_explain(origin, kind, each) for each in error.errors())
        raise ConfigError("\n".join(found)) from error


def log_effective(settings: ServiceSettings) -> None:
    """Log the settings in force, once, without their secrets."""
    log.info("settings", extra={"settings": without_secrets(settings.model_dump(mode="json"))})


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with every secret replaced, at any depth."""
    return {key: "***" if _SECRET.search(key) else _without_secrets(value) for key, value in values.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return url_without_secrets(value) if isinstance(value, str) else value


def url_without_secrets(text: str) -> str:
    """Return *text* without what its URLs say of users and passwords."""
    for pattern, instead in _SECRETS_OF_URLS:
        text = pattern.sub(instead, text)
    return text


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _override(values: dict[str, Any], kind: type[ServiceSettings], name: str, text: str) -> None:
    key = name.removeprefix(PREFIX).lower()
    if key in kind.model_fields:
        values[key] = _parse(text)
    elif property_ := kafka_properties.from_environment({name: text}):
        table = values.get("kafka", {})
        # A table that is none is told of when all settings are looked at.
        values["kafka"] = {**table, **property_} if isinstance(table, dict) else table
    # Services share an environment: what another one knows is not a misspelling.
    elif not _KUBERNETES.match(name) and not any(key in other.model_fields for other in _ALL):
        raise ConfigError(f"environment variable {name}: unknown setting{_suggest(key, kind)}")


def _parse(text: str) -> Any:
    """Return *text* as the TOML value it is, or as itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(origin: str, kind: type[ServiceSettings], error: ErrorDetails) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{origin}: unknown setting {key!r}{_suggest(key, kind)}"
    if error["type"] == "missing":
        return f"{origin}: {key} is missing: {kind.model_fields[key].description}"
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return f"{origin}: {message}"
    if error["loc"][0] == "kafka" and len(error["loc"]) > 1:
        return f"{origin}: kafka.{error['loc'][1]}: a text, a number, true or false is wanted"
    return f"{origin}: {key}: {message}\n  hint: {kind.model_fields[str(error['loc'][0])].description}"


def _suggest(key: str, kind: type[ServiceSettings]) -> str:
    near = difflib.get_close_matches(key, kind.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(kind.model_fields))}"
