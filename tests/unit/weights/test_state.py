from __future__ import annotations

import pytest

from stream_ml.weights.line_bytes import decode_line, encode_line
from stream_ml.weights.lines import Begin, Claimed, Decision, Line, place_of
from stream_ml.weights.state import VARIANTS_KEPT, JournalState
from stream_ml.weights.verdicts import Validity
from tests.unit.weights.journal_lines import (
    challenger,
    claim,
    fold,
    release,
    serve,
    snapshot,
    step,
    stop,
    variant,
)

# In `fold` the begin is line 0: the variant is 1, the first claim 2.
EPOCH = 2
OPENED: tuple[Line, ...] = (variant(), claim())


def test_steps_in_their_order_are_valid_and_move_the_offsets() -> None:
    state, verdicts = fold(*OPENED, step(EPOCH, 1, (0, 0, 5)), step(EPOCH, 2, (0, 5, 9)))
    assert all(verdict.valid for verdict in verdicts)
    assert (state.variants["v"].step, state.variants["v"].events) == (2, {0: 9})
    assert state.next_offset == 5


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (step(EPOCH, 2, (0, 0, 5)), "step 2 after step 0"),
        (step(EPOCH, 0, (0, 0, 5)), "step 0 after step 0"),
        (step(EPOCH, 1, (0, 1, 5)), "partition 0 from 1, but 0 is next"),
        (step(EPOCH, 1, (0, 0, 5), (0, 0, 6)), "partition 0 from 0, but 5 is next"),
        (step(EPOCH, 1, (0, 0, 0)), "is empty"),
        (step(EPOCH, 1, (7, 4, 5)), "partition 7 from 4, but 0 is next"),
        (step(1, 1, (0, 0, 5)), "epoch 1 is not the newest claim, 2"),
        (step(3, 1, (0, 0, 5)), "epoch 3 is not the newest claim, 2"),
        (step(EPOCH, 1, (0, 0, 5), name="w"), "variant w is unknown"),
        (step(EPOCH, 1, (0, 0, 5), decisions=(1,)), "quotes 1, which is no decision in force"),
        (claim(name="w"), "variant w is unknown"),
        (release(1), "epoch 1 is not the newest claim"),
        (release(2, name="w"), "variant w is unknown"),
        (serve("w"), "variant w is unknown"),
        (Begin(journal=4), "a journal begins once"),
        (None, "a damaged line"),
    ],
)
def test_any_other_line_is_void_and_changes_nothing(line: Line | None, reason: str) -> None:
    state, verdicts = fold(*OPENED, line)
    assert verdicts[-1].validity is Validity.VOID
    assert reason in verdicts[-1].reason
    untouched, _ = fold(*OPENED)
    assert (state.variants, state.decisions) == (untouched.variants, untouched.decisions)


def test_an_identical_repeat_is_ignored_and_a_different_line_of_the_same_step_is_void() -> None:
    first = step(EPOCH, 1, (0, 0, 5))
    state, verdicts = fold(*OPENED, first, first, step(EPOCH, 1, (0, 0, 6)), step(EPOCH, 2, (0, 5, 6)))
    expected = [Validity.VALID, Validity.REPEAT, Validity.VOID, Validity.VALID]
    assert [verdict.validity for verdict in verdicts[2:]] == expected
    assert state.variants["v"].step == 2


def test_a_line_behind_a_higher_claim_is_void_and_the_claim_goes_on_after_the_last_valid_step() -> None:
    state, verdicts = fold(
        *OPENED, step(2, 1, (0, 0, 5)), claim("b"), step(2, 2, (0, 5, 8)), step(4, 2, (0, 5, 6))
    )
    assert [verdict.valid for verdict in verdicts] == [True, True, True, True, False, True]
    assert state.variants["v"].claims == [Claimed(2, 0), Claimed(4, 1)]
    assert state.variants["v"].last_step_of(2) == 1
    assert state.variants["v"].last_step_of(4) is None


def test_nobody_writes_after_a_release_until_the_next_claim() -> None:
    state, verdicts = fold(*OPENED, release(EPOCH), release(EPOCH), step(EPOCH, 1, (0, 0, 5)))
    assert [verdict.valid for verdict in verdicts[2:]] == [True, False, False]
    assert "epoch 2 was released" in verdicts[-1].reason
    assert state.variants["v"].writer is None
    state.apply(6, claim("b"))
    assert state.variants["v"].writer == "b"


def test_the_release_of_an_older_epoch_does_not_free_the_newest() -> None:
    state, verdicts = fold(*OPENED, claim("b"), release(2))
    assert not verdicts[-1].valid
    assert state.variants["v"].writer == "b"


def test_a_partition_added_to_the_topic_starts_at_its_beginning() -> None:
    state, verdicts = fold(*OPENED, step(EPOCH, 1, (0, 0, 5), (3, 0, 2)))
    assert verdicts[-1].valid
    assert state.variants["v"].events == {0: 5, 3: 2}


def test_a_quoted_skip_moves_a_partition_and_one_not_quoted_does_not() -> None:
    skip = Decision(kind="skip", variant="v", who="op", why="poison", partition=0, next=40, lost=35)
    state, verdicts = fold(
        *OPENED, step(2, 1, (0, 0, 5)), skip, step(2, 2, (0, 40, 41)), step(2, 2, (0, 40, 41), decisions=(4,))
    )
    assert [verdict.valid for verdict in verdicts[3:]] == [True, False, True]
    assert state.variants["v"].events == {0: 41}


def test_of_two_decisions_at_once_the_later_line_is_void() -> None:
    state, verdicts = fold(variant("v"), variant("w"), serve("v"), serve("w"), serve("w", replaces=3))
    assert [verdict.valid for verdict in verdicts[2:]] == [True, False, True]
    assert "another decision came between" in verdicts[3].reason
    assert state.serving == "w"


def test_learning_is_stopped_and_resumed_by_decisions() -> None:
    stop = Decision(kind="stop", variant="v", who="op", why="drift")
    state, _ = fold(*OPENED, stop)
    assert not state.learns("v")
    state.apply(4, Decision(kind="resume", variant="v", who="op", why="fixed", replaces=3))
    assert state.learns("v")


def test_a_variant_is_declared_once() -> None:
    _, verdicts = fold(variant(), variant(), variant(events={0: 9}))
    assert [verdict.validity for verdict in verdicts] == [Validity.VALID, Validity.REPEAT, Validity.VOID]


def test_a_snapshot_of_a_superseded_writer_or_of_steps_to_come_is_not_announced() -> None:
    state, _ = fold(*OPENED, step(2, 1, (0, 0, 5)), claim("b"))
    assert not state.apply(5, snapshot(state, epoch=2, number=1)).valid
    assert not state.apply(6, snapshot(state, epoch=4, number=2)).valid
    assert not state.apply(7, snapshot(state, epoch=4, number=1, as_of=9)).valid
    assert state.variants["v"].snapshots == []
    line = snapshot(state, epoch=4, number=1)
    assert state.apply(8, line).valid
    assert state.variants["v"].snapshots == [line.announced]
    assert state.apply(9, line).validity is Validity.REPEAT


def test_a_follower_that_begins_at_a_snapshot_line_judges_as_one_from_the_beginning() -> None:
    state, _ = fold(variant("v"), variant("w"), claim("a"), serve("v"), step(3, 1, (0, 0, 5)))
    line = snapshot(state, epoch=3, number=1)
    follower = JournalState.as_of(line)
    assert follower.next_offset == state.next_offset
    later: list[Line | None] = [
        step(3, 2, (0, 5, 8)),
        line,
        claim("b", name="w"),
        serve("w", replaces=4),
        step(3, 3, (0, 7, 8)),
        step(8, 1, (0, 0, 5), name="w"),
        None,
        claim("b"),
        step(3, 3, (0, 8, 9)),
    ]
    for offset, entry in enumerate(later, start=line.as_of):
        assert follower.apply(offset, entry) == state.apply(offset, entry)
    assert follower.in_force() == state.in_force()


def test_what_is_in_force_survives_the_bytes_of_a_snapshot_line() -> None:
    state, _ = fold(variant("v"), claim("a"), serve("v"), step(2, 1, (0, 0, 5)), claim("b"))
    line = snapshot(state, epoch=5, number=1)
    read = decode_line(encode_line(line))
    assert read == line
    assert JournalState.as_of(line).in_force() == state.in_force()


def test_a_new_journal_announces_stored_snapshots_and_its_epochs_are_higher_than_all_before() -> None:
    old, _ = fold(*OPENED, step(2, 1, (0, 0, 5)))
    old.apply(4, snapshot(old, epoch=2, number=1))
    state = JournalState()
    assert state.apply(0, Begin(journal=1, variants=old.in_force().variants)).valid
    assert state.variants["v"].snapshots == old.variants["v"].snapshots
    assert state.variants["v"].writer is None
    state.apply(1, claim("b", step=1))
    assert state.variants["v"].epoch == place_of(1, 1) > 2
    assert state.apply(2, step(place_of(1, 1), 2, (0, 5, 6))).valid


def test_the_journal_is_applied_in_its_order_only() -> None:
    state, _ = fold(*OPENED)
    with pytest.raises(AssertionError):
        state.apply(1, claim())


def test_the_variant_to_go_back_to_and_challengers_that_learn_are_not_forgotten() -> None:
    challenges = [challenger(f"v{number}", of="v2") for number in range(3, 9)]
    state, _ = fold(
        variant("v1"),
        serve("v1"),
        challenger("v2", of="v1"),
        serve("v2", replaces=2),
        stop("v1"),
        *challenges,
        variant("v0"),
    )
    assert list(state.variants) == [*(f"v{number}" for number in range(1, 9)), "v0"]
    assert state.challengers() == [f"v{number}" for number in range(3, 9)]
    for offset, number in enumerate(range(3, 9), start=20):
        state.apply(offset, stop(f"v{number}"))
    state.apply(30, challenger("v9", of="v2"))
    assert list(state.variants) == ["v1", "v2", "v0", "v9"]
    assert (state.before("v2"), state.before("v1"), state.challengers()) == ("v1", None, ["v9"])


def test_of_the_variants_that_do_not_serve_the_oldest_are_forgotten_with_all_that_was_decided_of_them() -> (
    None
):
    names = [f"v{number}" for number in range(1, VARIANTS_KEPT + 3)]
    skip = Decision(kind="skip", variant="v2", who="op", why="", partition=0, next=9, lost=9)
    state, verdicts = fold(variant("v1"), serve("v1"), variant("v2"), skip, *map(variant, names[2:]))
    assert all(verdict.valid for verdict in verdicts)
    assert list(state.variants) == ["v1", *names[-VARIANTS_KEPT + 1 :]]
    assert list(state.decisions) == ["serve"]
    assert state.serving == "v1"
    assert not state.apply(90, claim(name="v2")).valid
