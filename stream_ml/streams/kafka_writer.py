"""Appends to Kafka topics; a record that cannot be delivered ends the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_ml.streams.kafka_errors import Background, logger
from stream_ml.streams.log import Undeliverable

# How long a caller waits at a time for room in the queue, and an idle writer for acknowledgements.
_WAIT_SECONDS = 0.05
_CLOSE_SECONDS = 60.0
_BY_KEY = -1  # the client's "no partition given"


class KafkaWriter:
    """The port's writer over an idempotent producer."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._background = Background()
        self._producer = Producer({**settings, "error_cb": self._background}, logger=logger)
        self._failure: str | None = None
        self._closed = threading.Event()
        self._acknowledgements = threading.Thread(target=self._serve, name="kafka-writer", daemon=True)
        self._acknowledgements.start()

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        on_delivered: Callable[[int, int], None] | None = None,
    ) -> None:
        self._refuse_after_failure()
        report = self._report(on_delivered) if on_delivered else self._delivered
        target = _BY_KEY if partition is None else partition
        more = {"headers": list(headers.items())} if headers else {}
        while True:
            try:
                self._producer.produce(topic, value, key, target, report, **more)
                return
            except BufferError:
                self._producer.poll(_WAIT_SECONDS)
                self._refuse_after_failure()
            except KafkaException as error:
                raise self._fail(
                    f"{topic}: a record of {len(value or b'')} bytes: {error.args[0].str()}"
                ) from error

    def flush(self, timeout_seconds: float) -> None:
        self._refuse_after_failure()
        left = self._producer.flush(timeout_seconds)
        self._refuse_after_failure()
        if left:
            raise self._fail(
                f"{left} records not acknowledged in {timeout_seconds:g} s{self._background.detail()}"
            )

    def close(self) -> None:
        try:
            if not self._closed.is_set():
                self.flush(_CLOSE_SECONDS)
        finally:
            self._closed.set()
            self._acknowledgements.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._closed.set()  # an error is on its way already; waiting for acknowledgements would hide it
        self.close()

    def _serve(self) -> None:
        """Hand out acknowledgements while nobody sends."""
        while not self._closed.is_set():
            self._producer.poll(_WAIT_SECONDS)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = (
                f"{message.topic()}[{message.partition()}]: {error.str()}{self._background.detail()}"
            )

    def _report(
        self, on_delivered: Callable[[int, int], None]
    ) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                on_delivered(message.partition(), message.offset())
            else:
                self._delivered(error, message)

        return report

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise Undeliverable(
                f"a record was refused for good: {self._failure}; start again from the last place"
            )

    def _fail(self, what: str) -> Undeliverable:
        self._failure = self._failure or what
        return Undeliverable(f"a record was refused for good: {what}; start again from the last place")
