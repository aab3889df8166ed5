"""What leaves a batch beside its rows: dead letters before its push, evaluations after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from stream_ml._native import Learned
from stream_ml.learning.batch import EventRange
from stream_ml.learning.outputs import Source, dead_letter, dead_letters_topic, evaluations_topic
from stream_ml.streams.log import Writer

_FLUSH_SECONDS = 60.0


class Outputs:
    """Sends the outputs of batches, under keys that whoever repeats them repeats. Thread-safe."""

    def __init__(self, writer: Writer, source: Source, message_max_bytes: int) -> None:
        self._writer, self._source, self._max_bytes = writer, source, message_max_bytes

    def dead_letters(self, part: EventRange, learned: Learned) -> None:
        """
        Send the dead letters of a batch; return once they are acknowledged.

        Raises:
            Undeliverable: the process must end.
        """
        if not learned.refused:
            return
        for refusal in learned.refused:
            letter = dead_letter(self._source, part, refusal).within(self._max_bytes)
            self._writer.send(
                dead_letters_topic(self._source.model),
                letter.event,
                key=letter.key(),
                headers=letter.headers(),
            )
        self._writer.flush(_FLUSH_SECONDS)

    def evaluations(
        self, partition: int, evaluations: Sequence[bytes], acknowledged: Callable[[bytes], None]
    ) -> None:
        """
        Send closed evaluations of a source partition; *acknowledged* is called with each, from any thread.

        Raises:
            Undeliverable: the process must end.
        """
        for evaluation in evaluations:
            index = orjson.loads(evaluation)["index"]
            self._writer.send(
                evaluations_topic(self._source.model),
                evaluation,
                key=f"{self._source.variant}/{partition}/{index}".encode(),
                on_delivered=lambda _partition, _offset, one=evaluation: acknowledged(one),  # type: ignore[misc]
            )
