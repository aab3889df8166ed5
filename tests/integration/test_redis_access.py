"""Redis behind TLS and an ACL: who is let in, who is told why not, and that no log has a password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from stream_ml.errors import CannotContinue, ConfigError
from stream_ml.runtime.settings import LearnerSettings, load, without_secrets
from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Image, Owner, Push, Rows, ShardUnavailable
from tests.servers.processes import free_port
from tests.servers.redis import RedisCluster, RedisServer, require_redis

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
RIGHTS = PAGE.partition("ACL SETUSER learner on >PASSWORD ")[2].partition("\n")[0]
DANGEROUS = """FLUSHALL|FLUSHDB|SWAPDB 0 1|KEYS *|FUNCTION FLUSH|FUNCTION DELETE stream_ml_2|CLUSTER RESET
CLUSTER FAILOVER|CONFIG SET maxmemory 1|SHUTDOWN|CLIENT KILL ID 1|EVAL x 0
SCRIPT FLUSH|ACL LIST|REPLICAOF h 1"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis whose default user is off, with the user `learner`."""
    require_redis()
    made = RedisServer(tmp_path / "redis")
    try:
        made.start()
        Redis(port=made.port).execute_command("ACL", "SETUSER", "learner", "on", ">s3cret", *RIGHTS.split())
        Redis(port=made.port).execute_command("ACL", "SETUSER", "default", "off")
        yield made
    finally:
        made.stop()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A Redis that speaks TLS only: its URL, and the certificate to check it by."""
    require_redis()
    certificate, key, port = tmp_path / "server.crt", tmp_path / "server.key", free_port()
    asked = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    asked += " -addext subjectAltName=DNS:localhost"
    command = [*asked.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    settings = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    made = RedisServer(tmp_path / "redis", [*settings, "--tls-auth-clients", "no"])
    try:
        made.start()
        yield f"rediss://localhost:{port}", certificate
    finally:
        made.stop()


def works(access: Access) -> bool:
    """Whether a shard can be made and asked."""
    shards = RedisShards(connect(access), "clicks/v1", 0, 1)
    made = shards.restore(0, 1, 0, (shards.look(0).identity, 5), Image(0, {}, {}))
    return (made.kind, shards.look(0).kind) == ("restored", "fences")


def test_the_rights_that_the_page_names_are_enough(guarded: RedisServer) -> None:
    assert works(Access(guarded.url, "learner", "s3cret"))
    client = connect(Access(guarded.url, "learner", "s3cret"))
    shards = RedisShards(client, "clicks/v1", 0, 1)
    assert shards.adopt(0, shards.look(0).identity, 9).kind == "adopted"
    owner = Owner(0, 1, "me")
    assert shards.take(0, owner).kind == "taken"
    rows = Rows(np.array([7], np.uint64), np.ones((1, 2), np.float32))
    assert [each.kind for each in shards.push(owner, [Push(0, 1, rows, True, b"blob")])] == ["applied"]
    assert [each.kind for each in shards.pull([rows.ids])] == ["rows"]
    assert (shards.changes(0, 0).kind, shards.page(0, 0, 9).kind) == ("changes", "page")
    assert shards.bytes(0) > 0
    assert (shards.close(0).kind, shards.settle(0, "home").kind) == ("closed", "settled")
    assert shards.stage(0, 3, rows).kind == "staged"
    assert shards.unstage(0, 3).kind == "unstaged"


def test_the_rights_that_the_page_names_are_enough_for_a_cluster(redis_cluster: RedisCluster) -> None:
    for server in redis_cluster.servers:
        administrator = Redis(port=server.port)
        administrator.execute_command("ACL", "SETUSER", "learner", "reset", "on", ">s3cret", *RIGHTS.split())
    assert works(Access(redis_cluster.url, "learner", "s3cret"))


@pytest.mark.parametrize("command", [each for line in DANGEROUS.splitlines() for each in line.split("|")])
def test_the_rights_that_the_page_names_destroy_nothing(guarded: RedisServer, command: str) -> None:
    Redis(port=guarded.port, username="learner", password="s3cret").ping()
    with pytest.raises(ResponseError, match="no permissions"):
        Redis(port=guarded.port, username="learner", password="s3cret").execute_command(*command.split())


def test_a_user_who_may_not_write_is_told_so_though_a_function_meets_it(redis_redis: RedisServer) -> None:
    rights = [right for right in RIGHTS.split() if right != "+@write"]
    Redis(port=redis_redis.port).execute_command(
        "ACL", "SETUSER", "reader", "reset", "on", ">s3cret", *rights
    )
    shards = RedisShards(connect(Access(redis_redis.url, "reader", "s3cret")), "clicks/v1", 0, 1)
    with pytest.raises(ConfigError, match="Redis refuses this user"):
        shards.settle(0, "home")


@pytest.mark.parametrize(
    ("url", "ca_file", "told"),
    [
        ("redis://h:1", "ca.pem", "redis_ca_file: is for TLS only"),
        ("rediss://h:1", "none.pem", r"redis_ca_file: .*none.pem cannot be used"),
        ("rediss://h:1", "ca.pem", r"redis_ca_file: .*ca.pem cannot be used"),
        ("redis://h:1?protocol=3", "", "nothing may follow"),
        ("redis://h:1?nonsense=1", "", "nothing may follow"),
        ("redis://u:s3cret/p@ss@h:1", "", "no URL of a Redis"),
        ("redis://h:port", "", "no URL of a Redis"),
        ("redis://h:1/x", "", "only the number of a database"),
    ],
)
def test_settings_that_cannot_work_are_told_by_their_names_and_without_a_password(
    tmp_path: Path, url: str, ca_file: str, told: str
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=told) as refused:
        connect(Access(url, ca_file=str(tmp_path / ca_file) if ca_file else ""))
    assert "s3cret" not in str(refused.value)


def test_a_cluster_has_no_databases(redis_cluster: RedisCluster) -> None:
    with pytest.raises(ConfigError, match="a Redis Cluster has no database but 0"):
        connect(Access(f"{redis_cluster.url}/2"))
    connect(Access(f"{redis_cluster.url}/0")).close()


def test_what_is_not_tls_and_what_is_only_tls_get_a_hint(
    redis_redis: RedisServer, encrypted: tuple[str, Path]
) -> None:
    url, certificate = encrypted
    plain = redis_redis.url.replace("redis://", "rediss://")
    with pytest.raises((ShardUnavailable, ConfigError), match="TLS"):
        connect(Access(plain, timeout_seconds=0.3))
    with pytest.raises(ShardUnavailable, match="rediss://"):
        connect(Access(url.replace("rediss://", "redis://"), timeout_seconds=0.3))
    with pytest.raises(ConfigError, match=r"TLS(.|\n)*server's certificate"):
        connect(Access(url.replace("localhost", "127.0.0.1"), ca_file=str(certificate)))


def test_a_key_of_another_program_in_a_shards_place_is_told(redis_redis: RedisServer) -> None:
    shards = RedisShards(connect(Access(redis_redis.url)), "foreign/v1", 0, 1)
    Redis(port=redis_redis.port).set(shards.keys(0)[0], "x")
    with pytest.raises(CannotContinue, match="another program's"):
        shards.look(0)


def test_a_password_file_that_is_no_text_is_told_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"s3cret\xff")
    base = {"STREAM_ML_KAFKA": '{"bootstrap.servers" = "b:1"}', "STREAM_ML_MODEL_FILE": '"m.toml"'}
    settings = load(
        LearnerSettings, None, {**base, "STREAM_ML_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    )
    with pytest.raises(ConfigError, match="is no UTF-8") as refused:
        settings.password()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(("user", "password"), [("learner", "wrong"), ("nobody", "s3cret"), ("", "")])
def test_who_is_not_let_in_is_told_which_settings_to_look_at(
    guarded: RedisServer, user: str, password: str
) -> None:
    with pytest.raises(ConfigError, match="redis_user and redis_password") as refused:
        connect(Access(guarded.url, user, password))
    assert "s3cret" not in str(refused.value)


def test_a_user_without_the_rights_is_told_so(guarded: RedisServer) -> None:
    administrator = Redis(port=guarded.port, username="learner", password="s3cret")
    with pytest.raises(ConfigError, match="no permissions"):
        RedisShards(administrator, "others/v1", 0, 1).look(0)


def test_tls_is_checked_by_the_certificate_that_is_named(encrypted: tuple[str, Path]) -> None:
    url, certificate = encrypted
    assert works(Access(url, ca_file=str(certificate)))
    with pytest.raises(ConfigError, match=r"do not agree on TLS(.|\n)*redis_ca_file"):
        connect(Access(url))


def test_a_password_comes_from_the_environment_or_a_file_and_never_reaches_a_log(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    base = {"STREAM_ML_KAFKA": '{"bootstrap.servers" = "b:1"}', "STREAM_ML_MODEL_FILE": '"m.toml"'}
    base["STREAM_ML_WEIGHTS"] = "rediss://user:s3cret@host:1"
    by_variable = load(LearnerSettings, None, {**base, "STREAM_ML_REDIS_PASSWORD": "12345"})
    by_file = load(
        LearnerSettings, None, {**base, "STREAM_ML_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
    )
    assert (by_variable.password(), by_file.password()) == ("12345", "s3cret")
    for settings in (by_variable, by_file):
        told = str(without_secrets(settings.model_dump(mode="json")))
        assert "s3cret" not in told
        assert "12345" not in told
    assert "s3cret" not in repr(Access("redis://h", "u", "s3cret"))
    both = {"STREAM_ML_REDIS_PASSWORD": "x", "STREAM_ML_REDIS_PASSWORD_FILE": "y"}
    with pytest.raises(ConfigError, match="one of them is enough"):
        load(LearnerSettings, None, {**base, **both})
    absent = load(LearnerSettings, None, {**base, "STREAM_ML_REDIS_PASSWORD_FILE": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=r"redis_password_file: .*none cannot be read"):
        absent.password()
