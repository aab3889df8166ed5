from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_ml.errors import CannotContinue
from stream_ml.learning.batch import Batch
from stream_ml.learning.inbox import Inbox, JournalRead
from stream_ml.weights.lines import InForce

BATCH = Batch(())
READ = JournalRead([], 0, InForce(variants=(), decisions=()))


def test_without_anything_a_wait_ends() -> None:
    assert Inbox(1).take(0.001, batch_wanted=True) == (None, [])


def test_batches_come_one_at_a_time_and_lines_all_at_once() -> None:
    inbox = Inbox(2)
    inbox.put_batch(BATCH)
    inbox.put_batch(BATCH)
    inbox.put_read(READ)
    inbox.put_read(READ)
    assert inbox.take(1, batch_wanted=True) == (BATCH, [READ, READ])
    assert inbox.batches == 1
    assert inbox.take(1, batch_wanted=True) == (BATCH, [])


def test_a_batch_that_is_not_wanted_stays() -> None:
    inbox = Inbox(1)
    inbox.put_batch(BATCH)
    assert inbox.take(0.001, batch_wanted=False) == (None, [])
    assert inbox.take(1, batch_wanted=True) == (BATCH, [])


def test_who_puts_a_batch_waits_for_room() -> None:
    inbox = Inbox(1)
    inbox.put_batch(BATCH)
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(inbox.put_batch, BATCH)
        assert not second.done()
        inbox.take(1, batch_wanted=True)
        second.result(timeout=20)
    assert inbox.batches == 1


def test_what_ends_a_thread_ends_the_one_that_takes() -> None:
    def work() -> None:
        raise CannotContinue("events are gone")

    inbox = Inbox(1)
    with ThreadPoolExecutor(1) as threads:
        inbox.run(threads, work)
        with pytest.raises(CannotContinue, match="events are gone"):
            inbox.take(20, batch_wanted=True)
