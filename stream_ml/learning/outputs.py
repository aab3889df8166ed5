"""What leaves a step beside its rows: dead letters and evaluations, under keys that a replay repeats."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from stream_ml._native import Learned, Refusal
from stream_ml.learning.batch import Batch, EventRange
from stream_ml.streams.dead_letters import DeadLetter
from stream_ml.streams.log import Writer


def dead_letters_topic(model: str) -> str:
    """Return the name of the topic of the dead letters of *model*."""
    return f"{model}.dead-letters"


def evaluations_topic(model: str) -> str:
    """Return the name of the topic of the evaluations of *model*."""
    return f"{model}.evaluations"


@dataclass(frozen=True, slots=True)
class Source:
    """What outputs are about: a variant of a model that learns a topic."""

    model: str
    variant: str
    topic: str


@dataclass(frozen=True, slots=True)
class StepOutputs:
    """The outputs of one step; an evaluation is a JSON object with its own ``index``."""

    step: int
    dead_letters: Sequence[DeadLetter]
    evaluations: Sequence[bytes]

    @classmethod
    def of(cls, source: Source, step: int, batch: Batch, learned: Learned) -> StepOutputs:
        """Return the outputs of having learned *batch* as *step*."""
        parts = {part.partition: part for part in batch.ranges}
        letters = [dead_letter(source, parts[refusal.partition], refusal) for refusal in learned.refused]
        return cls(step, letters, learned.evaluations)


class OutputSender:
    """Sends the outputs of steps and knows which of them are not acknowledged yet. Thread-safe."""

    def __init__(self, writer: Writer, source: Source, message_max_bytes: int) -> None:
        self._writer, self._variant, self._max_bytes = writer, source.variant, message_max_bytes
        self._dead_letters = dead_letters_topic(source.model)
        self._evaluations = evaluations_topic(source.model)
        self._open: Counter[int] = Counter()
        self._lock = threading.Lock()

    def send(self, outputs: StepOutputs) -> None:
        """
        Send the outputs of a step.

        Raises:
            Undeliverable: the process must end.
        """
        count = len(outputs.dead_letters) + len(outputs.evaluations)
        if not count:
            return
        with self._lock:
            self._open[outputs.step] += count
        acknowledge = partial(self._acknowledge, outputs.step)
        for whole in outputs.dead_letters:
            letter = whole.within(self._max_bytes)
            self._writer.send(
                self._dead_letters,
                letter.event,
                key=letter.key(),
                headers=letter.headers(),
                on_delivered=acknowledge,
            )
        for evaluation in outputs.evaluations:
            # Of the variant as a whole, of no source partition: that part of the key is empty.
            key = f"{self._variant}//{orjson.loads(evaluation)['index']}".encode()
            self._writer.send(self._evaluations, evaluation, key=key, on_delivered=acknowledge)

    def acknowledged(self, step: int) -> bool:
        """Return whether everything sent of the steps up to *step* is acknowledged."""
        with self._lock:
            return all(open_step > step for open_step in self._open)

    def _acknowledge(self, step: int, _partition: int, _offset: int) -> None:
        with self._lock:
            self._open[step] -= 1
            if not self._open[step]:
                del self._open[step]


def dead_letter(source: Source, part: EventRange, refusal: Refusal) -> DeadLetter:
    """Return the dead letter of an event of *part* that was refused."""
    record = memoryview(part.values[refusal.record] or b"")
    return DeadLetter(
        # A copy: a slice of a whole record is the record itself, and one that stays when its batch is freed
        # keeps the allocator from having the batch's memory in one piece again. With one event in a hundred
        # refused, that took an eighth of the speed.
        event=bytes(record[refusal.start : refusal.end]),
        reason=refusal.reason,
        detail=refusal.detail,
        model=source.model,
        variant=source.variant,
        topic=source.topic,
        partition=part.partition,
        offset=part.offsets[refusal.record],
        index=refusal.index,
    )
