from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stream_ml.errors import InvalidRecord
from stream_ml.weights.feed import (
    Action,
    Assembler,
    Chunk,
    Delta,
    Interval,
    WrongFingerprint,
    cut_into_chunks,
    decode_chunk,
    encode_chunk,
)
from stream_ml.weights.lines import Claimed, NewerFormat
from stream_ml.weights.variant_state import VariantState
from tests.unit.weights.journal_lines import FINGERPRINT

ROW = bytes(range(16))


def interval(from_step: int, to_step: int, epoch: int = 2, **more: object) -> Interval:
    base = Interval(
        variant="v",
        fingerprint=FINGERPRINT,
        epoch=epoch,
        from_step=from_step,
        to_step=to_step,
        learned_at=1.5,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def delta(from_step: int, to_step: int, epoch: int = 2, rows: bytes = ROW, **more: object) -> Delta:
    return Delta(interval(from_step, to_step, epoch, **more), b"bias", rows, b"12345678")


def chunks(whole: Delta, partitions: int = 1, max_bytes: int = 900_000) -> list[Chunk]:
    return [chunk for _, chunk in cut_into_chunks(whole, partitions, max_bytes)]


def state(*claims: tuple[int, int]) -> VariantState:
    return VariantState(FINGERPRINT, None, 0, {}, claims=[Claimed(*claim) for claim in claims])


ONE_WRITER = state((2, 0))


def assembler(position: int = 0) -> Assembler:
    made = Assembler("v", FINGERPRINT)
    made.restart(position)
    return made


def offer_all(to: Assembler, whole: Delta, journal: VariantState = ONE_WRITER) -> Action:
    return [to.offer(chunk, journal).action for chunk in chunks(whole)][-1]


def test_a_delta_survives_being_cut_shuffled_and_put_together() -> None:
    rows, ids = random.Random(1).randbytes(16 * 5000), random.Random(2).randbytes(8 * 700)
    whole = Delta(interval(3, 9, image=True, shard=4), b"bias" * 5, rows, ids)
    records = [(partition, encode_chunk(chunk)) for partition, chunk in cut_into_chunks(whole, 4, 4000)]
    assert max(len(record) for _, record in records) <= 4000
    assert {partition for partition, _ in records} == {0, 1, 2, 3}
    random.Random(3).shuffle(records)
    reader = assembler()
    outcomes = [reader.offer(decode_chunk(record), ONE_WRITER) for _, record in records]
    assert [outcome.action for outcome in outcomes[:-1]] == [Action.HOLD] * (len(records) - 1)
    assert outcomes[-1].delta == whole
    assert (reader.position, reader.held_bytes) == (9, 0)


def test_an_empty_delta_goes_to_every_partition_too() -> None:
    beat = Delta(interval(4, 4), b"bias", b"", b"")
    assert [partition for partition, _ in cut_into_chunks(beat, 3)] == [0, 1, 2]


def test_every_truncation_and_flip_of_a_chunk_is_seen() -> None:
    data = encode_chunk(chunks(delta(0, 1))[0])
    for at in range(len(data)):
        with pytest.raises(InvalidRecord):
            decode_chunk(data[:at])
        flipped = data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
        with pytest.raises((InvalidRecord, NewerFormat)):
            decode_chunk(flipped)
    with pytest.raises(InvalidRecord):
        decode_chunk(None)


def test_a_chunk_of_a_newer_release_says_to_upgrade() -> None:
    data = bytearray(encode_chunk(chunks(delta(0, 1))[0]))
    data[4] = 2
    with pytest.raises(NewerFormat, match="upgrade"):
        decode_chunk(bytes(data))


def test_deltas_that_follow_are_applied_and_those_already_known_are_skipped() -> None:
    reader = assembler(3)
    assert offer_all(reader, delta(0, 3)) is Action.SKIP
    assert offer_all(reader, delta(1, 5)) is Action.APPLY
    assert offer_all(reader, delta(5, 5)) is Action.SKIP
    assert offer_all(reader, delta(5, 6)) is Action.APPLY
    assert reader.position == 6


def test_a_lost_delta_is_seen_by_the_next_one_even_by_an_empty_one() -> None:
    reader = assembler(3)
    outcome = reader.offer(chunks(delta(4, 4, rows=b""))[0], ONE_WRITER)
    assert outcome.action is Action.RESYNC
    assert "steps 4 to 4 were lost" in outcome.reason
    assert reader.position == 3


def test_nothing_of_an_incomplete_delta_counts_and_chunks_of_two_writers_never_mix() -> None:
    reader = assembler()
    zombie, true = delta(0, 2, epoch=2, rows=ROW * 9), delta(0, 2, epoch=5, rows=ROW[::-1] * 9)
    first_of_zombie, *_ = chunks(zombie, 3)
    assert reader.offer(first_of_zombie, ONE_WRITER).action is Action.HOLD
    outcomes = [reader.offer(chunk, ONE_WRITER) for chunk in chunks(true, 3)]
    assert [outcome.action for outcome in outcomes] == [Action.HOLD, Action.HOLD, Action.APPLY]
    assert outcomes[-1].delta == true
    assert reader.held_bytes == 0


def test_a_chunk_that_comes_twice_completes_nothing() -> None:
    reader = assembler()
    first, second = chunks(delta(0, 1), 2)
    assert [reader.offer(chunk, ONE_WRITER).action for chunk in (first, first)] == [Action.HOLD] * 2
    assert reader.offer(second, ONE_WRITER).action is Action.APPLY


def test_valid_deltas_of_the_old_epoch_count_up_to_the_step_where_the_next_claim_went_on() -> None:
    reader, claims = assembler(), state((2, 0), (9, 4), (12, 6))
    assert offer_all(reader, delta(0, 4, epoch=2), claims) is Action.APPLY
    assert offer_all(reader, delta(4, 5, epoch=2), claims) is Action.DROP
    assert offer_all(reader, delta(2, 6, epoch=9), claims) is Action.APPLY
    assert offer_all(reader, delta(6, 7, epoch=9), claims) is Action.DROP
    assert offer_all(reader, delta(6, 7, epoch=12), claims) is Action.APPLY


def test_a_reader_that_believed_a_zombie_is_told_when_it_reads_the_claim() -> None:
    reader = assembler()
    offer_all(reader, delta(0, 5, epoch=2))
    assert offer_all(reader, delta(3, 5, epoch=9)) is Action.SKIP
    assert reader.believed_a_zombie(ONE_WRITER) == ""
    assert reader.believed_a_zombie(state((2, 0), (9, 5))) == ""
    assert "believed up to step 5" in reader.believed_a_zombie(state((2, 0), (9, 4)))
    reader.restart(4)
    assert reader.believed_a_zombie(state((2, 0), (9, 4))) == ""


def test_the_new_writers_own_deltas_do_not_make_its_claim_suspect() -> None:
    reader = assembler()
    offer_all(reader, delta(0, 4, epoch=2))
    offer_all(reader, delta(4, 8, epoch=9))
    assert reader.believed_a_zombie(state((2, 0), (9, 4))) == ""


def test_an_image_closes_any_gap_and_a_late_one_does_not_take_the_rows_back() -> None:
    reader = assembler(7)
    assert offer_all(reader, delta(9, 9, image=True)) is Action.APPLY
    assert offer_all(reader, delta(0, 8, image=True)) is Action.SKIP
    assert reader.position == 9


def test_a_warm_variants_first_delta_adds_to_the_rows_of_its_seed() -> None:
    warm = Assembler("w", "0" * 32)
    warm.restart(0)
    first = delta(0, 1, variant="w", fingerprint="0" * 32)
    outcome = [warm.offer(chunk, ONE_WRITER) for chunk in chunks(first)][-1]
    assert outcome.action is Action.APPLY
    assert outcome.delta == first
    assert not first.interval.image
    assert offer_all(assembler(0), first) is Action.DROP


def test_a_lower_incarnation_is_dropped_and_a_higher_one_needs_an_image() -> None:
    reader = assembler()
    reader.restart(3, incarnation=2)
    assert offer_all(reader, delta(0, 9, incarnation=1)) is Action.DROP
    assert offer_all(reader, delta(3, 4, incarnation=3)) is Action.RESYNC
    assert offer_all(reader, delta(0, 2, incarnation=3, image=True)) is Action.APPLY
    assert reader.position == 2
    assert offer_all(reader, delta(2, 5, incarnation=2)) is Action.DROP


def test_another_plan_is_an_error_and_another_variant_none_of_our_business() -> None:
    reader = assembler()
    with pytest.raises(WrongFingerprint, match="fingerprint"):
        offer_all(reader, delta(0, 1, fingerprint="0" * 32))
    assert offer_all(reader, delta(0, 1, variant="w", fingerprint="0" * 32)) is Action.DROP
    assert reader.position == 0


def test_what_is_held_aside_is_bounded_and_what_is_given_up_is_seen_as_lost() -> None:
    reader = Assembler("v", FINGERPRINT, max_held_bytes=10_000)
    missing_one = [chunks(delta(at, at + 1, rows=ROW * 9), 3)[:2] for at in range(20)]
    for part in missing_one:
        for chunk in part:
            reader.offer(chunk, ONE_WRITER)
            assert reader.held_bytes <= 10_000
    assert offer_all(reader, delta(20, 21)) is Action.RESYNC


def test_held_chunks_of_deltas_now_known_are_forgotten() -> None:
    reader = assembler()
    reader.offer(chunks(delta(0, 1), 2)[0], ONE_WRITER)
    assert reader.held_bytes > 0
    offer_all(reader, delta(0, 3, epoch=5))
    assert reader.held_bytes == 0
