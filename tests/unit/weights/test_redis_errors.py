"""What Redis answers when it cannot take a call now is waited for; what waiting does not cure is raised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser
from redis.exceptions import RedisClusterException, ResponseError

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.weights.redis.access import asked
from stream_ml.weights.shards import ShardUnavailable

FOR_NOW = [
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
    "MOVED 3999 127.0.0.1:6381",
    "ASK 3999 127.0.0.1:6381",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "BUSY Redis is busy running a script.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
]


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize("answer", FOR_NOW)
@pytest.mark.parametrize("before", ["", "Command # 1 (FCALL stream_ml_1_push) of pipeline caused error: "])
def test_what_may_pass_is_waited_for(answer: str, before: str) -> None:
    error = BaseParser.parse_error(answer)
    # As the client's pipelines do.
    error.args = (before + str(error.args[0]), *error.args[1:])
    with pytest.raises(ShardUnavailable):
        asked(raising(error))


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("Connection refused"),
        exceptions.TimeoutError("Timeout reading from socket"),
        RedisClusterException("Redis Cluster cannot be connected."),
    ],
)
def test_nobody_there_is_waited_for(error: Exception) -> None:
    with pytest.raises(ShardUnavailable):
        asked(raising(error))


@pytest.mark.parametrize("answer", ["NOPERM no permissions", "WRONGPASS invalid pair", "NOAUTH required"])
def test_who_is_not_let_in_is_told(answer: str) -> None:
    with pytest.raises(ConfigError, match="redis_user"):
        asked(raising(BaseParser.parse_error(answer)))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("ERR The user executing the script can't run this command or subcommand script: f", "redis_user"),
        ("ERR unknown command 'FUNCTION', with args beginning with: 'LOAD'", r"Redis 7\.0 or later"),
    ],
)
def test_what_a_person_has_to_change_is_a_setting_not_a_fault(answer: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        asked(raising(BaseParser.parse_error(answer)))


def test_a_key_that_is_not_ours_is_a_stop() -> None:
    with pytest.raises(CannotContinue, match="another program's"):
        asked(raising(BaseParser.parse_error("WRONGTYPE Operation against a key")))


def test_a_replica_is_waited_for_with_a_hint_at_its_master() -> None:
    with pytest.raises(ShardUnavailable, match="is to name the master"):
        asked(raising(BaseParser.parse_error("READONLY You can't write against a read only replica.")))


@pytest.mark.parametrize("answer", ["ERR ids and deltas differ", "ERR the word BUSY in it"])
def test_a_fault_of_ours_is_not_waited_for(answer: str) -> None:
    with pytest.raises(ResponseError):
        asked(raising(BaseParser.parse_error(answer)))
