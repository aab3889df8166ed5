from __future__ import annotations

from dataclasses import replace
from random import Random

import orjson
import pytest

from stream_ml.errors import CannotContinue, InvalidRecord
from stream_ml.retraining.queue_lines import (
    Alive,
    Claim,
    End,
    Line,
    Release,
    WorkState,
    decode_line,
    encode_line,
)

JOB = "4be1"


def claim(who: str = "a", replaces: int | None = None) -> Claim:
    return Claim(job=JOB, who=who, replaces=replaces, lease_seconds=30.0)


def alive(lease: int, progress: float = 0.5) -> Alive:
    return Alive(job=JOB, lease=lease, progress=progress, doing="trains")


def release(lease: int, failed: bool = False) -> Release:
    return Release(job=JOB, lease=lease, why="stopped", failed=failed)


def done(lease: int | None, who: str = "a") -> End:
    return End(job=JOB, lease=lease, ended="done", who=who, outcome={"winner": None})


def cancel(who: str = "operator") -> End:
    return End(job=JOB, lease=None, ended="cancelled", who=who, why="too dear")


LINES: list[Line] = [claim(), claim("b", 7), alive(7), release(7), done(7), cancel()]


def applied(*lines: Line) -> tuple[WorkState, list[bool]]:
    """Lines lie at offsets 0, 1, 2 …"""
    state = WorkState()
    return state, [state.apply(offset, line) for offset, line in enumerate(lines)]


@pytest.mark.parametrize("line", LINES, ids=repr)
def test_a_line_survives_its_record(line: Line) -> None:
    assert decode_line(encode_line(line)[1]) == line


def test_what_is_no_line_is_refused_and_a_later_format_ends_the_process() -> None:
    for value in (None, b"", b"[]", b"3", b"{", b'{"line":"claim"}'):
        with pytest.raises(InvalidRecord, match="not a line of ours"):
            decode_line(value)
    said = orjson.loads(encode_line(claim())[1])
    with pytest.raises(InvalidRecord):
        decode_line(orjson.dumps({**said, "further": 1}))
    with pytest.raises(CannotContinue, match="format 2, we read 1"):
        decode_line(orjson.dumps({**said, "format": 2}))


def test_of_two_claims_that_replace_the_same_the_first_counts() -> None:
    state, counts = applied(claim("a"), claim("b"), alive(1), done(1))
    assert counts == [True, False, False, False]
    assert (state.of(JOB).lease, state.of(JOB).end) == (0, None)


def test_a_release_that_is_written_twice_is_one_failure() -> None:
    """A writer that heard no answer may send it again."""
    state, _ = applied(claim(), release(0, failed=True), release(0, failed=True))
    assert state.of(JOB).failures == 1
    state, _ = applied(claim(), release(0, failed=False), release(0, failed=True))
    assert state.of(JOB).failures == 0


def test_a_later_claim_makes_void_what_the_earlier_one_says() -> None:
    state, counts = applied(claim("a"), alive(0), claim("b", 0), alive(0, 0.9), release(0), done(0), done(2))
    assert counts == [True, True, True, False, False, False, True]
    assert state.of(JOB).end == done(2)
    assert state.of(JOB).alive is None
    assert not state.of(JOB).released


def test_after_its_end_nothing_counts() -> None:
    _, counts = applied(claim("a"), done(0), done(0), claim("b", 0), alive(0), cancel(), release(0))
    assert counts == [True, True, *[False] * 5]


def test_a_cancel_ends_a_job_that_somebody_has_and_one_that_nobody_has() -> None:
    state, counts = applied(claim("a"), cancel(), alive(0), done(0))
    assert counts == [True, True, False, False]
    end = state.of(JOB).end
    assert end is not None
    assert (end.ended, end.who, end.why) == ("cancelled", "operator", "too dear")
    assert applied(cancel(), claim("a"))[1] == [True, False]


def test_a_released_job_is_free_until_it_is_claimed() -> None:
    state, counts = applied(claim("a"), release(0), alive(0))
    assert counts == [True, True, True]
    assert state.of(JOB).free
    state.apply(3, claim("a", 0))
    assert not state.of(JOB).free
    assert state.of(JOB).lease == 3
    assert not WorkState().of("never heard of").claim
    assert WorkState().of("never heard of").free


def test_failures_are_deaths_and_failed_releases_and_no_clean_stops() -> None:
    lines = [claim("a"), release(0), claim("b", 0), claim("c", 2), release(3, failed=True), claim("a", 3)]
    state, counts = applied(*lines)
    assert all(counts)
    assert state.of(JOB).failures == 2


def compacted(lines: list[Line]) -> list[tuple[int, Line]]:
    """Return what a broker may leave: of each key the last."""
    last = {encode_line(line)[0]: offset for offset, line in enumerate(lines)}
    return [(offset, line) for offset, line in enumerate(lines) if last[encode_line(line)[0]] == offset]


def test_compaction_alters_no_verdict_about_how_jobs_end(random: Random) -> None:
    """Whatever is written, also by those who know nothing of the newest lease."""
    for _ in range(400):
        lines: list[Line] = []
        state = WorkState()
        for offset in range(random.randrange(3, 25)):
            lease = random.choice([state.of(JOB).lease, random.randrange(offset + 1)])
            who = random.choice("abc")
            line: Line = random.choices(
                [
                    claim(who, lease),
                    alive(lease or 0, offset / 100),
                    release(lease or 0, random.random() < 0.5),
                    done(lease, who),
                    cancel(f"operator{offset}"),
                ],
                [5, 6, 2, 0.5, 0.2],
            )[0]
            # Nobody writes the same claim or end twice: it has read its first one back.
            if not isinstance(line, Alive) and encode_line(line)[0] in {
                encode_line(each)[0] for each in lines
            }:
                continue
            lines.append(line)
            state.apply(len(lines) - 1, line)
        left = WorkState()
        for offset, line in compacted(lines):
            left.apply(offset, line)
        # What people see of progress is lost where a void sign of life came after it.
        assert replace(left.of(JOB), alive=None) == replace(state.of(JOB), alive=None), lines
