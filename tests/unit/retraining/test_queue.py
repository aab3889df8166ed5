from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.retraining.jobs import JOBS_TOPIC, Job, Window, encode_job
from stream_ml.retraining.queue import JobCancelled, Lease, LeaseLost, Queue
from stream_ml.retraining.queue_lines import WORK_TOPIC, Claim, encode_line
from stream_ml.runtime.clock import ManualClock
from stream_ml.streams.memory import MemoryLog
from tests.unit.retraining.queues import LEASE_SECONDS, ask, job


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def queue(log: MemoryLog, clock: ManualClock, who: str = "a", **more: object) -> Queue:
    return Queue(log, who, clock, lease_seconds=LEASE_SECONDS, **more)  # type: ignore[arg-type]


def taken(queue: Queue) -> Lease:
    lease = queue.take()
    assert lease is not None
    return lease


def test_jobs_are_taken_in_their_order_each_by_one(log: MemoryLog, clock: ManualClock) -> None:
    one, other = queue(log, clock, "a"), queue(log, clock, "b")
    assert one.take() is None
    ask(log, job("first"), job("second"))
    assert taken(one).job == job("first")
    assert taken(other).job.job == "second"
    assert (one.take(), other.take()) == (None, None)


def test_the_same_job_asked_for_twice_is_one(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"), job("x"))
    taken(one).done({"winner": None})
    ask(log, job("x"))
    assert one.take() is None
    assert queue(log, clock, "b").take() is None


def test_a_job_that_is_done_has_its_outcome_in_the_topic(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"))
    taken(one).done({"winner": "warm", "difference": float("nan")})
    end = queue(log, clock, "b")
    end.read()
    ((_, state),) = end.jobs()
    assert state.end is not None
    assert (state.end.ended, state.end.who) == ("done", "a")
    assert state.end.outcome == {"winner": "warm", "difference": None}


def test_silence_for_the_lease_hands_over_and_what_the_zombie_says_is_void(
    log: MemoryLog, clock: ManualClock
) -> None:
    one, other = queue(log, clock, "a"), queue(log, clock, "b")
    ask(log, job("x"))
    frozen = taken(one)
    assert other.take() is None
    clock.advance(LEASE_SECONDS - 0.1)
    assert other.take() is None
    clock.advance(0.2)
    lease = taken(other)
    assert lease.job.job == "x"
    assert lease.failures == 1
    for said in (
        lambda: frozen.alive(0.9, "trains"),
        lambda: frozen.done({"winner": "wrong"}),
        lambda: frozen.release("stopped", failed=False),
        lambda: frozen.failed("wrong"),
    ):
        with pytest.raises(LeaseLost, match="job x is b's now"):
            said()
    lease.done({"winner": "right"})
    one.read()
    end = one.state("x").end
    assert end is not None
    assert end.outcome == {"winner": "right"}


def test_what_a_zombie_says_keeps_no_job_of_its_successor(log: MemoryLog, clock: ManualClock) -> None:
    one, other, third = (queue(log, clock, who) for who in "abc")
    ask(log, job("x"))
    zombie = taken(one)
    assert (other.take(), third.take()) == (None, None)
    clock.advance(LEASE_SECONDS + 1)
    taken(other)
    third.read()
    clock.advance(LEASE_SECONDS - 1)
    with pytest.raises(LeaseLost):
        zombie.alive(0.5, "trains")
    assert third.take() is None
    clock.advance(2)
    assert taken(third).job.job == "x", "of the successor nothing was heard"


def test_compaction_leaves_the_claim_that_counts(log: MemoryLog, clock: ManualClock) -> None:
    """Two that claim at once write each under a key of its own, or the void one would stay in its place."""
    ask(log, job("x"))
    log.ensure_topic(WORK_TOPIC, 1)
    first, second = (Claim(job="x", who=who, replaces=None, lease_seconds=LEASE_SECONDS) for who in "ab")
    with log.writer() as writer:
        for line in (first, second):
            key, value = encode_line(line)
            writer.send(WORK_TOPIC, value, key=key, partition=0)
    compacted = MemoryLog()
    ask(compacted, job("x"))
    compacted.ensure_topic(WORK_TOPIC, 1)
    with compacted.writer() as writer:
        for key, value in last_of_each_key(log, WORK_TOPIC).items():
            writer.send(WORK_TOPIC, value, key=key, partition=0)
    for each in (log, compacted):
        late = queue(each, clock, "late")
        late.read()
        assert late.state("x").claim == first


def last_of_each_key(log: MemoryLog, topic: str) -> dict[bytes | None, bytes | None]:
    (fetch,) = log.reader(topic, {0: 0}, keys=True).poll(1000, 0)
    found: dict[bytes | None, bytes | None] = {}
    for key, value in zip(fetch.keys or (), fetch.values, strict=True):
        found.pop(key, None)
        found[key] = value
    return found


def test_signs_of_life_keep_a_job(log: MemoryLog, clock: ManualClock) -> None:
    one, other = queue(log, clock, "a"), queue(log, clock, "b")
    ask(log, job("x"))
    lease = taken(one)
    for at in range(10):
        clock.advance(LEASE_SECONDS * 0.9)
        lease.alive(at / 10, "trains")
        assert other.take() is None
    state = other.state("x")
    assert state.alive is not None
    assert (state.alive.progress, state.alive.doing) == (0.9, "trains")


def test_one_that_was_not_there_waits_a_whole_lease_before_it_takes_anything_over(
    log: MemoryLog, clock: ManualClock
) -> None:
    ask(log, job("x"))
    taken(queue(log, clock, "a"))
    clock.advance(1000)
    late = queue(log, clock, "late")
    assert late.take() is None
    clock.advance(LEASE_SECONDS)
    assert taken(late).job.job == "x"


def test_one_that_slept_reads_before_it_judges(log: MemoryLog, clock: ManualClock) -> None:
    """It heard nothing for long, because it was frozen, not because there was nothing to hear."""
    one, sleeper = queue(log, clock, "a"), queue(log, clock, "b")
    ask(log, job("x"))
    lease = taken(one)
    assert sleeper.take() is None
    for _ in range(5):
        clock.advance(LEASE_SECONDS / 2)
        lease.alive(0.5, "trains")
    assert sleeper.take() is None


def test_the_seconds_of_the_claim_count_not_those_of_who_waits(log: MemoryLog, clock: ManualClock) -> None:
    ask(log, job("x"))
    taken(Queue(log, "slow", clock, lease_seconds=10 * LEASE_SECONDS))
    other = queue(log, clock, "b")
    assert other.take() is None
    clock.advance(9 * LEASE_SECONDS)
    assert other.take() is None
    clock.advance(LEASE_SECONDS)
    assert taken(other).job.job == "x"


def test_of_two_that_claim_at_once_one_has_the_job(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock, "a")
    ask(log, job("x"))
    one.read()
    key, value = encode_line(Claim(job="x", who="b", replaces=None, lease_seconds=LEASE_SECONDS))
    faster = log.writer()
    send = one._writer.send
    # The other's claim lands between this one's look and its own.
    one._writer.send = lambda *said, **more: (  # type: ignore[method-assign]
        faster.send(WORK_TOPIC, value, key=key, partition=0),
        send(*said, **more),
    )
    assert one.take() is None
    assert one.state("x").claim == Claim(job="x", who="b", replaces=None, lease_seconds=LEASE_SECONDS)


def test_a_released_job_is_taken_at_once(log: MemoryLog, clock: ManualClock) -> None:
    one, other = queue(log, clock, "a"), queue(log, clock, "b")
    ask(log, job("x"))
    taken(one).release("stopped", failed=False)
    lease = taken(other)
    assert (lease.job.job, lease.failures) == ("x", 0)
    lease.release("broker away", failed=True)
    assert taken(one).failures == 1


def test_a_cancelled_job_is_over_for_whoever_has_it(log: MemoryLog, clock: ManualClock) -> None:
    one, operator = queue(log, clock, "a"), queue(log, clock, "operator")
    ask(log, job("x"), job("y"))
    lease = taken(one)
    assert operator.cancel("x", "too dear")
    assert operator.cancel("y", "not needed")
    assert not operator.cancel("x", "again")
    with pytest.raises(JobCancelled, match="job x was cancelled by operator: too dear"):
        lease.alive(0.5, "trains")
    with pytest.raises(JobCancelled):
        lease.done({})
    assert one.take() is None


def test_only_jobs_of_the_models_that_are_named_are_taken(log: MemoryLog, clock: ManualClock) -> None:
    ask(log, job("x", model="bookings"), job("y", model="coupons"))
    some = queue(log, clock, models=["coupons"])
    assert some.take() == taken_as(some, "y")
    assert some.take() is None


def taken_as(queue: Queue, name: str) -> Lease:
    state = queue.state(name)
    assert state.lease is not None
    (found,) = [job for job, _ in queue.jobs() if job.job == name]
    return Lease(queue, found, state.lease)


def test_how_many_jobs_wait(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock, models=["bookings"])
    assert one.waiting() == {"bookings": 0}, "it is there before the first job"
    assert queue(log, clock).waiting() == {}
    ask(log, job("x"), job("y"), job("z"), job("other", model="coupons"))
    taken(one)
    assert one.waiting() == {"bookings": 2}
    one.cancel("y", "not needed")
    assert one.waiting() == {"bookings": 1}
    taken(one).done({})
    assert one.waiting() == {"bookings": 0}


def test_how_many_jobs_failed_whoever_had_them(log: MemoryLog, clock: ManualClock) -> None:
    stays, ends = queue(log, clock, models=["bookings"]), queue(log, clock)
    ask(log, job("x"), job("y"), job("z"), job("other", model="coupons"))
    assert stays.failed() == {"bookings": 0}, "it is there before the first job"
    taken(ends).failed("no memory")
    taken(ends).done({})
    taken(ends).release("later", failed=True)
    stays.read()
    assert stays.failed() == {"bookings": 1}


def test_how_old_the_oldest_job_is_that_is_not_over(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock, models=["bookings"])
    assert one.oldest_seconds() == {"bookings": 0}, "it is there before the first job"
    ask(log, job("x"), job("other", model="coupons"))
    lease = taken(one)
    clock.advance(10e9)  # what this log writes has the time of day
    first = one.oldest_seconds()["bookings"]
    clock.advance(50)
    assert one.oldest_seconds() == {"bookings": first + 50}, "also while somebody works at it"
    lease.done({})
    assert one.oldest_seconds() == {"bookings": 0}


def test_a_record_that_is_no_job_is_logged_and_the_next_is_taken(
    log: MemoryLog, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one = queue(log, clock)
    with log.writer() as writer:
        writer.send(JOBS_TOPIC, b'{"job": 3}', key=b"3", partition=0)
        writer.send(WORK_TOPIC, b"noise", key=b"noise", partition=0)
    ask(log, job("x"))
    assert taken(one).job.job == "x"
    told = [getattr(record, "reason", "") for record in caplog.records]
    assert any("job: Input should be a valid string" in each for each in told)
    assert any("record 0 is no job: retrain-jobs: job: Input" in record.message for record in caplog.records)
    assert any("not a line of ours" in each for each in told)


def test_jobs_that_are_not_ready_are_passed_over_until_they_are(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"), job("y"))
    lease = one.take(lambda job: job.job == "y")
    assert lease is not None
    assert lease.job.job == "y"
    assert one.take(lambda job: False) is None
    assert one.state("x").claim is None
    assert taken(one).job.job == "x"


def test_a_job_is_for_ever_what_its_first_claim_says(log: MemoryLog, clock: ManualClock) -> None:
    """Of a record that was repeated with other offsets, compaction keeps the last."""
    other = replace(job("x"), window=Window(events={0: (50, 150)}))
    ask(log, job("x"), other)
    lease = taken(queue(log, clock))
    assert lease.job == job("x")
    log.delete_records(JOBS_TOPIC, 0, 1)
    late = queue(log, clock, "late")
    late.read()
    assert [job for job, _ in late.jobs()] == [job("x")]
    lease.release("stopped", failed=False)
    assert taken(late).job == job("x")


def test_who_has_read_another_record_of_a_job_takes_the_one_that_is_claimed(
    log: MemoryLog, clock: ManualClock
) -> None:
    early = queue(log, clock, "early")
    other = replace(job("x"), window=Window(events={0: (50, 150)}))
    ask(log, job("x"), other)
    early.read()
    log.delete_records(JOBS_TOPIC, 0, 1)
    taken(queue(log, clock, "late")).release("stopped", failed=False)
    assert taken(early).job == other


def test_a_claim_that_names_no_job_of_ours_is_skipped(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"))
    said = {"job": "x", "window": {}}
    key, value = encode_line(Claim(job="x", who="b", replaces=None, lease_seconds=LEASE_SECONDS, asked=said))
    with log.writer() as writer:
        writer.send(WORK_TOPIC, value, key=key, partition=0)
    assert taken(one).job == job("x")


@pytest.mark.parametrize("topic", [JOBS_TOPIC, WORK_TOPIC])
def test_a_topic_that_was_made_anew_ends_the_process(log: MemoryLog, clock: ManualClock, topic: str) -> None:
    """What it knows is of the old one: it would take no new job, or claim in vain, and say nothing."""
    one = queue(log, clock)
    ask(log, job("x"), job("y"))
    taken(one).done({})
    log.delete_topic(topic)
    log.ensure_topic(topic, 1)
    with pytest.raises(CannotContinue, match=rf"{topic}\[0\]: offset 2 is gone"):
        one.take()


def test_old_jobs_that_are_over_are_removed_from_both_topics(clock: ManualClock) -> None:
    log = MemoryLog(now=clock.now)
    one = queue(log, clock)
    ask(log, job("x"), job("y"), job("z"))
    for lease in (taken(one), taken(one)):
        lease.alive(0.5, "trains")
        lease.release("stopped", failed=False)
    taken(one).done({})
    one.cancel("y", "not needed")
    clock.advance(100)
    ask(log, job("young"))
    assert one.cancel("young", "not needed")
    one.forget(101)
    assert names(one) == names(queue(log, clock, "b")) == ["x", "y", "z", "young"]
    one.forget(99)
    assert names(one) == names(queue(log, clock, "b")) == ["z", "young"]
    assert one.take() == taken_as(one, "z")
    ends = {topic: log.bounds(topic, 0).next for topic in (JOBS_TOPIC, WORK_TOPIC)}
    one.forget(99)
    assert ends == {topic: log.bounds(topic, 0).next for topic in ends}, "nothing is left to remove"
    assert (one._keys.keys(), one._work.jobs.keys()) == ({"z", "young"}, {"z", "young"})
    assert (one._asked_at.keys(), one._heard.keys()) == ({"z", "young"}, {"z", "young"})


def test_killed_while_it_forgets_a_job_the_next_one_does_not_do_it_again(clock: ManualClock) -> None:
    log = MemoryLog(now=clock.now)
    one = queue(log, clock)
    ask(log, job("x"))
    taken(one).done({})
    with log.writer() as writer:
        writer.send(JOBS_TOPIC, None, key=b"x", partition=0)
    clock.advance(100)
    other = queue(log, clock, "b")
    assert other.take() is None
    other.forget(99)
    assert names(other) == names(queue(log, clock, "c")) == []
    ask(log, job("x"))
    assert taken(other).job.job == "x", "it is asked for again"


def test_a_job_whose_record_was_removed_is_not_taken(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"), job("y"))
    one.read()
    with log.writer() as writer:
        writer.send(JOBS_TOPIC, None, key=b"x", partition=0)
    assert names(one) == names(queue(log, clock, "b")) == ["y"]
    assert taken(one).job.job == "y"
    assert one._asked_at.keys() == {"y"}


def test_the_job_is_removed_before_its_end(
    log: MemoryLog, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = queue(log, clock)
    ask(log, job("x"))
    taken(one).done({})
    sent: list[str] = []
    monkeypatch.setattr(one._writer, "send", lambda topic, *_, **__: sent.append(topic))
    monkeypatch.setattr(one._writer, "flush", lambda _: sent.append("flushed"))
    one.forget(-math.inf)
    assert sent == [JOBS_TOPIC, "flushed", WORK_TOPIC, WORK_TOPIC, "flushed"]


def test_jobs_of_other_models_are_not_removed(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    ask(log, job("x"), job("y", model="coupons"))
    for _ in range(2):
        taken(one).done({})
    some = queue(log, clock, models=["coupons"])
    some.read()
    some.forget(-math.inf)
    assert names(one) == ["x"]


def names(queue: Queue) -> list[str]:
    queue.read()
    return [job.job for job, _ in queue.jobs()]


def test_how_long_ago_a_job_was_asked_for(clock: ManualClock) -> None:
    log = MemoryLog(now=clock.now)
    ask(log, job("x"))
    clock.advance(7)
    ask(log, job("x"))
    one = queue(log, clock)
    one.read()
    assert one.age_seconds("x") == pytest.approx(7, abs=0.01)
    assert one.age_seconds("nobody knows it") < 0


def test_a_later_release_that_writes_here_ends_the_process(log: MemoryLog, clock: ManualClock) -> None:
    one = queue(log, clock)
    with log.writer() as writer:
        writer.send(WORK_TOPIC, b'{"format": 2, "line": "new"}', key=b"new", partition=0)
    with pytest.raises(CannotContinue, match="upgrade this process"):
        one.take()


def test_records_that_do_not_arrive_are_said(
    log: MemoryLog, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = queue(log, clock)
    ask(log, job("x"))
    monkeypatch.setattr(one._jobs_reader, "poll", lambda *_: [])
    with pytest.raises(RecoverableError, match=r"retrain-jobs: records up to 1 do not arrive, 0 is next"):
        one.take()


def test_holes_and_a_trimmed_beginning_are_no_end(log: MemoryLog, clock: ManualClock) -> None:
    ask(log, job("x"), job("y"))
    log.delete_records(JOBS_TOPIC, 0, 1)
    log.skip_offsets(JOBS_TOPIC, 0, 3)
    ask(log, job("z"))
    one = queue(log, clock)
    assert [taken(one).job.job for _ in range(2)] == ["y", "z"]
    one.close()


def test_a_job_read_back_is_the_one_that_was_asked_for(log: MemoryLog, clock: ManualClock) -> None:
    asked: Job = job("x")
    ask(log, asked)
    assert encode_job(taken(queue(log, clock)).job) == encode_job(asked)
