"""Settings of what is kept in Redis, and how it is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator

from stream_ml.errors import ConfigError
from stream_ml.runtime.bounds import number

MEMORY = "memory"


class RedisSettings(BaseModel):
    """Where a learner's weights are, and how Redis is asked for them."""

    weights: str = Field(
        default=MEMORY,
        pattern=f"^({MEMORY}$|rediss?://)",
        description="Where the rows are: memory, or the URL of a Redis or of one of a cluster (rediss: TLS).",
    )
    redis_user: str = Field(default="", description="ACL user; empty is the default user.")
    redis_password: str = Field(default="", description="Password; rather STREAM_ML_REDIS_PASSWORD.")
    redis_password_file: Path | None = Field(
        default=None, description="File with the password alone; one line end after it is no part of it."
    )
    redis_ca_file: Path | None = Field(
        default=None, description="Certificates that Redis's own is checked by; else those of the system."
    )
    redis_shards: int = number(
        4,
        (1, 1024),
        "Shards that the rows of a new variant are dealt to in Redis.",
        "each batch asks every shard, and beyond some million rows a shard its rows take more memory",
    )
    redis_timeout_seconds: float = number(
        2,
        (0.05, 60),
        "How long Redis may take for one call.",
        "a call takes milliseconds",
    )
    redis_connections: int = number(
        64,
        (1, 10_000),
        "Most connections to each server of Redis.",
        "each batch in flight uses one",
    )
    redis_batches_in_flight: int = number(
        2, (1, 64), "Partitions whose batches are learned at a time with Redis.", "each is held in memory"
    )
    redis_batches_joined: int = number(
        8,
        (1, 64),
        "Batches learned as one with Redis while learning is behind.",
        "all of them are held in memory, and a call of Redis takes as much longer",
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.redis_password and self.redis_password_file:
            raise ValueError("redis_password and redis_password_file: one of them is enough")
        return self

    def password(self) -> str:
        """
        Return the password of Redis; empty is none.

        Raises:
            ConfigError: its file cannot be read.
        """
        if self.redis_password_file is None:
            return self.redis_password
        try:
            return self.redis_password_file.read_text().removesuffix("\n")
        except OSError as error:
            raise ConfigError(
                f"redis_password_file: {self.redis_password_file} cannot be read: {error.strerror}"
            ) from error
        except UnicodeDecodeError:
            # Not its words: they quote the password.
            raise ConfigError(f"redis_password_file: {self.redis_password_file} is no UTF-8") from None
