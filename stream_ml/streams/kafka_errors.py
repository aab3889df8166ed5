"""What a Kafka client's error means to us, and the last one it reported by itself."""

from __future__ import annotations

import logging
import re
import time

from confluent_kafka import KafkaError

from stream_ml.errors import CannotContinue, ConfigError, StreamMlError
from stream_ml.streams.log import LogUnavailable

logger = logging.getLogger("stream_ml.kafka")
_QUIET_SECONDS = 10.0

# Errors that no waiting cures: the operator has to change something.
_REFUSALS = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


class Repeats(logging.Filter):
    """
    Lets one of many lines that differ in numbers only through each 10 s.

    While brokers are away, each client says so many times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held_back: dict[str, int] = {}
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is to be written; how many were not is said with the next."""
        line = record.getMessage()
        kind, now = re.sub(r"\d+", "0", line), time.monotonic()
        if now - self._said_at.get(kind, -_QUIET_SECONDS) < _QUIET_SECONDS:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        self._said_at[kind] = now
        if held_back := self._held_back.pop(kind, 0):
            record.msg, record.args = f"{line} (and {held_back} lines like it since the last)", None
        return True


logger.addFilter(Repeats())


class Background:
    """
    Keeps what the client's own threads reported, to tell it with the next failure.

    Attributes:
        last: the last report.
        refusal: the last that said that this client is not let in.
    """

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.refusal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take a report (the client's ``error_cb``)."""
        self.last = error
        if error.code() in _REFUSALS:
            self.refusal = error
        logger.debug("kafka client: %s", error)

    def forget(self) -> None:
        """Something has worked: what was reported is over."""
        self.last = self.refusal = None

    def detail(self) -> str:
        """Return the last report for a message, or nothing."""
        return f" ({self.last.str()})" if self.last else ""


def translate(error: KafkaError, doing: str, background: Background | None = None) -> StreamMlError:
    """Return our error for the client's: refused for good, or away for now."""
    reason = background.refusal if background and background.refusal else error
    if reason.code() in _REFUSALS:
        return CannotContinue(
            f"{doing}: Kafka refused: {reason.str()}; check the client's SASL, TLS and ACL settings"
        )
    if error.code() == KafkaError._INVALID_ARG:
        return ConfigError(f"{doing}: {error.str()}")
    return LogUnavailable(f"{doing}: {error.str()}{background.detail() if background else ''}")
