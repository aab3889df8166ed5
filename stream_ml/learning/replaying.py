"""
Brings a learner to the same bits again: the journal's steps, from the events, in their order.

The same component serves a cold start, a standby that follows a living writer, and `stream-ml replay`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

from stream_ml._native import Learner
from stream_ml.errors import CannotContinue
from stream_ml.learning.batch import Batch, EventRange
from stream_ml.learning.outputs import Source, StepOutputs
from stream_ml.learning.ways_on import ACCEPT_LOSS
from stream_ml.streams.log import Fetch, Log, LogTruncated, Reader, Topic
from stream_ml.streams.scan_cache import ScanCache
from stream_ml.streams.scan_segments import KeptScan, ScannedRange
from stream_ml.weights.journal import Entry
from stream_ml.weights.lines import Range, Step

# Without a record for so long, the log is asked whether there will be any.
_SILENCE_SECONDS = 5.0


class ReplayImpossible(CannotContinue):
    """The events are not what the journal says was learned."""


class AnotherTopic(ReplayImpossible):
    """The topic was deleted and made anew: no offset of the journal means anything in it."""


class Replay:
    """
    Learns the valid steps of one variant as they are read.

    Attributes:
        step: last learned. events: per partition, the next offset.
        outputs: of the steps learned, oldest first, until they are forgotten; none where scans are kept.
        newest_at: timestamp of the newest record learned, unix seconds.
    """

    def __init__(
        self,
        log: Log,
        topic: Topic,
        learner: Learner,
        source: Source,
        step: int,
        events: Mapping[int, int],
        scans: ScanCache | None = None,
    ) -> None:
        """
        Read nothing yet.

        Args:
            scans: steps whose scans it holds are learned without their events, the others' are added.
        """
        self._log, self._topic, self.learner, self._source = log, topic, learner, source
        self.step, self.events = step, dict(events)
        self.outputs: list[StepOutputs] = []
        self.newest_at = 0.0
        self._readers: dict[int, Reader] = {}
        self._read_until: dict[int, int] = {}  # by partition
        self._scans = scans

    def follow(self, entries: Iterable[Entry], to_step: int | None = None) -> None:
        """
        Learn the steps among *entries* that follow on `step`, up to *to_step*.

        Raises:
            ReplayImpossible: says what differs.
        """
        for _, line, verdict in entries:
            if not (isinstance(line, Step) and verdict.valid and line.variant == self._source.variant):
                continue
            if self.step < line.step and (to_step is None or line.step <= to_step):
                self._learn(line)

    def check_topic(self, learned: str) -> None:
        """Raises AnotherTopic: the topic whose id is *learned* is not there any more."""
        if learned != self._topic.id:
            raise AnotherTopic(self._refusal(f"their topic was {learned}, it is now {self._topic.id}"))

    def forget_outputs(self, step: int) -> None:
        """Forget the outputs of the steps up to *step*: a snapshot has made them safe."""
        self.outputs = [outputs for outputs in self.outputs if outputs.step > step]

    def close(self) -> None:
        """Stop reading; idempotent."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _learn(self, line: Step) -> None:
        if line.step != self.step + 1:
            raise ReplayImpossible(
                f"{self._source.variant}: the journal goes on with step {line.step} after {self.step}; "
                f"the lines between were trimmed; begin a new variant with {ACCEPT_LOSS}"
            )
        self.check_topic(line.topic_id)
        if self._scans is None:
            batch = self._batch(line)
            learned = self.learner.learn(batch.as_native())
            self.outputs.append(StepOutputs.of(self._source, line.step, batch, learned))
        elif not self._learn_kept(line, self._scans):
            self._learn_and_keep(line, self._scans)
        self.step = line.step
        self.events |= {part.partition: part.next for part in line.ranges}

    def _learn_kept(self, line: Step, scans: ScanCache) -> bool:
        """Learn the step from *scans*; say whether that was possible."""
        ranges = [_scanned(part) for part in line.ranges]
        found = scans.find(ranges)
        if found is None:
            return False
        try:
            self.learner.learn_scanned(found.scans)
        except ValueError as damaged:
            scans.distrust(ranges, str(damaged))
            return False
        self.newest_at = max(self.newest_at, found.newest_ms / 1000)
        return True

    def _learn_and_keep(self, line: Step, scans: ScanCache) -> None:
        batch = self._batch(line)
        learned = self.learner.learn(batch.as_native(), keep_scans=True)
        scans.keep(
            [
                KeptScan(_scanned(wanted), max(part.timestamps_ms[-1:], default=0), scan)
                for wanted, part, scan in zip(line.ranges, batch.ranges, learned.scans, strict=True)
            ]
        )

    def _batch(self, line: Step) -> Batch:
        batch = Batch(tuple(self._read(part) for part in line.ranges))
        self.newest_at = max(self.newest_at, batch.newest_at)
        return batch

    def _read(self, wanted: Range) -> EventRange:
        """Return exactly the records of *wanted*."""
        reader = self._readers.get(wanted.partition)
        if reader is None:
            reader = self._log.reader(self._topic.name, {wanted.partition: wanted.first})
            self._readers[wanted.partition] = reader
        elif self._read_until[wanted.partition] != wanted.first:
            # A decision skipped something, or kept scans took the place of events.
            reader.seek(wanted.partition, wanted.first)
        self._read_until[wanted.partition] = wanted.next
        fetches: list[Fetch] = []
        missing = wanted.records
        while missing:
            fetch = self._poll(reader, wanted, missing)
            missing -= len(fetch.values)
            fetches.append(fetch)
        found = EventRange.of(wanted.first, fetches)
        if found.next > wanted.next or found.checksum != wanted.checksum:
            self._refuse(
                f"[{wanted.first}, {wanted.next}) of partition {wanted.partition} held {wanted.records} "
                f"records with checksum {wanted.checksum:016x}; now they end at {found.next} "
                f"with {found.checksum:016x}"
            )
        return found

    def _poll(self, reader: Reader, wanted: Range, missing: int) -> Fetch:
        try:
            while not (fetches := reader.poll(missing, _SILENCE_SECONDS)):
                end = self._log.bounds(self._topic.name, wanted.partition).next
                if end < wanted.next:
                    self._refuse(f"partition {wanted.partition} ends at {end}, {wanted.next} was learned")
        except LogTruncated as error:
            self._refuse(str(error))
        return fetches[0]

    def _refuse(self, what: str) -> NoReturn:
        raise ReplayImpossible(self._refusal(what))

    def _refusal(self, what: str) -> str:
        return (
            f"{self._topic.name}: the events are not those that {self._source.variant} learned: {what}; "
            f"restore the topic, or begin a new variant from the newest snapshot with {ACCEPT_LOSS}"
        )


def _scanned(part: Range) -> ScannedRange:
    return ScannedRange(part.partition, part.first, part.next, part.records, part.checksum)
