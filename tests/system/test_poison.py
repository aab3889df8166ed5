"""One event in a hundred is broken, in each of many ways: a dead letter with origin, that can come back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from loadtest.model import model_file
from loadtest.poison import BROKEN_EVERY, WAYS, poisoned
from loadtest.stream import Stream
from stream_ml.cli import cli
from stream_ml.errors import ConfigError
from stream_ml.local.stack import Stack
from stream_ml.local.watching import Counts, counts
from stream_ml.streams.dead_letters import DeadLetter
from stream_ml.streams.embedded import EmbeddedBroker
from stream_ml.streams.kafka import KafkaLog
from tests.servers.kafka import KafkaServer

EVENTS_PER_RECORD = 3
PARTITIONS = 2
LONGEST_SECONDS = 120.0


@pytest.fixture
def stack(kafka: KafkaServer, topic_name: str, tmp_path: Path) -> Iterator[Stack]:
    model = tmp_path / "model.toml"
    model.write_text(model_file(identified=True).replace('"criteo"', '"poisoned"'))
    with Stack(
        model, tmp_path / "run", bootstrap=kafka.bootstrap, topic=topic_name, create=PARTITIONS
    ) as stack:
        yield stack


def command(bootstrap: str, *arguments: str, text: str | None = None) -> Result:
    found = ["--bootstrap", bootstrap, "--model", "poisoned", *arguments]
    result = CliRunner().invoke(cli, ["dead-letters", *found], input=text)
    if result.exception is not None:
        raise result.exception
    return result


def learned_all(stack: Stack, events: int) -> Counts:
    end = time.monotonic() + LONGEST_SECONDS
    while (found := counts(stack.running.learner_http)).all < events:
        stack.check()
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_every_broken_event_is_a_dead_letter_with_its_origin_and_is_learned_once_it_is_mended(
    stack: Stack, kafka: KafkaServer, rounds: Callable[[int, int], int], tmp_path: Path
) -> None:
    events = rounds(9_900, 100_800)
    good = Stream(events, identified=True).lines(0, events).splitlines()
    sent = list(poisoned(good))
    expected = {}
    places: Counter[int] = Counter()
    log = stack.log()
    with log.writer() as writer:
        for first in range(0, events, EVENTS_PER_RECORD):
            partition = first // EVENTS_PER_RECORD % PARTITIONS
            lines = sent[first : first + EVENTS_PER_RECORD]
            for index, (_, reason) in enumerate(lines):
                if reason is not None:
                    place = (stack.topic, partition, places[partition], index)
                    expected[place] = (reason, good[first + index])
            writer.send(stack.topic, b"\n".join(line for line, _ in lines), partition=partition)
            places[partition] += 1
    broken = events // BROKEN_EVERY
    assert learned_all(stack, events) == Counts(events - broken, 0, broken)

    letters = [orjson.loads(line) for line in command(kafka.bootstrap, "--json").stdout.splitlines()]
    found = {
        tuple(each[name] for name in ("topic", "partition", "offset", "index")): each for each in letters
    }
    assert len(letters) == broken
    assert {place: each["reason"] for place, each in found.items()} == {
        place: reason for place, (reason, _) in expected.items()
    }
    assert {each["reason"] for each in letters} == set(WAYS)
    summary = command(kafka.bootstrap).stdout
    assert f"{broken:,} dead letters, 0 of them sent again" in summary
    assert "field _label: expected a number, found a text: no" in summary

    unmended = command(kafka.bootstrap, "--check", str(tmp_path / "model.toml"), "--resend", "--json")
    assert orjson.loads(unmended.stdout) == {"sent": 0, "sent_before": 0, "still_refused": broken, "cut": 0}
    for each, (_, line) in zip(found.values(), (expected[place] for place in found), strict=True):
        # As an editor may have left it.
        each["event"] = line.decode().replace(',"', ',\n"', 1)
    mended = "\n".join(orjson.dumps(each).decode() for each in letters)
    again = command(kafka.bootstrap, "--resend", "--mended", "-", "--json", text=mended)
    assert orjson.loads(again.stdout) == {"sent": broken, "sent_before": 0, "still_refused": 0, "cut": 0}
    repeated = command(kafka.bootstrap, "--resend", "--mended", "-", text=mended)
    assert f"0 dead letters sent again\n{broken:,} were sent before" in repeated.stdout
    assert learned_all(stack, events + broken) == Counts(events, 0, broken)
    assert f"{broken:,} dead letters, {broken:,} of them sent again" in command(kafka.bootstrap).stdout
    log.close()


@pytest.fixture
def without_letters(embedded_broker: EmbeddedBroker) -> str:
    """The address of a broker with an empty topic of dead letters."""
    embedded_broker.create_topic("poisoned.dead-letters", 1)
    return embedded_broker.bootstrap


@pytest.mark.parametrize(
    ("mended", "complaint"),
    [
        ('{"event": {}}', "-:1: no object with a key and an event"),
        ('{"key": "v1/events/0/0/0", "event": {}}', "-: 1 of its keys are not among the dead letters"),
    ],
)
def test_what_is_no_mended_dead_letter_is_refused(without_letters: str, mended: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        command(without_letters, "--resend", "--mended", "-", text=mended)


def test_a_model_that_has_no_dead_letters_is_told_from_one_that_is_not_there(without_letters: str) -> None:
    assert command(without_letters).stdout == "0 dead letters, 0 of them sent again\n"
    with pytest.raises(ConfigError, match=r"there is no topic other\.dead-letters"):
        command(without_letters, "--model", "other")


def test_a_reason_of_a_later_release_is_warned_of_and_still_chooses(without_letters: str) -> None:
    letters = [
        DeadLetter(b"a", "no_label", "", "poisoned", "v1", "events", 0, 1, 0),
        DeadLetter(b"b", "of_a_later_release", "", "poisoned", "v1", "events", 0, 2, 0),
    ]
    with closing(KafkaLog({"bootstrap.servers": without_letters})) as log, log.writer() as writer:
        for each in letters:
            writer.send("poisoned.dead-letters", each.event, key=each.key(), headers=each.headers())
    known = command(without_letters, "--reason", "no_label", "--json")
    assert [orjson.loads(line)["event"] for line in known.stdout.splitlines()] == ["a"]
    assert not known.stderr
    later = command(without_letters, "--reason", "of_a_later_release", "--json")
    assert [orjson.loads(line)["event"] for line in later.stdout.splitlines()] == ["b"]
    assert "warning: this release knows no reason 'of_a_later_release'\n  hint: known are" in later.stderr
    misspelt = command(without_letters, "--reason", "no_lable")
    assert misspelt.stdout == "0 dead letters, 0 of them sent again\n"
    assert "'no_lable'\n  hint: did you mean no_label?" in misspelt.stderr
