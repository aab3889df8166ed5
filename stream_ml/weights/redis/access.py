"""How Redis is reached, and what becomes of its errors: wait, look at a setting, or stop."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis._parsers import CommandsParser
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.retry import Retry

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.weights.redis.library import load
from stream_ml.weights.shards import ShardUnavailable

KEYS = 4
# Errors that another try may not meet. The client has classes for some, and takes their first word away; in a
# pipeline it writes the command before the others'.
_FOR_NOW = (AskError, ClusterDownError, MovedError, OutOfMemoryError, TryAgainError)
_BEGIN_FOR_NOW = re.compile(r"(^|caused error: )(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS) ")
# A function that may not run one of its commands says so in words of its own.
_NOT_ALLOWED = "can't run this command or subcommand"
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Access:
    """
    How Redis is reached.

    Attributes:
        url: of a server, or of any of a cluster; ``rediss`` is TLS.
        user, password: of its ACL; empty is none. ca_file: that its certificate is checked by.
        timeout_seconds: of a call. connections: most to each server.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    timeout_seconds: float = 2.0
    connections: int = 64

    @property
    def encrypted(self) -> bool:
        """Whether the URL says TLS."""
        return self.url.startswith("rediss:")

    def options(self) -> dict[str, Any]:
        """Return what redis-py wants to know beside the URL."""
        given = {"username": self.user, "password": self.password, "ssl_ca_certs": self.ca_file}
        return {
            **{name: value for name, value in given.items() if value},
            "socket_timeout": self.timeout_seconds,
            "socket_connect_timeout": self.timeout_seconds,
            "max_connections": self.connections,
            # One more try, for a connection that a restarted server closed. By default there are many, with
            # pauses between: who asks goes on trying by itself, and is to hear that a shard is away.
            "retry": Retry(NoBackoff(), 1),
            # Answers are read as they come: this client would else turn some into other shapes.
            "protocol": 2,
        }


def connect(access: Access) -> Redis | RedisCluster:
    """
    Return a client of a server, or of the cluster that it belongs to; its library is loaded.

    Raises:
        ConfigError: the URL or another setting is wrong, Redis lets nobody in with this user and password, is
            too old, or may evict rows.
        ShardUnavailable: it does not answer.
    """
    _check(access)
    one = Redis.from_url(access.url, **access.options())
    try:
        clustered = asked(lambda: one.info("cluster"))["cluster_enabled"]
    except ShardUnavailable as error:
        hint = "does it speak TLS, as rediss:// says" if access.encrypted else "does it want rediss://"
        raise ShardUnavailable(f"{error} (if it is there: {hint}?)") from error
    client: Redis | RedisCluster = one
    if clustered:
        client = asked(lambda: _cluster(access))
    asked(lambda: load(client))
    return client


def _check(access: Access) -> None:
    """Raises ConfigError: the settings cannot work. Never with the URL in it: that may hold a password."""
    try:
        parts = urlsplit(access.url)
        _ = parts.port
    except ValueError:
        raise ConfigError(
            "weights: no URL of a Redis, as redis://HOST:PORT\n  hint: a password rather in "
            "redis_password_file; in the URL its / @ and : are written %2F %40 and %3A"
        ) from None
    if parts.query or parts.fragment:
        raise ConfigError("weights: nothing may follow ? or # in the URL; settings redis_… say the rest")
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        raise ConfigError("weights: after the port of the URL only the number of a database may follow")
    if access.ca_file and not access.encrypted:
        raise ConfigError("redis_ca_file: is for TLS only; `weights` is to begin with rediss://")
    if access.ca_file:
        try:
            ssl.create_default_context(cafile=access.ca_file)
        except OSError as error:  # what is no certificate is one too
            raise ConfigError(f"redis_ca_file: {access.ca_file} cannot be used: {error}") from error


def _cluster(access: Access) -> RedisCluster:
    client: RedisCluster = RedisCluster.from_url(access.url, **access.options())
    client.commands_parser = _KeysOfFunctions(client)  # type: ignore[no-untyped-call]
    return client


class _KeysOfFunctions(CommandsParser):
    """
    Tells the client where the keys of FCALL are.

    It would else ask a server: one more trip with all of the call's bytes, and always to the same server, so
    that no call reaches any server once that one is dead.
    """

    def get_keys(self, redis_conn: Any, *args: Any) -> Any:
        if args[0] == "FCALL":
            return args[3 : 3 + KEYS]
        return super().get_keys(redis_conn, *args)  # type: ignore[no-untyped-call]


def asked(call: Callable[[], Result]) -> Result:
    """
    Call, and say what an error is.

    Raises:
        ShardUnavailable: another try may not meet it.
        ConfigError: a setting, or a right in Redis, is to be changed first.
        CannotContinue: what is in Redis is not ours.
    """
    try:
        return call()
    except (AuthenticationError, NoPermissionError) as error:
        raise _refused(error) from error
    except ReadOnlyError as error:
        raise ShardUnavailable(
            f"Redis takes no calls now: {error} If this does not pass: `weights` is to name the master"
        ) from error
    except ResponseError as error:
        if _NOT_ALLOWED in str(error):
            raise _refused(error) from error
        if "WRONGTYPE" in str(error):
            raise CannotContinue(
                f"a key of the model's shards is another program's: {error}\n"
                "  hint: the shards' keys begin with {MODEL/; give the other program other ones, or this "
                "model a Redis of its own"
            ) from error
        if "unknown command" in str(error).lower() and "FUNCTION" in str(error):
            raise ConfigError(f"Redis 7.0 or later is needed, for its functions: {error}") from error
        if "SELECT is not allowed in cluster mode" in str(error):
            raise ConfigError(
                "weights: a Redis Cluster has no database but 0; leave it out of the URL"
            ) from error
        if not isinstance(error, _FOR_NOW) and not _BEGIN_FOR_NOW.search(str(error)):
            raise
        raise ShardUnavailable(f"Redis takes no calls now: {error}") from error
    except (RedisError, RedisClusterException) as error:
        if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
            raise ConfigError(
                f"Redis and this process do not agree on TLS: {error}\n  hint: see redis_ca_file, and "
                "whether `weights` names the host as the server's certificate does, at a port that speaks TLS"
            ) from error
        raise ShardUnavailable(f"Redis does not answer: {error}") from error


def _refused(error: Exception) -> ConfigError:
    return ConfigError(
        f"Redis refuses this user: {error}; see redis_user and redis_password, and the user's ACL"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
