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

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from stream_ml.errors import ConfigError
from stream_ml.runtime import kafka_properties
from stream_ml.runtime.bounds import CENTURY, DAY, HOUR, TICK, bounds, number
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.redis_settings import RedisSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.secrets import SECRET, without_secrets
from stream_ml.runtime.service_settings import MODEL_NAME, KafkaProperties, ServiceSettings

log = logging.getLogger(__name__)

PREFIX = "STREAM_ML_"
_CLIENT_LIMIT, _CLIENT_LIMIT_DEFAULT = "message.max.bytes", 1_000_000  # librdkafka's
# Kubernetes puts these in every pod for a service that is called stream-ml-…; they are not ours.
_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_.*)?)?)$")

# One heartbeat may be late and the next lost before a writer counts as silent.
HEARTBEATS_MISSED = 3


class LearnerSettings(ServiceSettings, RedisSettings):
    """Settings of the learner."""

    model_file: Path = Field(description="The model to learn (TOML).")
    events_topic: str = Field(default="events", description="The topic with the events; it must exist.")
    batch_max_records: int = number(
        20_000, (1, 1_000_000), "Most records of one step.", "a batch is held in memory, record by record"
    )
    batch_max_bytes: int = number(
        8 << 20, (1, 1 << 30), "Bytes of one step, met on average.", "a batch is held in memory"
    )
    step_interval_seconds: float = number(
        0.02,
        (0, 60),
        "Shortest time between two steps that are not full; bounds the journal's growth.",
        "events wait that long for their step",
    )
    poll_wait_seconds: float = number(
        0.01,
        (TICK, 1),
        "Longest wait for a record before the loop looks after other things.",
        "heartbeats and a stop wait for it",
    )
    fetch_queue_batches: int = number(
        4, (1, 1000), "Batches fetched ahead of learning.", "all of them are held in memory"
    )
    held_steps: int = number(
        64,
        (1, 10_000),
        "Steps learned ahead of the journal; their outputs wait for their line.",
        "the outputs of all of them are held in memory",
    )
    scan_threads: int = number(
        1,
        (0, 256),
        "Threads that parse and hash, beside the one that learns.",
        "few machines have more cores",
    )
    expected_rows: int = number(
        0, (0, 1 << 30), "Rows the table has room for from the start.", "a place in the table has 32 bits"
    )
    publish_interval_seconds: float = number(
        0.01, (TICK, 60), "Shortest time between two deltas in the feed.", "scores are that much behind"
    )
    heartbeat_interval_seconds: float = number(
        0.5,
        (TICK, 60),
        "Longest silence in the feed; an empty delta is the heartbeat.",
        "predictors take the silence for a loss",
    )
    feed_bytes_per_second: int = number(
        64 << 20,
        (1 << 16, 1 << 40),
        "Budget of the feed: the more there is to say, the longer the interval.",
        "beyond any network",
    )
    feed_partitions: int = number(
        1, (1, 1000), "Partitions of the feed where it is created.", "a delta is cut for each of them"
    )
    feed_retention_seconds: float = number(
        86_400.0,
        (60, CENTURY),
        "Retention of the feed where its topic is created.",
        "a predictor loads a snapshot meanwhile",
    )
    message_max_bytes: int = number(
        900_000,
        (10_000, 1_000_000_000),
        "Largest record we send; below the broker's message.max.bytes.",
        "more the Kafka client cannot send",
    )
    snapshot_interval_seconds: float = number(
        60.0,
        (TICK, 30 * DAY),
        "Time between two snapshots.",
        "what came since is learned again after a crash",
    )
    snapshots_kept: int = number(
        3,
        (3, 16),
        "Snapshots that verify and are kept; the journal knows no more.",
        "two may be damaged, and the journal knows 16",
    )
    snapshots_kept_seconds: float = number(
        0.0, (0, CENTURY), "Younger snapshots are kept too, however many they are.", "a hundred years"
    )
    snapshot_rows_per_batch: int = number(
        50_000,
        (1, 10_000_000),
        "Rows of a snapshot's image taken between two batches.",
        "learning waits while they are taken",
    )
    commit_interval_seconds: float = number(
        5.0,
        (TICK, HOUR),
        "Time between two commits of offsets, which are advice for lag tools.",
        "tools show that much too large a lag",
    )
    consumer_group: str = Field(
        default="", description="Group the advice is committed to; empty: <model>.learner."
    )
    label_breaker: bool = Field(
        default=True, description="Whether learning stops by itself where the label rate breaks abruptly."
    )
    silence_after_seconds: float = number(
        3600.0,
        (1, CENTURY),
        "Without events, or labels while events come, for so long an operator is told.",
        "a moment without events is no silence",
    )
    takeover_after_seconds: float = number(
        3.0,
        (TICK, HOUR),
        "Silence of the writer after which a caught-up standby claims; several heartbeats.",
        "nobody learns meanwhile",
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
    thrift_port: int = number(0, (0, 65_535), "The Thrift port; 0 picks one.", "a port has 16 bits")
    server_threads: int = number(1, (1, 256), "Threads that answer calls.", "few machines have more cores")
    stale_after_seconds: float = number(
        10.0,
        (TICK, 30 * DAY),
        "Silence of the feed after which scores are marked stale.",
        "a mark that late warns nobody",
    )
    max_connections: int = number(
        1024, (1, 1_000_000), "Connections beyond are closed at once.", "each takes a descriptor and 16 KiB"
    )
    max_frame_bytes: int = number(8 << 20, (1 << 10, 1 << 30), "Largest call.", "a call is held in memory")
    max_events_per_call: int = number(
        1000, (1, 1_000_000), "Most events of a call.", "others wait while a call is answered"
    )
    max_event_bytes: int = number(
        1 << 20,
        (1, 1 << 20),
        "Largest event; one that is larger fails alone.",
        "a learner takes no larger one either",
    )
    max_buffered_bytes: int = number(
        48 << 20,
        (1 << 20, 1 << 40),
        "Unfinished calls and answers not taken yet, of all connections together.",
        "beyond any memory",
    )
    max_turn_bytes: int = number(
        64 << 10,
        (1 << 10, 1 << 30),
        "Calls and answers of one connection before others get their turn; one event at least.",
        "others wait for a turn",
    )
    idle_timeout_seconds: float = number(
        600.0,
        (TICK, 30 * DAY),
        "How long a connection may be silent between calls.",
        "what is gone without a word holds a connection",
    )
    transfer_timeout_seconds: float = number(
        10.0,
        (TICK, HOUR),
        "How long one call may take to arrive, or its answer to be taken.",
        "who is slow holds memory",
    )
    overload_lag_seconds: float = number(
        0.25,
        (TICK, 60),
        "Calls are shed while the server thread is this late.",
        "callers have given up by then",
    )
    drain_timeout_seconds: float = number(
        10.0,
        (0, HOUR),
        "How long calls in flight may take to end after SIGTERM.",
        "whoever asked it to stop waits, or kills it",
    )
    log_calls_per_second: int = number(
        10,
        (0, 1000),
        "So many calls with a correlation id, and so many without an answer, are logged a second; 0: none.",
        "counters and histograms have them all",
    )

    @model_validator(mode="after")
    def _names_each_model_once(self) -> Self:
        wrong = [name for name in self.models if not MODEL_NAME.fullmatch(name)]
        repeated = [name for name in self.models if self.models.count(name) > 1]
        if wrong or repeated:
            # Of the first, no topics can ever be there to wait for.
            what = "can be no model's name" if wrong else "is named more than once"
            raise ValueError(
                f"models: {(wrong or repeated)[0]!r} {what}\n"
                "  hint: each model's `name`, as it stands in its model file, once"
            )
        return self

    @model_validator(mode="after")
    def _holds_the_largest_call(self) -> Self:
        if self.max_buffered_bytes < self.max_frame_bytes:
            # Else a call that is allowed ends its connection before all of it is there, without an answer.
            raise ValueError(
                f"max_buffered_bytes is {self.max_buffered_bytes}, but max_frame_bytes lets one call have "
                f"{self.max_frame_bytes}\n  hint: several times max_frame_bytes, or a smaller max_frame_bytes"
            )
        return self


AnySettings = TypeVar("AnySettings", bound=ServiceSettings)
_ALL = (LearnerSettings, PredictorSettings, RetrainerSettings, DriftMonitorSettings)


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
        # A password of digits is no number.
        values[key] = text if SECRET.search(key) else _parse(text)
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
    if error["type"] in ("greater_than_equal", "less_than_equal"):
        message = f"{error['input']!r} is given, wanted is {bounds(kind.model_fields[key])}"
    if not key:
        return f"{origin}: {message}"
    if error["loc"][0] == "kafka" and len(error["loc"]) > 1:
        return f"{origin}: kafka.{error['loc'][1]}: a text, a number, true or false is wanted"
    return f"{origin}: {key}: {message}\n  hint: {kind.model_fields[str(error['loc'][0])].description}"


def _suggest(key: str, kind: type[ServiceSettings]) -> str:
    near = difflib.get_close_matches(key, kind.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(kind.model_fields))}"
