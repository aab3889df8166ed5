"""All services of one model on one machine: broker (embedded, or a given Kafka), learner, predictor."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson

from stream_ml.errors import CannotContinue, ConfigError, RecoverableError
from stream_ml.features import compile_model
from stream_ml.learning.topics import ensure_topics
from stream_ml.local.running import Running
from stream_ml.runtime import kafka_properties, lifecycle
from stream_ml.streams.embedded import EmbeddedBroker
from stream_ml.streams.kafka import KafkaLog

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
# The embedded broker keeps 5 MiB, whatever it is told.
FEED_RETENTION_SECONDS = 3600.0
# Deltas are spread over them: a feed that keeps few bytes a partition slows the learner down otherwise.
EMBEDDED_FEED_PARTITIONS = 8
_ENDED = {lifecycle.CONFIG: ConfigError, lifecycle.CANNOT_CONTINUE: CannotContinue}
# Nobody is left behind when this process is killed (Linux, util-linux).
_DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []


@dataclass
class Stack:
    """
    Starts the services as processes of their own; a context manager that stops them.

    Attributes:
        model_file: the model to learn and serve.
        directory: settings, logs and snapshots of this run.
        bootstrap: a Kafka; None starts an embedded broker in this process.
        topic: the events.
        create: partitions of a topic to create; on the embedded broker there is none without.
        thrift_port: of the predictor; 0 picks one.
        learner, predictor: settings beside those that follow from the above.
        learners: how many; more than one share their weights in Redis.
        monitor, retrainer: settings of the drift monitor and of the retrainer; None starts none.
    """

    model_file: Path
    directory: Path
    bootstrap: str | None = None
    topic: str = "events"
    create: int | None = None
    thrift_port: int = 0
    learner: Mapping[str, Any] = field(default_factory=dict)
    predictor: Mapping[str, Any] = field(default_factory=dict)
    learners: int = 1
    monitor: Mapping[str, Any] | None = None
    retrainer: Mapping[str, Any] | None = None
    _held: IO[bytes] = field(init=False)
    _broker: EmbeddedBroker | None = field(default=None, init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self._held = _held(self.directory)
        Running.forget(self.directory)  # what a run that was killed left: `send` waits for ours
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        name = compile_model(self.model_file).model_file.name
        if self.bootstrap is None:
            self._broker = self._embedded(name)
        self.running = self._choose_addresses(name)
        if self.bootstrap is not None and self.create is not None:
            with closing(self.log()) as log:
                log.ensure_topic(self.topic, self.create)
        self._run("learner", "learner", self._learner_settings())
        for number in range(2, self.learners + 1):
            self.start_learner(number)
        self._run("predictor", "predictor", self._predictor_settings())
        self._wait_ready("learner", self.running.learner_http)
        self._wait_ready("predictor", self.running.predictor_http)
        self._start_keepers()
        self.running.save(self.directory)

    def _choose_addresses(self, model: str) -> Running:
        return Running(
            model=model,
            bootstrap=self.bootstrap or (self._broker.bootstrap if self._broker else ""),
            embedded=self._broker is not None,
            topic=self.topic,
            group=f"{model}.learner",
            predictor=f"127.0.0.1:{self.thrift_port or _free_port()}",
            learner_http=f"127.0.0.1:{_free_port()}",
            predictor_http=f"127.0.0.1:{_free_port()}",
            snapshot_store=str(self.directory.absolute() / "snapshots"),
        )

    def _learner_settings(self) -> dict[str, Any]:
        # Senders follow the committed offsets of an embedded broker's learner, so it commits often.
        pace = {"commit_interval_seconds": 0.05} if self._broker else {}
        return {
            **self._common_settings(),
            "model_file": str(self.model_file.absolute()),
            "events_topic": self.topic,
            "http_port": _port_of(self.running.learner_http),
            **pace,
            **self.learner,
        }

    def _predictor_settings(self) -> dict[str, Any]:
        return {
            **self._common_settings(),
            "models": [self.running.model],
            "thrift_port": _port_of(self.running.predictor),
            "http_port": _port_of(self.running.predictor_http),
            **self.predictor,
        }

    def _start_keepers(self) -> None:
        """Start who keeps the model good; their topics are theirs to make."""
        if self.monitor is not None:
            named = {"model": self.running.model, "events_topic": self.topic}
            own = {**self._common_settings(), **named}
            self._run("monitor", "drift_monitor", {**own, **self.monitor})
        if self.retrainer is not None:
            folder = self.directory.absolute()
            own = {
                **self._common_settings(),
                "learner_settings": [str(folder / "learner.toml")],
                "reports": str(folder / "reports"),
                "scratch": str(folder / "retraining"),
            }
            self._run("retrainer", "retrainer", {**own, **self.retrainer})

    def _common_settings(self) -> dict[str, Any]:
        return {
            "kafka": {"bootstrap.servers": self.running.bootstrap},
            "snapshot_store": self.running.snapshot_store,
        }

    def _embedded(self, model: str) -> EmbeddedBroker:
        """Start a broker; its topics are made here, because another process can only get four partitions."""
        broker = EmbeddedBroker()
        broker.create_topic(self.topic, self.create or 1)
        with closing(broker.log()) as log:
            ensure_topics(
                log,
                model,
                self.topic,
                feed_partitions=EMBEDDED_FEED_PARTITIONS,
                feed_retention_seconds=FEED_RETENTION_SECONDS,
            )
        return broker

    def log(self) -> KafkaLog:
        """Return a log on the broker in use; the caller closes it."""
        # As the services: what the environment says of security holds for all of us.
        properties = kafka_properties.for_client(None, os.environ)
        return KafkaLog(properties | {"bootstrap.servers": self.running.bootstrap})

    def start_learner(self, number: int) -> None:
        """Start a further learner."""
        self._run(f"learner-{number}", "learner", {**self._learner_settings(), "http_port": 0})

    def kill_learner(self, number: int) -> None:
        """End a further learner as a failing machine does: SIGKILL."""
        process = self._processes.pop(f"learner-{number}")
        process.kill()
        process.wait()

    def _run(self, name: str, service: str, settings: Mapping[str, Any]) -> None:
        path = self.directory / f"{name}.toml"
        path.write_text(_toml(settings))
        with (self.directory / f"{name}.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [*_DIE_WITH_PARENT, sys.executable, "-m", f"services.{service}", "--settings", str(path)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                # Ctrl-C in the terminal is for us; we stop them in order.
                start_new_session=True,
            )

    def _wait_ready(self, service: str, address: str) -> None:
        end = time.monotonic() + READY_SECONDS
        while not _answers_ok(f"http://{address}/readyz"):
            self.check()
            if time.monotonic() > end:
                raise RecoverableError(
                    f"{service} is not ready after {READY_SECONDS:.0f} s\n{self._tail(service)}"
                )
            time.sleep(0.05)

    def check(self) -> None:
        """
        Look after the services.

        Raises:
            ConfigError, CannotContinue, RecoverableError: one has ended, and its exit code says so; the
                message shows the end of its log.
        """
        for service, process in self._processes.items():
            if (code := process.poll()) is not None:
                kind = _ENDED.get(code, RecoverableError)
                raise kind(f"{service} ended with exit code {code}\n{self._tail(service)}")

    def _tail(self, service: str) -> str:
        path = self.directory / f"{service}.log"
        lines = path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([*lines, f"hint: the whole log is {path}"])

    def stop(self) -> None:
        """Stop what runs: the predictor drains, the learner takes a last snapshot; idempotent."""
        Running.forget(self.directory)
        # In this order: nothing asks for scores of a learner that is gone.
        for name in sorted(self._processes, reverse=True):
            _end(self._processes.pop(name))
        if self._broker is not None:
            self._broker.close()
            self._broker = None
        self._held.close()


def _held(directory: Path) -> IO[bytes]:
    """
    Make *directory* and hold it until the file returned is closed.

    Raises:
        ConfigError: another run holds it: each would overwrite what the other left for `send` and `score`.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("wb")
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be used: {error}\n  hint: --directory names another"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            f"another `stream-ml up` runs from {directory}\n  hint: stop it, or give this one --directory"
        ) from error
    return lock


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def _toml(settings: Mapping[str, Any]) -> str:
    """Write *settings* as TOML; JSON's strings, numbers, booleans and lists are TOML's too."""
    plain = [
        f"{key} = {orjson.dumps(value).decode()}"
        for key, value in settings.items()
        if not isinstance(value, dict)
    ]
    for key, table in settings.items():
        if isinstance(table, dict):
            plain += [
                f"\n[{key}]",
                *(f'"{name}" = {orjson.dumps(value).decode()}' for name, value in table.items()),
            ]
    return "\n".join(plain) + "\n"
