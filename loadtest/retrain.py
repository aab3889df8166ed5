"""`loadtest retrain`: challengers over one scan, against single runs of ours and of Vowpal Wabbit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from loadtest import retrain_contestants as contestants
from loadtest.isolation import isolated
from loadtest.report import Report
from loadtest.retrain_contestants import Ran, Settings
from loadtest.stream import Stream

# Of what a retrain job asks for: learning rate and regularisation around the champion's.
ALPHAS, L1S, L2S = (0.1, 0.05, 0.2, 0.03), (0.0, 0.5), (0.0, 1.0)
GRID = tuple(Settings(alpha, 1.0, l1, l2) for l1, l2, alpha in product(L1S, L2S, ALPHAS))
CORES = (0, 1)
METHOD = (
    "16 settings of FTRL (alpha × l1 × l2) learn the same generated events (13 numbers, 26 categories of up "
    "to 10 M values, Zipf 1.1) on two cores. At once: one process, one scan. Single runs: a process for each "
    "setting, one thread, pinned to its core, two at a time; ours from the same JSON (a second pair: "
    "kept scans), Vowpal Wabbit from its binary cache, made before. Timed from the first byte read (page "
    "cache) to the last weight updated, without imports and starts of processes; of single runs the seconds "
    "of the busier core, summed, count. Runs interleaved; ratios are of the best rounds."
)
BARS = {
    "ratio_singles": "≥ 3",
    "ratio_vw_cache": "≥ 8",
    "same_bits": "= true",
    "logloss_difference": "= 0",
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    events: int
    rounds: int


FULL = Size(events=1_000_000, rounds=2)
QUICK = Size(events=100_000, rounds=1)


def run(quick: bool, seed: int) -> Report:
    """Run challengers and single runs, interleaved, and compare them."""
    size = QUICK if quick else FULL
    stream = Stream(size.events, seed=seed)
    json, text = _warm(stream.path()), stream.as_layout("text").path()
    kept = contestants.kept_scans(json)
    contestants.make_vw_cache(text)
    rounds = [_round(json, kept, text, size.events) for _ in range(size.rounds)]
    return Report("retrain", METHOD, seed, quick, _figures(rounds), BARS, _rows(rounds))


@dataclass(frozen=True, slots=True)
class Round:
    """What everyone did once: seconds of all 16 settings, and what the runs say of themselves."""

    seconds: dict[str, float]
    many: Ran
    single: tuple[Ran, ...]
    events: int


def _round(json: Path, kept: Path, text: Path, events: int) -> Round:
    many = isolated(CORES, contestants.challengers, json, GRID, len(CORES), False)
    many_kept = isolated(CORES, contestants.challengers, kept, GRID, len(CORES), True)
    one_core = isolated(CORES[:1], contestants.challengers, json, GRID, 1, False)
    single = _two_at_a_time(contestants.single, json, False)
    single_kept = _two_at_a_time(contestants.single, kept, True)
    vw = _two_at_a_time(contestants.vw_run, text)
    if len({ran.digest for ran in (many, many_kept, one_core)}) > 1:
        raise RuntimeError("challengers differ by threads or by where their scans come from")
    seconds = {
        "many": many.seconds,
        "many_kept": many_kept.seconds,
        "many_one_core": one_core.seconds,
        "single": _busier(single),
        "single_kept": _busier(single_kept),
        "vw_cache": _busier(vw),
    }
    return Round(seconds, many, tuple(single), events)


def _two_at_a_time(run: Callable[..., Ran], path: Path, *more: bool) -> list[Ran]:
    """Run every setting in a process of its own; each core has its share, one after the other."""

    def share(core: int) -> list[Ran]:
        return [isolated((core,), run, path, settings, *more) for settings in GRID[core :: len(CORES)]]

    with ThreadPoolExecutor(len(CORES)) as pool:
        shares = list(pool.map(share, CORES))
    return [ran for pair in zip(*shares, strict=True) for ran in pair]


def _busier(runs: Sequence[Ran]) -> float:
    return max(sum(ran.seconds for ran in runs[core :: len(CORES)]) for core in CORES)


def _figures(rounds: Sequence[Round]) -> dict[str, Any]:
    best = {name: min(one.seconds[name] for one in rounds) for name in rounds[0].seconds}
    last = rounds[-1]
    own = [ran.losses[0] for ran in last.single]
    return {
        "events": last.events,
        "challengers": len(GRID),
        "ratio_singles": round(best["single"] / best["many"], 3),
        "ratio_vw_cache": round(best["vw_cache"] / best["many"], 3),
        "ratio_singles_kept": round(best["single_kept"] / best["many_kept"], 3),
        "two_core_ratio": round(best["many_one_core"] / best["many"], 3),
        "events_per_second": round(last.events / best["many"]),
        "events_per_second_kept": round(last.events / best["many_kept"]),
        "challenger_events_per_second": round(len(GRID) * last.events / best["many"]),
        "same_bits": [ran.digests[0] for ran in last.single] == list(last.many.digests),
        "logloss_difference": max(abs(a - b) for a, b in zip(own, last.many.losses, strict=True)),
        "rows_bytes_per_feature": last.many.bytes_per_feature,
    }


def _rows(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    words = {
        "many": "16 challengers at once, JSON, two cores",
        "many_kept": "16 challengers at once, kept scans, two cores",
        "many_one_core": "16 challengers at once, JSON, one core",
        "single": "ours, 16 single runs, JSON, two at a time",
        "single_kept": "ours, 16 single runs, kept scans, two at a time",
        "vw_cache": "VW, 16 single runs, binary cache, two at a time",
    }
    events = rounds[0].events
    rows = []
    for name, label in words.items():
        seconds = [one.seconds[name] for one in rounds]
        rows.append(
            {
                "runs": label,
                "seconds best": round(min(seconds), 3),
                "seconds median": round(median(seconds), 3),
                "events/s of all 16": round(events / min(seconds)),
                "ns an event and challenger": round(min(seconds) * 1e9 / events / len(GRID), 1),
            }
        )
    return rows


def _warm(path: Path) -> Path:
    """Bring the file into the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(2**22):
            pass
    return path
