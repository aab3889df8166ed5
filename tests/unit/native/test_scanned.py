"""What a scan gave, learned later: the bits, counts and refusals of a learner that scans."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ml._native import Learned, Learner, Plan
from stream_ml.features import compile_model
from tests.clicks import MODEL, events

TIMED = MODEL.replace('label = "label"', 'label = "label"\ntimestamp = "t"\nserved = "p"\nimportance = "i"')
MODELS = {
    "event": MODEL,
    "record": MODEL + 'learn_after = "record"\n',
    "sparing": TIMED + "admission = 0.6\nexpire_after_seconds = 40\nexpire_below = 0.001\n",
    "skipping": TIMED.replace("[features]", 'unlabelled = "skip"\n[features]') + "max_rows = 90\n",
}
Ranges = list[tuple[int, list[bytes | None], list[int]]]


def plan_of(model: str) -> Plan:
    return Plan(compile_model(model).plan_bytes)


def timed(event: bytes, number: int) -> bytes:
    """The event with what the timed models read; of eleven one lacks its label, one comes from the future."""
    try:
        fields: dict[str, Any] = json.loads(event)
    except ValueError:
        return event
    fields |= {"t": number * 3 + 10**6 * (number % 11 == 7), "p": (number % 7) / 7, "i": 1 + number % 3}
    if number % 11 == 5:
        del fields["label"]
    return json.dumps(fields).encode()


def calls_of(seed: int) -> list[Ranges]:
    """Calls of learn: several partitions; records of some events or none, broken ones, repeats."""
    chooser = random.Random(seed)
    lines = [timed(event, number) for number, event in enumerate(events(chooser.randrange(1, 400)))]
    calls: list[Ranges] = []
    while lines:
        ranges = []
        for partition in sorted(chooser.sample(range(4), chooser.randrange(1, 4))):
            records = [record_of(chooser, lines) for _ in range(chooser.randrange(1, 30))]
            stamps = [chooser.choice([-1, 5_000, 10**10]) for _ in records]
            ranges.append((partition, records, stamps))
        calls.append(ranges)
    return calls


def record_of(chooser: random.Random, lines: list[bytes]) -> bytes | None:
    size = chooser.randrange(0, 5)
    record = b"\n".join(lines[:size])
    del lines[:size]
    return record or chooser.choice([None, b"", b" \n"])


def said(learned: Learned) -> dict[str, Any]:
    """Everything that a call of learn says, without how long it took."""
    refused = [
        (at.partition, at.record, at.index, at.start, at.end, at.reason, at.detail) for at in learned.refused
    ]
    names = ("learned", "duplicates", "skipped", "empty", "evaluations")
    return {name: getattr(learned, name) for name in names} | {"refused": refused}


@pytest.mark.parametrize("model", MODELS)
@given(seed=st.integers(0, 2**32), threads=st.integers(0, 2))
def test_kept_scans_give_the_bits_and_words_of_a_learner_that_scans(
    model: str, seed: int, threads: int
) -> None:
    plan = plan_of(MODELS[model])
    scanning, keeping, cached = (Learner(plan, scan_threads=n) for n in (0, threads, 0))
    for ranges in calls_of(seed):
        expected = scanning.learn(ranges)
        kept = keeping.learn(ranges, keep_scans=True)
        again = cached.learn_scanned([(part[0], s) for part, s in zip(ranges, kept.scans, strict=True)])
        assert said(again) == said(kept) == said(expected)
        assert again.scans == expected.scans == []
    assert cached.digest() == keeping.digest() == scanning.digest()
    assert cached.cut().rows == scanning.cut().rows


def test_the_scans_of_one_plan_are_learned_by_another_of_the_same_features() -> None:
    other = MODEL.replace("alpha = 0.3", "alpha = 0.1") + "admission = 0.5\n"
    one, challenger = plan_of(MODEL), plan_of(other)
    assert one.scan_fingerprint == challenger.scan_fingerprint
    assert one.scan_fingerprint != plan_of(MODEL.replace('"page"', '"site"')).scan_fingerprint
    straight, cached = Learner(challenger), Learner(challenger)
    for ranges in calls_of(1):
        scans = Learner(one).learn(ranges, keep_scans=True).scans
        cached.learn_scanned([(part[0], scan) for part, scan in zip(ranges, scans, strict=True)])
        straight.learn(ranges)
    assert cached.digest() == straight.digest()


def test_a_damaged_scan_is_refused_and_nothing_of_the_call_is_learned() -> None:
    plan = plan_of(MODEL)
    (sound,) = Learner(plan).learn([(0, events(100), [0] * 100)], keep_scans=True).scans
    learner = Learner(plan)
    before = learner.digest()
    for at in range(0, len(sound), 97):
        damaged = sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :]
        with pytest.raises(ValueError, match="kept scan"):
            learner.learn_scanned([(0, sound), (1, damaged)])
    assert learner.digest() == before
    assert learner.learn_scanned([(0, sound)]).learned > 90
