"""The drift monitor as a process, on a real Kafka: killed, it tells what it would have told."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import orjson
import pytest

from stream_ml.drift.alarms import Stream as Whose
from stream_ml.drift.evaluation import read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.retraining.jobs import Job
from stream_ml.retraining.queue import Queue
from stream_ml.runtime import lifecycle
from stream_ml.runtime.clock import SystemClock
from stream_ml.streams.kafka import KafkaLog
from stream_ml.weights.journal import JournalWriter, journal_topic
from stream_ml.weights.lines import Begin, Line
from tests.evaluations import Stream, Wander, flipped, more_positives, said
from tests.servers.kafka import SASL, KafkaServer, certificate, require_kafka, tls
from tests.servers.processes import Process, free_port
from tests.unit.weights.journal_lines import challenger, serve, stop, variant

# Short enough that warnings and several drifts come, of two source partitions.
RULES = Rules(false_alarm_every=100, warnings_per_drift=10, cooldown=20)
COUNT, AT = 150, 60
STATES = "drift-monitor-states-changelog"
Told = dict[bytes, dict[str, Any]]


def records() -> list[tuple[bytes, bytes]]:
    """The topic's records: two streams between each other."""
    one = Stream(1, segments=3, wander=Wander(0.4, 2_000)).evaluations(COUNT, flipped, AT)
    other = Stream(2, segments=3).evaluations(COUNT, more_positives, AT)
    return [
        (f"v1/{partition}/{each.index}".encode(), orjson.dumps(said(each)))
        for both in zip(one, other, strict=True)
        for partition, each in enumerate(both)
    ]


def offline(model: str, values: list[tuple[bytes, bytes]]) -> Told:
    monitors: dict[Whose, Monitor] = {}
    told: Told = {}
    for key, value in values:
        variant, partition, _ = key.decode().split("/")
        whose = Whose(model, variant, int(partition))
        for alarm in monitors.setdefault(whose, Monitor(RULES)).observe(read(value)):
            told[alarm.key(whose).encode()] = orjson.loads(alarm.record(whose))
    return told


class Watched:
    """A topic of evaluations, and the monitor's process that follows it."""

    def __init__(self, kafka: KafkaServer, directory: Path, access: Mapping[str, str] | None = None) -> None:
        self.model = f"m{uuid.uuid4().hex[:8]}"
        properties = {"bootstrap.servers": kafka.bootstrap, **(access or {})}
        self.log = KafkaLog(properties, request_seconds=30)
        self.log.ensure_topic(f"{self.model}.evaluations", 1)
        self.log.ensure_topic(f"{self.model}.drift", 1)
        settings = directory / "drift.toml"
        settings.write_text(
            f'model = "{self.model}"\nfalse_alarm_every = {RULES.false_alarm_every}\n'
            f"warnings_per_drift = {RULES.warnings_per_drift}\ncooldown_evaluations = {RULES.cooldown}\n"
            "[kafka]\n" + "".join(f'"{name}" = "{value}"\n' for name, value in properties.items())
        )
        arguments = ["-m", "services.drift_monitor", "--settings", str(settings)]
        self.process = Process.python(arguments, directory / "monitor.log")

    def send(self, values: list[tuple[bytes, bytes]]) -> None:
        with self.log.writer() as writer:
            for key, value in values:
                writer.send(f"{self.model}.evaluations", value, key=key, partition=0)

    def told(self) -> Told:
        """Return the records; a repeat under a key must be the same."""
        found: Told = {}
        end = self.log.bounds(f"{self.model}.drift", 0).next
        with closing(self.log.reader(f"{self.model}.drift", {0: 0}, keys=True)) as reader:
            place = 0
            while place < end:
                for fetch in reader.poll(1_000, 0.2):
                    place = fetch.next
                    for key, value in zip(fetch.keys or [], fetch.values, strict=True):
                        assert key is not None
                        assert value is not None
                        assert found.setdefault(key, orjson.loads(value)) == orjson.loads(value)
        return found

    def say(self, *lines: Line) -> None:
        """Write *lines* to the model's journal."""
        self.log.ensure_topic(journal_topic(self.model), 1)
        writer = JournalWriter(self.log, journal_topic(self.model))
        for line in lines:
            writer.append(line)
        writer.close()

    def asked(self) -> list[Job]:
        """Return the model's jobs."""
        with closing(Queue(self.log, "test", SystemClock(), models=[self.model])) as queue:
            queue.read()
            return [each for each, _ in queue.jobs() if each.model == self.model]

    def end(self, topic: str) -> int:
        """Return how many records *topic* of the model has had."""
        return self.log.bounds(f"{self.model}.{topic}", 0).next

    def kept(self) -> set[str]:
        """Return of which streams the changelog has states, whoever reads it from now on."""
        states: dict[bytes | None, bytes | None] = {}
        end, place = self.end(STATES), 0
        with closing(self.log.reader(f"{self.model}.{STATES}", {0: 0}, keys=True)) as reader:
            while place < end:
                for fetch in reader.poll(1_000, 0.2):
                    place = fetch.next
                    states |= dict(zip(fetch.keys or (), fetch.values, strict=True))
        return {(key or b"").decode() for key, value in states.items() if value is not None}

    def close(self) -> None:
        self.process.kill()
        self.log.close()
        # Where it is started it leaves nothing: in a pod that is read-only.
        assert not list(Path.cwd().glob(f"{self.model}*"))


@pytest.fixture
def watched(kafka: KafkaServer, tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(kafka, tmp_path)
    yield watched
    watched.close()


@pytest.mark.timeout(900)
def test_killed_again_and_again_it_tells_what_the_offline_run_tells(
    watched: Watched,
    random: Random,
    rounds: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
) -> None:
    values, kills = records(), rounds(3, 20)
    expected = offline(watched.model, values)
    assert {"warning", "drift"} <= {each["kind"] for each in expected.values()}
    piece = len(values) // kills + 1
    for number in range(kills):
        watched.process.start()
        watched.send(values[number * piece : (number + 1) * piece])
        # Somewhere: while it starts, while it looks at evaluations, or after.
        time.sleep(random.uniform(1.0, 6.0))
        watched.process.kill()
    watched.process.start()
    watched.process.wait_until(lambda: len(watched.told()) >= len(expected), 90)
    # Where all was told before it was killed last, it has hardly begun, and knows no signals yet.
    assert watched.process.terminate() in (lifecycle.STOPPED, -signal.SIGTERM)
    assert watched.told() == expected
    record_property("kills, records", (kills, len(expected)))


def test_evaluations_that_were_left_out_or_came_again_change_nothing(watched: Watched) -> None:
    """As a client of Kafka brings them after a restart of its own; all of them are in the topic."""
    values = records()
    # Those of partition 1 come late, after their last one came first; of partition 0 some come twice.
    late = [each for each in values if each[0].startswith(b"v1/1/")]
    order = [*[each for each in values if each[0].startswith(b"v1/0/")], *late[:40], *late[30:]]
    watched.send([*order, order[5], order[50]])
    watched.process.start()
    expected = offline(watched.model, values)
    watched.process.wait_until(lambda: len(watched.told()) >= len(expected), 60)
    assert watched.process.terminate() == lifecycle.STOPPED
    assert watched.told() == expected


def test_what_is_no_evaluation_or_far_ahead_changes_nothing(watched: Watched) -> None:
    values = records()
    far = {**orjson.loads(values[0][1]), "index": 10**9, "learned_from": 10**12, "learned_to": 10**12 + 1_000}
    bad = orjson.dumps({**orjson.loads(values[90][1]), "missing": {"a": "x"}})
    # Before it starts, so that it meets them in the topic when it reads what was left out again, too.
    watched.send([*values[:90], (values[90][0], b"garbage"), (values[91][0], bad)])
    watched.send([(b"v1/0/1000000000", orjson.dumps(far)), *values[100:110], *values[90:]])
    watched.process.start()
    expected = offline(watched.model, values)
    watched.process.wait_until(lambda: len(watched.told()) >= len(expected), 60)
    assert watched.process.terminate() == lifecycle.STOPPED
    assert watched.told() == expected


def test_one_drift_asks_for_one_retraining_wherever_it_shows_and_who_is_over_is_forgotten(
    watched: Watched,
) -> None:
    """Two source partitions of what serves, and a challenger that sees the same; killed in between."""
    events = f"{watched.model}.events"
    watched.log.ensure_topic(events, 2)
    with watched.log.writer() as writer:
        for number in range(100):
            writer.send(events, b"{}", partition=number % 2)
    watched.say(Begin(journal=0), variant("v1"), serve("v1"), challenger("v2", "v1"))
    settings = Path(watched.process.command[-1])
    settings.write_text(f'events_topic = "{events}"\n' + settings.read_text())
    values = [each for one in records() for each in ((one[0].replace(b"v1", b"v2"), one[1]), one)]
    expected = offline(watched.model, values)
    drifted = {key.rpartition(b"/")[0] for key, each in expected.items() if each["kind"] == "drift"}
    assert {key[:5] for key in drifted} == {b"v1/0/", b"v1/1/", b"v2/0/", b"v2/1/"}

    watched.process.start()
    watched.send(values[:400])
    watched.process.wait_until(lambda: any(each["kind"] == "drift" for each in watched.told().values()), 60)
    watched.process.kill()
    watched.process.start()
    watched.send(values[400:])
    watched.process.wait_until(lambda: len(watched.told()) >= len(expected), 60)
    (job,) = watched.asked()
    first = next(each for each in expected.values() if each["kind"] == "drift" and each["variant"] == "v1")
    named = ("variant", "partition", "statistic", "segment", "index", "learned_to")
    assert [job.reason[name] for name in named] == [first[name] for name in named]

    watched.say(stop("v2"), challenger("v3", "v1"))
    of_v3 = [(b"v3/0/%d" % number, dict(values)[b"v1/0/%d" % number]) for number in range(2)]
    watched.send(of_v3[:1])
    watched.process.wait_until(lambda: watched.kept() == {"v1/0", "v1/1", "v3/0"}, 60)
    told, states = watched.end("drift"), watched.end(STATES)
    # Faust may bring again what it brought.
    watched.send([*values[-60:], *of_v3[1:]])
    watched.process.wait_until(lambda: watched.end(STATES) > states, 60)
    assert watched.process.terminate() == lifecycle.STOPPED
    assert watched.told() == expected
    assert watched.end("drift") == told
    assert watched.kept() == {"v1/0", "v1/1", "v3/0"}
    assert watched.asked() == [job]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[KafkaServer]:
    """A broker that lets in one user, with a password."""
    require_kafka()
    server = KafkaServer(tmp_path / "sasl", SASL)
    server.start_process()
    yield server
    server.stop()


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[KafkaServer, Path]]:
    """A broker that speaks TLS and wants a certificate of its clients; that, and its own, with the key."""
    require_kafka()
    both = tmp_path / "both.pem"
    both.write_text(certificate(tmp_path))
    server = KafkaServer(tmp_path / "tls", tls(both))
    server.start_process()
    yield server, both
    server.stop()


def watches(kafka: KafkaServer, directory: Path, access: dict[str, str]) -> None:
    """Whether the process tells what it should on a broker that is entered so."""
    watched = Watched(kafka, directory, access)
    try:
        values = records()
        watched.send(values)
        watched.process.start()
        expected = offline(watched.model, values)
        watched.process.wait_until(lambda: len(watched.told()) >= len(expected), 60)
        assert watched.process.terminate() == lifecycle.STOPPED
        assert watched.told() == expected
    finally:
        watched.close()


def test_brokers_that_want_a_password_get_it(guarded: KafkaServer, tmp_path: Path) -> None:
    access = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "learner",
        "sasl.password": "right",
    }
    watches(guarded, tmp_path, access)


def test_brokers_that_want_certificates_get_them(encrypted: tuple[KafkaServer, Path], tmp_path: Path) -> None:
    server, both = encrypted
    access = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(both),
        "ssl.certificate.location": str(both),
        "ssl.key.location": str(both),
    }
    watches(server, tmp_path, access)


def test_it_stops_when_asked_though_the_brokers_are_gone(tmp_path: Path) -> None:
    require_kafka()
    server = KafkaServer(tmp_path / "kafka").start()
    watched = Watched(server, tmp_path)
    try:
        port = free_port()
        settings = Path(watched.process.command[-1])
        settings.write_text(f"http_port = {port}\n" + settings.read_text())
        watched.process.start()
        watched.process.wait_until(lambda: ready(port), 60)
        server.kill()
        assert watched.process.terminate(60) == lifecycle.STOPPED
    finally:
        watched.close()
        server.stop()


def ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_what_faust_cannot_follow_ends_it_before_anything_is_started(watched: Watched) -> None:
    settings = Path(watched.process.command[-1])
    settings.write_text(settings.read_text() + '"sasl.kerberos.service.name" = "kafka"\n')
    assert watched.process.start().wait() == lifecycle.CONFIG
    assert "kafka.sasl.kerberos.service.name" in watched.process.output()


def test_wrong_settings_end_it_before_anything_is_started(watched: Watched) -> None:
    settings = Path(watched.process.command[-1])
    settings.write_text("cooldown_evaluation = 3\n" + settings.read_text())
    assert watched.process.start().wait() == lifecycle.CONFIG
    assert "did you mean 'cooldown_evaluations'" in watched.process.output()
