"""`loadtest drift`: drifts of stated sizes found in time, and false alarms against their budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median, quantiles
from typing import Any

import numpy as np

from loadtest.drifting import (
    COURSES,
    EVERY,
    KINDS,
    RECURRING_EVENTS,
    SEGMENTS,
    Course,
    Kind,
    Planted,
    blocks,
    segment_rate,
    watched,
)
from loadtest.isolation import all_cores
from loadtest.report import Report
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.monitor import Rules

FULL_DRIFTS, QUICK_DRIFTS = 17, 1  # of each kind and course
FULL_STREAMS, QUICK_STREAMS = 30, 2  # stationary ones, of each sort
BEFORE = 60  # evaluations at least
LONGER = 25_000  # events after the stated ones
STATIONARY = 200
# A drift of the whole is told within so many events of its beginning.
WITHIN = 10_000
# One of a segment is told within as many events as brought it so many positive labels before, and it had
# as many before. Of two rates that nobody knew the best test compares the logarithms of k positives before
# and of 1.3 k after; for a rate p their difference has the variance (1 - p) (1/k + 1/1.3k). The budget,
# three parts in seven of it for segments, lets each of forty sides of ten segments' label rates and
# calibrations ring once in 930,000 observations: that is a likelihood of 12.1 (Siegmund, see budget), 4.9
# standard deviations. To be there in 95 % of drifts takes 1.65 more. k = 6.55² (1 - p) (1 + 1/1.3) / (ln
# 1.3)² is 990 at a rate of 0.1.
POSITIVES = 1_000
LATER = {"abrupt": 0, "gradual": 15_000, "recurring": 0}
# Log-odds that no feature knows: their deviation, and the events over which they forget themselves.
WANDERS = {"independent labels": None, "runs of 200": (0.3, 200.0), "runs of 1,000": (0.3, 1_000.0)}
METHOD = (
    "Generated events of 4 fields, 10 segments, evaluations of 1,000 events, learned by the native learner "
    "and watched by the monitor's rules with their defaults (one false drift in 10,000 evaluations). Drifts "
    "begin after 60 evaluations, in a segment not before it had 1,000 positive labels; of each kind and "
    "course as many, each in a stream of its own. Stationary streams have 200 evaluations."
)
BARS = {"found": "≥ 0.95", "named": "≥ 0.9"}


@dataclass(frozen=True)
class Outcome:
    """
    What became of a planted drift.

    Attributes:
        within: the stated number of events.
        delay: events from its beginning until it was told; None: not in time.
        early: alarms before it began. again: alarms after the first one; none of a drift that stays.
    """

    planted: Planted
    within: int
    delay: int | None
    named: bool
    early: int
    again: int


def telling(seed: int, kind: Kind) -> int:
    """Return the events that bring as many positive labels as it takes, of the whole or of a segment."""
    return ceil(POSITIVES * SEGMENTS / segment_rate(seed)) if kind == "segment" else WITHIN


def within(seed: int, kind: Kind, course: Course) -> int:
    """Return the stated number of events in which a drift is to be told."""
    return telling(seed, kind) + LATER[course]


def planted_in(seed: int, kind: Kind, course: Course) -> Planted:
    """Return the drift of a stream: late enough that what was before is known, and not gone too soon."""
    takes = telling(seed, kind)
    at = max(BEFORE, takes // EVERY) * EVERY + seed % 7 * (EVERY // 7)
    return Planted(kind, course, at, max(RECURRING_EVENTS, takes))


def outcome(seed: int, kind: Kind, course: Course, rules: Rules) -> Outcome:
    """Plant a drift, watch, and say what came of it."""
    planted = planted_in(seed, kind, course)
    # A recurring one is there, gone, and there again.
    lasts = planted.phase * 5 // 2 if course == "recurring" else within(seed, kind, course) + LONGER
    alarms = watched(blocks(seed, (planted.at + lasts) // EVERY + 1, planted), rules)
    early = [alarm for alarm in alarms if alarm.learned_to <= planted.at]
    told: Sequence[Alarm] = alarms[len(early) :]
    delay = told[0].learned_to - planted.at if told else None
    in_time = delay is not None and delay <= within(seed, kind, course)
    named = in_time and planted.is_named(told[0])
    return Outcome(
        planted,
        within(seed, kind, course),
        delay if in_time else None,
        named,
        len(early),
        max(len(told) - 1, 0),
    )


def outcomes(each: int, seed: int, rules: Rules) -> list[Outcome]:
    """Plant so many drifts of each kind and course, each in a stream of its own."""
    sorts = [(kind, course) for _ in range(each) for kind in KINDS for course in COURSES]
    those = [(seed * 1_000 + number, *sort, rules) for number, sort in enumerate(sorts)]
    with all_cores() as processes:
        return list(processes.map(outcome, *zip(*those, strict=True)))


def false_alarms(streams: int, seed: int, wander: tuple[float, float] | None, rules: Rules) -> int:
    """Return the drifts told in streams that do not drift."""
    with all_cores() as processes:
        numbers = range(seed * 1_000, seed * 1_000 + streams)
        return sum(processes.map(_told_without, numbers, [wander] * streams, [rules] * streams))


def _told_without(seed: int, wander: tuple[float, float] | None, rules: Rules) -> int:
    return len(watched(blocks(seed, STATIONARY, wander=wander), rules))


def most_allowed(evaluations: int, rules: Rules) -> int:
    """Return the upper end of the 95 % interval of false alarms if exactly the budget is used (Poisson)."""
    random = np.random.default_rng(0)
    return int(np.quantile(random.poisson(evaluations / rules.false_alarm_every, 200_000), 0.975))


def run(quick: bool, seed: int) -> Report:
    """Plant drifts, watch stationary streams."""
    rules = Rules()
    found = outcomes(QUICK_DRIFTS if quick else FULL_DRIFTS, seed, rules)
    streams = QUICK_STREAMS if quick else FULL_STREAMS
    false = {name: false_alarms(streams, seed, wander, rules) for name, wander in WANDERS.items()}
    evaluations = streams * STATIONARY
    figures: dict[str, Any] = {
        "drifts": len(found),
        "found": sum(one.delay is not None for one in found) / len(found),
        "named": sum(one.named for one in found) / len(found),
        "early": sum(one.early for one in found),
        "median_delay_events": median(_delays(found)),
        "stationary_evaluations": evaluations * len(WANDERS),
        "false_alarms": sum(false.values()),
        "false_alarms_allowed": most_allowed(evaluations * len(WANDERS), rules),
        **{f"false_alarms_{name.replace(' ', '_').replace(',', '')}": n for name, n in false.items()},
    }
    return Report("drift", METHOD, seed, quick, figures, BARS, [*_table(found)])


def _delays(found: Sequence[Outcome]) -> list[int]:
    return [one.delay for one in found if one.delay is not None] or [0]


def _table(found: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    for kind in KINDS:
        for course in COURSES:
            those = [one for one in found if (one.planted.kind, one.planted.course) == (kind, course)]
            delays = _delays(those)
            yield {
                "drift": kind,
                "course": course,
                "drifts": len(those),
                "within": int(median(one.within for one in those)),
                "found": sum(one.delay is not None for one in those) / len(those),
                "named": sum(one.named for one in those) / len(those),
                "median delay": int(median(delays)),
                "90 % delay": int(quantiles(delays, n=10)[-1]) if len(delays) > 1 else delays[0],
                "told again": sum(one.again for one in those),
            }
