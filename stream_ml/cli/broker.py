"""Which Kafka a command talks to: the one that is named, or the one of what `stream-ml up` runs."""

from __future__ import annotations

import os
from pathlib import Path

from stream_ml.local.running import Running
from stream_ml.runtime import kafka_properties


def find_broker(
    bootstrap: str | None, kafka_file: Path | None, directory: Path
) -> tuple[dict[str, str], Running | None]:
    """
    Return the settings of a Kafka client, from file, environment and option; what runs, if they name none.

    Raises:
        ConfigError: no broker is named, and nothing runs from *directory*.
    """
    settings = kafka_properties.for_client(kafka_file, os.environ)
    settings |= {"bootstrap.servers": bootstrap} if bootstrap else {}
    if "bootstrap.servers" in settings:
        return settings, None
    running = Running.need(directory, "--bootstrap")
    return settings | {"bootstrap.servers": running.bootstrap}, running
