"""Redis behind TLS and an ACL: who is let in, who is told why not, and that no log has a password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from stream_ml.errors import ConfigError
from stream_ml.runtime.settings import LearnerSettings, load, without_secrets
from stream_ml.weights.redis.shards import Access, RedisShards, connect
from stream_ml.weights.shards import Image
from tests.servers.processes import free_port
from tests.servers.redis import RedisServer, require_redis

# What docs/redis.md asks for.
RIGHTS = "~{clicks/* -@all +fcall +function|load +function|list +info +cluster +@read +@write +@connection"


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


def test_a_user_with_few_rights_is_enough(guarded: RedisServer) -> None:
    assert works(Access(guarded.url, "learner", "s3cret"))


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
    with pytest.raises(Exception, match=r"CERTIFICATE_VERIFY_FAILED|does not answer"):
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
