"""What the learning thread waits for: batches to learn, and what was read in the journal."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from stream_ml.learning.batch import Batch
from stream_ml.weights.journal import Entry
from stream_ml.weights.lines import InForce


@dataclass(frozen=True, slots=True)
class JournalRead:
    """
    Lines that came, and what is in force after them.

    Attributes:
        place: that *in_force* is as of.
    """

    entries: list[Entry]
    place: int
    in_force: InForce


class Inbox:
    """Batches (bounded: who puts them waits) and journal lines, from their threads to the one that learns."""

    def __init__(self, max_batches: int) -> None:
        self._max_batches = max_batches
        self._batches: deque[Batch] = deque()
        self._reads: list[JournalRead] = []
        self._error: BaseException | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put_batch(self, batch: Batch) -> None:
        """Put *batch* in; waits while the inbox is full, returns at once after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._batches) < self._max_batches or self._closed)
            self._batches.append(batch)
            self._changed.notify_all()

    def put_read(self, read: JournalRead) -> None:
        """Put *read* in."""
        with self._changed:
            self._reads.append(read)
            self._changed.notify_all()

    def take(self, timeout_seconds: float, *, batch_wanted: bool) -> tuple[Batch | None, list[JournalRead]]:
        """
        Return the next batch, if it is wanted and there, and all that was read in the journal.

        Waits up to *timeout_seconds* for either. Raises what ended one of the threads.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._error or self._reads or (batch_wanted and self._batches), timeout_seconds
            )
            if self._error is not None:
                raise self._error
            reads, self._reads = self._reads, []
            batch = self._batches.popleft() if batch_wanted and self._batches else None
            self._changed.notify_all()
            return batch, reads

    def run(self, threads: ThreadPoolExecutor, work: Callable[[], None]) -> None:
        """Run *work* in a thread of *threads*; what it raises is raised by the next `take`."""
        threads.submit(work).add_done_callback(self._ended)

    def close(self) -> None:
        """Let threads that wait go on, to their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nobody will take anything any more."""
        return self._closed

    @property
    def batches(self) -> int:
        """How many batches wait."""
        return len(self._batches)

    def _ended(self, work: Future[None]) -> None:
        with self._changed:
            self._error = self._error or work.exception()
            self._changed.notify_all()
