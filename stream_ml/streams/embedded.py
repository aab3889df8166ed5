"""
The embedded broker: librdkafka's mock cluster, in this process; other processes may join it.

For a newcomer, a demo, and tests: it lives in memory, forgets with its process, keeps the last 5 MiB
(or 100,000 batches) of a partition and drops older records *in silence*. A sender has to follow the
readers, see ``paced.py``.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka
import orjson

from stream_ml.errors import CannotContinue
from stream_ml.streams.kafka import EMBEDDED_TOPIC_REQUESTS, KafkaLog
from stream_ml.streams.kafka_errors import logger

_REQUEST_POLL_SECONDS = 0.2
MAX_PARTITIONS = 1000
_PRODUCER = 0  # rd_kafka_type_t
_POINTER = ctypes.c_void_p
_SIGNATURES = {
    "rd_kafka_conf_new": (_POINTER, []),
    "rd_kafka_conf_set": (
        ctypes.c_int,
        [_POINTER, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t],
    ),
    "rd_kafka_new": (_POINTER, [ctypes.c_int, _POINTER, ctypes.c_char_p, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [_POINTER]),
    "rd_kafka_mock_cluster_new": (_POINTER, [_POINTER, ctypes.c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [_POINTER]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [_POINTER]),
    "rd_kafka_mock_set_controller_id": (None, [_POINTER, ctypes.c_int32]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [_POINTER, ctypes.c_int32]),
    "rd_kafka_mock_topic_create": (ctypes.c_int, [_POINTER, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
    "rd_kafka_mock_partition_delete_records": (
        ctypes.c_int,
        [_POINTER, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64],
    ),
}


class EmbeddedBroker:
    """A broker for as long as the object is open; ``bootstrap`` is its address, on this machine only."""

    def __init__(self) -> None:
        """Raises CannotContinue: the client library at hand has no mock cluster."""
        self._library = _load_library()
        self._client = self._new_client()
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise CannotContinue("the embedded broker did not start; use a Kafka broker (--bootstrap)")
        self._library.rd_kafka_mock_set_controller_id(self._cluster, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self.create_topic(EMBEDDED_TOPIC_REQUESTS, 1)
        self._closing = threading.Event()
        self._requests = threading.Thread(target=self._create_requested, name="embedded-topics", daemon=True)
        self._requests.start()

    def log(self, settings: Mapping[str, str] | None = None) -> EmbeddedLog:
        """Return the log on this broker; unlike one from another process it creates any topic."""
        return EmbeddedLog(self, {**(settings or {}), "bootstrap.servers": self.bootstrap})

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic that does not exist yet; CannotContinue with a count that no topic has."""
        # The library trusts its caller: with -1 it ends the process.
        if not 1 <= partitions <= MAX_PARTITIONS:
            raise CannotContinue(f"topic {name}: {partitions} partitions; 1 to {MAX_PARTITIONS} are possible")
        self._check("rd_kafka_mock_topic_create", name.encode(), partitions, 1)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Forget the records below offset *before*, as retention does."""
        self._check("rd_kafka_mock_partition_delete_records", topic.encode(), partition, before)

    def close(self) -> None:
        """Stop; everything it held is gone. Idempotent."""
        if self._cluster is not None:
            self._closing.set()
            self._requests.join()
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, function: str, *arguments: object) -> None:
        assert self._cluster is not None, "the embedded broker is closed"
        code = getattr(self._library, function)(self._cluster, *arguments)
        if code != 0:
            raise CannotContinue(f"the embedded broker refused {function}{arguments}: error {code}")

    def _create_requested(self) -> None:
        """Create the topics that other processes ask for: the mock cluster offers them no way."""
        with closing(self.log()) as log, closing(log.reader(EMBEDDED_TOPIC_REQUESTS, {0: 0})) as reader:
            while not self._closing.is_set():
                for fetch in reader.poll(max_records=1, timeout_seconds=_REQUEST_POLL_SECONDS):
                    request = orjson.loads(fetch.values[0] or b"")
                    try:
                        log.ensure_topic(request["name"], request["partitions"])
                    except CannotContinue as error:  # whoever asked finds no topic, the next one is heard
                        logger.warning("%s", error)

    def _new_client(self) -> int:
        """The mock cluster belongs to a client; this one does nothing else."""
        message = ctypes.create_string_buffer(512)
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"2", message, len(message))
        client: int | None = self._library.rd_kafka_new(_PRODUCER, settings, message, len(message))
        if not client:
            raise CannotContinue(f"the embedded broker did not start: {message.value.decode()}")
        return client


class EmbeddedLog(KafkaLog):
    """The log in the process that runs the embedded broker."""

    def __init__(self, broker: EmbeddedBroker, settings: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._broker = broker

    def _create_embedded(self, name: str, partitions: int) -> None:
        self._broker.create_topic(name, partitions)


def _load_library() -> ctypes.CDLL:
    """The very library that the Kafka client has loaded."""
    package = Path(confluent_kafka.__file__).parent
    bundled = sorted(package.parent.glob(f"{package.name}.libs/librdkafka-*")) + sorted(
        package.glob(".dylibs/librdkafka*")
    )
    try:
        library = ctypes.CDLL(os.fspath(bundled[0]) if bundled else "librdkafka.so.1")
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise CannotContinue(f"no embedded broker: {error}; use a Kafka broker (--bootstrap)") from error
    return library
