"""`loadtest learn`: JSON events → updated rows, ours against the peers, on the same bytes in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from loadtest import ours, peers
from loadtest.isolation import isolated
from loadtest.report import Report
from loadtest.stream import LAYOUTS, Stream

Outcome = ours.Learned | peers.Outcome
ONE_CORE = (1,)
TWO_CORES = (0, 1)
METHOD = (
    "Each contestant learns the same generated events (13 numbers, 26 categories of up to 10 M values, "
    "Zipf 1.1) from a file in the page cache, in a fresh process pinned to its cores; timed from the "
    "first byte read to the last weight updated: reading, parsing and hashing included. Ours reads "
    "records of about 64 KiB of lines. FTRL alpha 0.1, beta 1, no l1, l2 (scikit-learn: SGD). Runs "
    "interleaved; ratios are of the best runs."
)
BARS = {
    "ratio_vw_json": "≥ 7",
    "two_core_ratio": "≥ 1.6",
    "same_bits": "= true",
    "logloss_minus_vw": "≤ 0.0001",
    "ratio_vw_shuffled": "≥ 3",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    events: int
    rounds: int
    river_events: int
    sklearn_events: int


FULL = Size(events=2_000_000, rounds=3, river_events=100_000, sklearn_events=200_000)
QUICK = Size(events=300_000, rounds=2, river_events=5_000, sklearn_events=20_000)


@dataclass(slots=True)
class Contestant:
    """One learner on one file, and its runs so far."""

    label: str
    cores: tuple[int, ...]
    rounds: int
    run: Callable[[], Outcome]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Events a second of the least disturbed run."""
        return max(self.speeds())

    def speeds(self) -> list[float]:
        """Return events a second of each run."""
        return [outcome.events_per_second for outcome in self.outcomes]

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the least disturbed run."""
        return min(outcome.cpu_seconds for outcome in self.outcomes)

    def row(self, peer: Contestant) -> dict[str, Any]:
        """Return the line of the table, compared with *peer*."""
        last = self.outcomes[-1]
        return {
            "learner": self.label,
            "cores": len(self.cores),
            "events": last.events,
            "events/s best": round(self.best),
            "events/s median": round(median(self.speeds())),
            "× VW --json": round(self.best / peer.best, 2),
            "CPU ns/event": round(self.cpu_seconds * 1e9 / last.events),
            "logloss": None if last.logloss is None else round(last.logloss, 5),
        }


def run(quick: bool, seed: int) -> Report:
    """Run all contestants, interleaved, and compare them."""
    size = QUICK if quick else FULL
    contestants = _contestants(Stream(size.events, seed=seed), size)
    for at in range(size.rounds):
        for contestant in contestants.values():
            if at < contestant.rounds:
                contestant.outcomes.append(isolated(contestant.cores, contestant.run))
    rows = [contestant.row(contestants["vw_json"]) for contestant in contestants.values()]
    return Report("learn", METHOD, seed, quick, _figures(contestants), BARS, rows)


def _contestants(stream: Stream, size: Size) -> dict[str, Contestant]:
    json, text, shuffled = (_warm(stream.as_layout(layout).path()) for layout in LAYOUTS)
    rounds, vw = size.rounds, peers.vowpal_wabbit
    learn = partial(ours.learn_file, expected_rows=ours.EXPECTED_ROWS_PER_EVENT * size.events)
    return {
        "ours": Contestant("ours", ONE_CORE, rounds, partial(learn, json, 0)),
        "vw_json": Contestant("VW --json", ONE_CORE, rounds, partial(vw, json, "--json")),
        "ours_two": Contestant("ours", TWO_CORES, rounds, partial(learn, json, 1)),
        "vw_text": Contestant("VW text", ONE_CORE, rounds, partial(vw, text, "")),
        "ours_shuffled": Contestant("ours, keys shuffled", ONE_CORE, rounds, partial(learn, shuffled, 0)),
        "vw_shuffled": Contestant("VW, keys shuffled", ONE_CORE, rounds, partial(vw, shuffled, "--json")),
        "ours_lines": Contestant(
            "ours, one event a record", ONE_CORE, rounds, partial(learn, json, 0, one_event_a_record=True)
        ),
        "ours_grown": Contestant(
            "ours, table grown from empty", ONE_CORE, 1, partial(learn, json, 0, expected_rows=0)
        ),
        "vw_two": Contestant("VW --json", TWO_CORES, 1, partial(vw, json, "--json")),
        "sklearn": Contestant(
            "scikit-learn", ONE_CORE, 1, partial(peers.scikit_learn, json, size.sklearn_events)
        ),
        "river": Contestant("River", ONE_CORE, 1, partial(peers.river, json, size.river_events)),
    }


def _figures(by_name: dict[str, Contestant]) -> dict[str, Any]:
    one, vw = by_name["ours"], by_name["vw_json"]
    logloss, logloss_vw = one.outcomes[0].logloss, vw.outcomes[0].logloss
    assert logloss is not None
    assert logloss_vw is not None
    return {
        "events_per_second": round(one.best),
        "events_per_second_two_cores": round(by_name["ours_two"].best),
        "ratio_vw_json": _ratio(one, vw),
        "ratio_vw_text": _ratio(one, by_name["vw_text"]),
        "ratio_vw_shuffled": _ratio(by_name["ours_shuffled"], by_name["vw_shuffled"]),
        "cpu_ratio_vw_json": round(vw.cpu_seconds / one.cpu_seconds, 3),
        "two_core_ratio": _ratio(by_name["ours_two"], one),
        "same_bits": _same_bits([*one.outcomes, *by_name["ours_two"].outcomes]),
        "logloss": round(logloss, 6),
        "logloss_vw": round(logloss_vw, 6),
        "logloss_minus_vw": round(logloss - logloss_vw, 6),
    }


def _ratio(one: Contestant, other: Contestant) -> float:
    return round(one.best / other.best, 3)


def _same_bits(outcomes: Sequence[Outcome]) -> bool:
    """Say whether every run, whatever its threads and records, ended with the same table and state."""
    return len({outcome.digest for outcome in outcomes if isinstance(outcome, ours.Learned)}) == 1


def _warm(path: Path) -> Path:
    """Bring the file into the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(2**22):
            pass
    return path
