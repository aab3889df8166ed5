"""What the settings of every service have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_ml.runtime import kafka_properties
from stream_ml.runtime.bounds import DAY, number
from stream_ml.runtime.logging import LogFormat

# As model files have it, of which settings know nothing.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

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
    broker_timeout_seconds: float = number(
        30.0,
        (1, DAY),
        "How long brokers may stay away before the process ends.",
        "electing a leader takes that long; longer looks like hanging",
    )
    http_host: str = Field(default="127.0.0.1", description="Address of /metrics, /livez and /readyz.")
    http_port: int = number(
        0, (0, 65_535), "Port of /metrics, /livez, /readyz; 0 picks one.", "a port has 16 bits"
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
