import pytest

from stream_ml.features import compile_model
from stream_ml.learning.batch import Batch, EventRange
from stream_ml.learning.outputs import OutputSender, Source, StepOutputs
from stream_ml.streams.dead_letters import ENVELOPE_BYTES, read_dead_letter
from stream_ml.streams.log import Fetch
from stream_ml.streams.memory import MemoryLog
from tests.clicks import MODEL, events
from tests.unit.learning.rig import new_learner

SOURCE = Source("clicks", "v1", "events")


def outputs_of(values: list[bytes | None], first: int = 0) -> StepOutputs:
    """Return what learning *values* of partition 3 from offset *first* as step 5 gives."""
    learner = new_learner(compile_model(MODEL))
    end = first + len(values)
    fetch = Fetch(3, first, end, range(first, end), None, values, [0] * len(values))
    batch = Batch((EventRange.of(first, [fetch]),))
    return StepOutputs.of(SOURCE, 5, batch, learner.learn(batch.as_native()))


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure_topic("clicks.dead-letters", 1)
    log.ensure_topic("clicks.evaluations", 1)
    return log


def test_a_dead_letter_is_the_bytes_of_its_event_alone_and_says_where_it_came_from() -> None:
    good = events(3)
    record = b"\n".join([good[0], b'{"broken":', good[1]])
    (letter,) = outputs_of([good[2], None, record], first=70).dead_letters
    assert letter.event == b'{"broken":'
    assert (letter.partition, letter.offset, letter.index) == (3, 72, 1)
    assert (letter.reason, letter.topic, letter.variant) == ("invalid_json", "events", "v1")


def test_everything_that_is_sent_has_a_key_of_its_own(log: MemoryLog) -> None:
    outputs = outputs_of([*events(120), b"{", b"["])
    OutputSender(log.writer(), SOURCE, 10_000).send(outputs)
    keys = []
    for topic in ("clicks.dead-letters", "clicks.evaluations"):
        (fetch,) = log.reader(topic, {0: 0}, keys=True).poll(1000, 0)
        keys += fetch.keys or []
    assert b"v1/events/3/120/0" in keys
    assert b"v1//0" in keys
    assert len(keys) == len(set(keys)) == len(outputs.dead_letters) + len(outputs.evaluations)


def test_of_an_event_too_large_for_a_record_of_ours_the_first_bytes_are_sent(log: MemoryLog) -> None:
    event = b'{"long": "' + b"x" * 20_000
    OutputSender(log.writer(), SOURCE, 10_000).send(outputs_of([event]))
    (fetch,) = log.reader("clicks.dead-letters", {0: 0}, keys=True, headers=True).poll(1, 0)
    assert fetch.keys
    assert fetch.headers
    sent = read_dead_letter(fetch.keys[0], fetch.values[0], fetch.headers[0])
    assert (sent.event, sent.cut_from_bytes) == (event[: 10_000 - ENVELOPE_BYTES], len(event))
    assert (sent.partition, sent.offset, sent.index) == (3, 0, 0)


def test_a_step_without_outputs_is_acknowledged(log: MemoryLog) -> None:
    sender = OutputSender(log.writer(), SOURCE, 10_000)
    sender.send(StepOutputs(5, [], []))
    assert sender.acknowledged(5)


class SilentWriter:
    """A writer whose broker does not answer until it is told to."""

    def __init__(self) -> None:
        self.unanswered: list[object] = []

    def send(self, topic: str, value: bytes, *, on_delivered: object, **_options: object) -> None:
        self.unanswered.append(on_delivered)

    def answer(self) -> None:
        delivered = self.unanswered.pop(0)
        assert callable(delivered)
        delivered(0, 0)


def test_the_steps_up_to_one_are_acknowledged_when_each_of_their_records_is() -> None:
    writer = SilentWriter()
    sender = OutputSender(writer, SOURCE, 10_000)  # type: ignore[arg-type]
    (letter,) = outputs_of([b"{"]).dead_letters
    sender.send(StepOutputs(5, [letter, letter], []))
    sender.send(StepOutputs(8, [letter], []))
    assert sender.acknowledged(4)
    assert not sender.acknowledged(5)
    writer.answer()
    assert not sender.acknowledged(5)
    writer.answer()
    assert sender.acknowledged(7)
    assert not sender.acknowledged(8)
    writer.answer()
    assert sender.acknowledged(8)
