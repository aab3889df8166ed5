"""`loadtest poison`: what it costs the learner that one event in a hundred is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from loadtest.ingest import ALL_CORES, LEARNED, learned_per_second
from loadtest.report import Report
from loadtest.stack import Stack
from loadtest.stream import Stream

FULL_EVENTS = 3_000_000
QUICK_EVENTS = 200_000
FULL_TURNS = 5
QUICK_TURNS = 2
BROKEN_EVERY = 100
METHOD = (
    "Generated events with ids wait in one partition of a real broker on the same two cores, one event a "
    "record. The learner service learns them, once as they are and once with one of a hundred broken, in the "
    "next of the ways each time; speed from just before its first batch to the last event dealt with, dead "
    "letters sent. The two take turns; throughput_loss is 1 - the median of the turns' ratios."
)
BARS = {"throughput_loss": "≤ 0.1"}
DEALT_WITH = (LEARNED, "stream_ml_learner_dead_letters_total")


def _replaced(pattern: bytes, replacement: bytes) -> Callable[[bytes], bytes]:
    expression = re.compile(pattern)
    return lambda line: expression.sub(lambda _: replacement, line, count=1)


# Reason → what makes a good line of the stream one that is refused for it.
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "invalid_json": lambda line: line[: len(line) // 2],
    "invalid_utf8": _replaced(rb'"C3":"..', b'"C3":"\xff\xfe'),
    "too_deep": _replaced(rb'"C1":"[^"]*"', b'"C1":' + b'{"a":' * 200 + b"1" + b"}" * 200),
    "wrong_type": _replaced(rb'"_label":-?1', b'"_label":"no"'),
    "out_of_range": _replaced(rb'"I1":[^,]*', b'"I1":1e300'),
    "no_label": _replaced(rb'"_label":', b'"_lable":'),
    "no_event_id": _replaced(rb'"id":', b'"di":'),
    "no_timestamp": _replaced(rb'"time":', b'"emit":'),
    "future_timestamp": _replaced(rb'"time":[0-9.]+', b'"time":32503680000'),
}


def poisoned(lines: list[bytes], every: int = BROKEN_EVERY) -> Iterator[tuple[bytes, str | None]]:
    """Yield each line, one of *every* broken in the next of the ways, and the reason it is refused for."""
    ways = list(WAYS.items())
    for number, line in enumerate(lines):
        if number % every == every - 1:
            reason, broken = ways[number // every % len(ways)]
            yield broken(line), reason
        else:
            yield line, None


def run(quick: bool, seed: int) -> Report:
    """Measure both streams, in turns, on one broker."""
    events = QUICK_EVENTS if quick else FULL_EVENTS
    lines = Stream(events, identified=True, seed=seed).path().read_bytes().splitlines()
    rows: list[dict[str, float]] = []
    with Stack(ALL_CORES) as stack:
        stack.fill("clean", lines)
        stack.fill("poisoned", (line for line, _ in poisoned(lines)))
        for turn in range(QUICK_TURNS if quick else FULL_TURNS):
            clean, broken = (_measure(stack, topic, turn, events) for topic in ("clean", "poisoned"))
            rows.append(
                {
                    "turn": turn,
                    "clean events/s": round(clean),
                    "poisoned events/s": round(broken),
                    "loss": round(1 - broken / clean, 4),
                }
            )
    figures: dict[str, Any] = {
        "events": events,
        "ways": len(WAYS),
        "events_per_second_clean": round(median(row["clean events/s"] for row in rows)),
        "events_per_second_poisoned": round(median(row["poisoned events/s"] for row in rows)),
        "throughput_loss": round(median(row["loss"] for row in rows), 4),
    }
    return Report("poison", METHOD, seed, quick, figures, BARS, rows)


def _measure(stack: Stack, topic: str, turn: int, events: int) -> float:
    """Let a learner of its own learn *topic* from its beginning; return events a second."""
    learner = stack.start_learner(ALL_CORES, topic, model=f"{topic}-{turn}")
    speed = learned_per_second(learner, events, DEALT_WITH)
    learner.stop()
    return speed
