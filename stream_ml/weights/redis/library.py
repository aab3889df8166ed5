"""The functions that run inside of Redis: loaded once a server, by name and version, and checked."""

from __future__ import annotations

from importlib.resources import files

from redis import Redis, RedisCluster, exceptions
from redis.exceptions import ResponseError

from stream_ml.errors import ConfigError

VERSION = 2
NAME = f"stream_ml_{VERSION}"
# Of Redis: the first that has functions.
LEAST = 7


def source() -> str:
    """Return the library's code."""
    return (files(__package__) / "functions.lua").read_text()


def load(client: Redis | RedisCluster) -> None:
    """
    See that every master has the library; another version of it stays beside.

    Raises:
        ConfigError: a server has other code under this name and version, or may evict rows, now or once it
            takes over; or it is too old.
    """
    for server in _servers(client):
        _check_server(server)
    for server in masters(client):
        _load(server)


def masters(client: Redis | RedisCluster) -> list[Redis]:
    """Return a client for each server that takes writes."""
    if isinstance(client, RedisCluster):
        return [node.redis_connection for node in client.get_primaries()]  # type: ignore[no-untyped-call]
    return [client]


def _servers(client: Redis | RedisCluster) -> list[Redis]:
    if isinstance(client, RedisCluster):
        return [node.redis_connection for node in client.get_nodes()]  # type: ignore[no-untyped-call]
    return [client]


def _check_server(server: Redis) -> None:
    try:
        told = server.info("server") | server.info("memory")
    except (exceptions.ConnectionError, exceptions.TimeoutError):
        # Masters that are away are met when the library is loaded, replicas when they have taken over.
        return
    version, policy = str(told["redis_version"]), told["maxmemory_policy"]
    if int(version.split(".")[0]) < LEAST:
        raise ConfigError(f"Redis {LEAST}.0 or later is needed, for its functions; this is {version}")
    if policy != "noeviction":
        raise ConfigError(f"Redis may evict weights: maxmemory-policy is {policy}; set it to noeviction")


def _load(server: Redis) -> None:
    try:
        server.function_load(source())
    except ResponseError as error:
        if "already exists" not in str(error):
            raise
        _check(server)


def _check(server: Redis) -> None:
    # A flat list of names and values, or a mapping, by the client's protocol.
    listed = server.function_list(library=NAME, withcode=True)[0]
    told = listed if isinstance(listed, dict) else dict(zip(listed[::2], listed[1::2], strict=True))
    code = told.get(b"library_code", told.get("library_code", b""))
    if (code.decode() if isinstance(code, bytes) else code) != source():
        raise ConfigError(f"Redis has other code as {NAME}: another build of stream-ml made it")
