"""Which Kafka a command talks to: the one that is named, or the one of what `stream-ml up` runs."""

from __future__ import annotations

import os
from pathlib import Path

from stream_ml.errors import ConfigError
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


def topic_and_group(
    topic: str | None, follow_group: str | None, running: Running | None
) -> tuple[str, str | None]:
    """
    Return where to send, and the group that learns it: as named, else the topic and the group of *running*.

    Nobody waits for a group that learns another topic: it would never come near.

    Raises:
        ConfigError: no topic is named, and nothing runs.
    """
    topic = topic or (running.topic if running else None)
    if topic is None:
        raise ConfigError("no topic is named\n  hint: --topic NAME")
    learned = running is not None and running.topic == topic
    return topic, follow_group or (running.group if running is not None and learned else None)
