"""Settings of the Kafka clients: what exactness needs, defaults, and the operator's own passed through."""

from __future__ import annotations

from collections.abc import Mapping

from stream_ml.errors import ConfigError

# What exactness rests on: another value would lose or repeat records without an error.
_COMMON = {
    "allow.auto.create.topics": "false",  # a misspelt topic must not come into being
    "log.connection.close": "false",  # brokers close idle connections all the time
}
_READER = {
    "auto.offset.reset": "error",
    "check.crcs": "true",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "enable.partition.eof": "false",
    "isolation.level": "read_committed",
    # A reader takes no part in a group; frozen for an hour, it goes on where it was.
    "max.poll.interval.ms": "86400000",
}
_WRITER = {
    "acks": "all",
    "enable.idempotence": "true",
    # The same key meets in the same partition, whether a Java client or this one wrote it.
    "partitioner": "murmur2_random",
}
# What an operator may want otherwise.
_ADMIN_DEFAULTS = {
    "reconnect.backoff.max.ms": "1000",  # a broker that is back is found at once (default: up to 10 s later)
}
_DEFAULTS = _ADMIN_DEFAULTS | {
    "topic.metadata.propagation.max.ms": "5000",  # how long an unknown topic is waited for
}
_READER_DEFAULTS = {
    "group.id": "stream-ml",  # the client wants a name; nothing is joined
    "fetch.message.max.bytes": str(4 * 1024 * 1024),
    "queued.min.messages": "200000",
    "queued.max.messages.kbytes": str(64 * 1024),
    # How long a full queue waits before it fetches again (default 1 s: a stall after every burst).
    "fetch.queue.backoff.ms": "5",
}
_WRITER_DEFAULTS = {
    "linger.ms": "2",
    "compression.type": "lz4",
    "queue.buffering.max.messages": "200000",
    "queue.buffering.max.kbytes": str(64 * 1024),
}


# Of a member of a group; other clients warn of them.
_MEMBER_ONLY = {"session.timeout.ms", "heartbeat.interval.ms", "group.instance.id", "group.protocol"}


def reader_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a consumer is built of."""
    return _merged(_DEFAULTS | _READER_DEFAULTS, settings, _COMMON | _READER)


def writer_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a producer is built of."""
    return _merged(_DEFAULTS | _WRITER_DEFAULTS, _without_members(settings), _COMMON | _WRITER)


def admin_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what an admin client is built of."""
    return _merged(_ADMIN_DEFAULTS, _without_members(settings), _COMMON)


def _without_members(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in _MEMBER_ONLY}


def _merged(
    defaults: Mapping[str, str], settings: Mapping[str, str], fixed: Mapping[str, str]
) -> dict[str, str]:
    for name, value in (_COMMON | _READER | _WRITER).items():
        if settings.get(name, value) != value:
            raise ConfigError(
                f"the Kafka setting {name}={settings[name]} is not for changing: it must be {value}"
            )
    return {**defaults, **settings, **fixed}
