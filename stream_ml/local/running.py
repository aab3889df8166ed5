"""What `stream-ml up` leaves in its state directory, so that the other commands find the running service."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from stream_ml.errors import ConfigError

DIRECTORY = Path(".stream-ml")
# `up` needs a few seconds from its first line to "ready".
STARTING_SECONDS = 15.0
# Between two snapshots on an embedded broker: it forgets soon, and who tries it out wants to look inside.
EMBEDDED_SNAPSHOT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Running:
    """
    Addresses of a running service.

    Attributes:
        model: the model's name.
        bootstrap: Kafka's address, or the embedded broker's.
        embedded: whether the broker is the embedded one, which forgets: senders follow the learner.
        topic: the events.
        group: the consumer group that the learner commits its progress to.
        predictor: host:port of the Thrift front.
        learner_http, predictor_http: host:port of /metrics and /readyz.
        snapshot_store: where snapshots are.
    """

    model: str
    bootstrap: str
    embedded: bool
    topic: str
    group: str
    predictor: str
    learner_http: str
    predictor_http: str
    snapshot_store: str

    def save(self, directory: Path) -> None:
        """Write it to *directory*."""
        (directory / "running.json").write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))

    @staticmethod
    def forget(directory: Path) -> None:
        """Say that nothing runs (any more)."""
        (directory / "running.json").unlink(missing_ok=True)

    @staticmethod
    def find(directory: Path = DIRECTORY) -> Running | None:
        """Return what runs from *directory*, or None."""
        try:
            return Running(**orjson.loads((directory / "running.json").read_bytes()))
        except FileNotFoundError:
            return None

    @staticmethod
    def need(directory: Path, instead: str) -> Running:
        """
        Return what runs from *directory*; wait a little for an `up` that has just been started.

        Raises:
            ConfigError: nothing does; *instead* is the option that makes it unnecessary.
        """
        end = time.monotonic() + STARTING_SECONDS
        while (found := Running.find(directory)) is None:
            if time.monotonic() > end:
                raise ConfigError(
                    f"nothing runs from {directory}\n  hint: start `stream-ml up MODEL`, or give {instead}"
                )
            time.sleep(0.1)
        return found
