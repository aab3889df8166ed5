"""
A real Apache Kafka broker for tests: KRaft, one process, this machine only.

`python -m tests.servers.kafka` makes later ones start sooner.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import LogUnavailable
from tests.servers.processes import Process, answers, free_port, wait_until

LIBRARIES = Path(__file__).parents[2] / ".cache" / "kafka" / "libs"
# Classes as the JVM has them once they are loaded, for the JVMs that come later: see `archive_classes`.
CLASSES = LIBRARIES.parent / "classes.jsa"
JVM = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]
# What a broker finds that begins; by this process's first.
_FORMATTED: list[tempfile.TemporaryDirectory[str]] = []
LOGGING = """<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c{1})%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""

# Settings of a broker that lets in only the user "learner" with the password "right".
SASL = {
    "listener.security.protocol.map": "BROKER:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.broker.plain.sasl.jaas.config": (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="learner" password="right" user_learner="right";'
    ),
}


def tls(both: Path) -> dict[str, str]:
    """Return settings of a broker that speaks TLS, with a `certificate`, to those only who have it too."""
    return {
        "listener.security.protocol.map": "BROKER:SSL,CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(both),
        "ssl.client.auth": "required",
    }


def certificate(directory: Path) -> str:
    """Return a new certificate of this machine, and its key, as PEM."""
    made, key = directory / "server.crt", directory / "server.key"
    asked = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    asked += " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [*asked.split(), "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return key.read_text() + made.read_text()


def require_kafka() -> None:
    """Skip on a laptop without Java or the jars; fail where CI=true."""
    if shutil.which("java") is None:
        missing = "java is not installed (apt-get install openjdk-17-jre-headless)"
    elif not any(LIBRARIES.glob("kafka_2.13-*.jar")):
        missing = f"no jars in {LIBRARIES}: run make setup"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Kafka broker: {missing}")
    pytest.skip(missing)


def _cluster_id() -> str:
    # One that begins with "-" would be taken for an option.
    return "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


class KafkaServer:
    """
    One broker on a port of its own; its data survive ``kill`` and ``start``.

    Attributes:
        proxied_port: of a second listener, whose clients are told to come to `proxy_port`, if there is one.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str | int] | None = None,
        proxy_port: int | None = None,
    ) -> None:
        self.directory, self._proxy_port = directory, proxy_port
        self.port, controller_port, self.proxied_port = free_port(), free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._properties = directory / "server.properties"
        self._write_files(controller_port, settings or {})
        self.process = Process(self._java("kafka.Kafka", str(self._properties)), directory / "server.log")

    def start(self) -> KafkaServer:
        self.start_process()
        wait_until(self._has_leaders, 60, self.process.tail)
        return self

    def start_process(self) -> None:
        """Start it; return once the port answers, for brokers that only answer whom they know."""
        self.process.start()
        self.process.wait_until(lambda: answers(self.port), 60)

    def kill(self) -> None:
        """SIGKILL, as when the machine fails."""
        self.process.kill()

    def stop(self) -> None:
        self.process.kill()  # the data are thrown away: a clean end would only take longer
        shutil.rmtree(self.directory, ignore_errors=True)

    def forget(self) -> None:
        """
        Remove all topics and groups, so that it is as if new.

        Raises:
            KafkaException, TimeoutError: some are still there.
        """
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        topics = self._topics(admin)
        for deleted in (admin.delete_topics(topics) if topics else {}).values():
            deleted.result(20)
        groups = [group.group_id for group in admin.list_consumer_groups().result(20).valid]
        for deleted in (admin.delete_consumer_groups(groups) if groups else {}).values():
            deleted.result(20)
        wait_until(lambda: not self._topics(admin), 20, self.process.tail)

    @staticmethod
    def _topics(admin: AdminClient) -> list[str]:
        return [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]

    def _has_leaders(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            described = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        leaders = [p.leader for topic in described.topics.values() for p in topic.partitions.values()]
        return bool(described.brokers) and min(leaders, default=0) >= 0

    def _write_files(self, controller_port: int, settings: Mapping[str, str | int]) -> None:
        (self.directory / "tmp").mkdir(parents=True)
        (self.directory / "log4j2.xml").write_text(LOGGING)
        properties = {**self._settings(controller_port), **self._proxied(controller_port), **settings}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self._format()

    def _format(self) -> None:
        """Copy what the first broker's formatting made, under an id of its own: a JVM less for each."""
        data = self.directory / "data"
        if _FORMATTED:
            shutil.copytree(_FORMATTED[0].name, data)
            known = data / "meta.properties"
            written = known.read_text()
            known.write_text(re.sub("(?m)^cluster.id=.*$", f"cluster.id={_cluster_id()}", written))
            return
        command = self._java("kafka.tools.StorageTool", "format", "--config", str(self._properties))
        subprocess.run([*command, "--cluster-id", _cluster_id()], check=True, capture_output=True, timeout=60)
        kept = tempfile.TemporaryDirectory(prefix="stream-ml-kafka-")
        shutil.copytree(data, kept.name, dirs_exist_ok=True)
        _FORMATTED.append(kept)

    def _settings(self, controller_port: int) -> dict[str, str | int]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"BROKER://{self.bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"BROKER://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "default.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # The default of 128 MiB does not fit a small heap.
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            # A killed broker may register again only when its old session is over; default 9 s.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 300,
        }

    def _proxied(self, controller_port: int) -> dict[str, str | int]:
        """Return what changes where some clients come through a proxy."""
        if self._proxy_port is None:
            return {}
        ours, controller = f"BROKER://{self.bootstrap}", f"CONTROLLER://127.0.0.1:{controller_port}"
        return {
            "listeners": f"{ours},PROXIED://127.0.0.1:{self.proxied_port},{controller}",
            "advertised.listeners": f"{ours},PROXIED://127.0.0.1:{self._proxy_port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.directory}/log4j2.xml"
        temporary = f"-Djava.io.tmpdir={self.directory}/tmp"
        archived = [f"-XX:SharedArchiveFile={CLASSES}"] if CLASSES.exists() else []
        return ["java", *JVM, *archived, logging, temporary, "-cp", f"{LIBRARIES}/*", main, *arguments]


class Lender:
    """Lends one broker to one test after another, to each as if new: to start another costs seconds."""

    def __init__(self, directory: Callable[[], Path]) -> None:
        """*directory* makes one for a broker."""
        self._directory = directory
        self._free: KafkaServer | None = None

    def lend(self) -> KafkaServer:
        """Return one that has nothing in it and runs, if it can."""
        server, self._free = self._free or KafkaServer(self._directory()), None
        return server if server.process.running else server.start()

    def take_back(self, server: KafkaServer) -> None:
        """Keep it for the next, or throw it away where it does not run or does not forget."""
        if server.process.running:
            try:
                server.forget()
            except (KafkaException, TimeoutError, AssertionError) as error:
                print(f"a broker is not lent again: {error!r}")
            else:
                self._free = server
                return
        server.stop()

    def close(self) -> None:
        """Stop the one that is there."""
        if self._free is not None:
            self._free.stop()


def archive_classes(directory: Path) -> None:
    """Keep the classes that a broker loads while it serves; those that find them start in half the time."""
    CLASSES.unlink(missing_ok=True)
    server = KafkaServer(directory)
    server.process.command.insert(1, f"-XX:ArchiveClassesAtExit={CLASSES}")
    try:
        server.start()
        with closing(KafkaLog({"bootstrap.servers": server.bootstrap})) as log, log.writer() as writer:
            log.ensure_topic("events", 1)
            writer.send("events", b"{}", partition=0)
            writer.flush(20)
            with closing(log.reader("events", {0: 0})) as reader:
                wait_until(lambda: bool(reader.poll(max_records=1, timeout_seconds=1)))
            wait_until(lambda: _committed(log))
        server.forget()
        server.process.terminate(60)
        assert CLASSES.exists(), server.process.tail()
    finally:
        server.stop()


def _committed(log: KafkaLog) -> bool:
    log.commit("group", "events", {0: 1})
    try:
        return bool(log.committed("group", "events"))
    except LogUnavailable:  # who coordinates groups is still loading
        return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="stream-ml-kafka-") as folder:
        archive_classes(Path(folder) / "broker")
