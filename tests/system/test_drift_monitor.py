"""The drift monitor as a process, on a real Kafka: killed, it tells what it would have told."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from stream_ml.drift.alarms import Stream as Whose
from stream_ml.drift.evaluation import read
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.runtime import lifecycle
from stream_ml.streams.kafka import KafkaLog
from tests.evaluations import Stream, Wander, flipped, more_positives, said
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process

# Short enough that warnings and several drifts come, of two source partitions.
RULES = Rules(false_alarm_every=100, warnings_per_drift=10, cooldown=20)
COUNT, AT = 150, 60
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
    monitors = [Monitor(RULES), Monitor(RULES)]
    told: Told = {}
    for key, value in values:
        partition = int(key.split(b"/")[1])
        whose = Whose(model, "v1", partition)
        for alarm in monitors[partition].observe(read(value)):
            told[alarm.key(whose).encode()] = orjson.loads(alarm.record(whose))
    return told


class Watched:
    """A topic of evaluations, and the monitor's process that follows it."""

    def __init__(self, kafka: KafkaServer, directory: Path) -> None:
        self.model = f"m{uuid.uuid4().hex[:8]}"
        self.log = KafkaLog({"bootstrap.servers": kafka.bootstrap})
        self.log.ensure_topic(f"{self.model}.evaluations", 1)
        self.log.ensure_topic(f"{self.model}.drift", 1)
        settings = directory / "drift.toml"
        settings.write_text(
            f'model = "{self.model}"\nfalse_alarm_every = {RULES.false_alarm_every}\n'
            f"warnings_per_drift = {RULES.warnings_per_drift}\ncooldown_evaluations = {RULES.cooldown}\n"
            f'[kafka]\n"bootstrap.servers" = "{kafka.bootstrap}"\n'
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

    def close(self) -> None:
        self.process.kill()
        self.log.close()


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
    assert watched.process.terminate() == lifecycle.STOPPED
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


def test_wrong_settings_end_it_before_anything_is_started(watched: Watched) -> None:
    settings = Path(watched.process.command[-1])
    settings.write_text("cooldown_evaluation = 3\n" + settings.read_text())
    assert watched.process.start().wait() == lifecycle.CONFIG
    assert "did you mean 'cooldown_evaluations'" in watched.process.output()
