"""`loadtest attack`: what a good client notices of two hundred that are slow or mean harm."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from loadtest.attackers import Attack, attack, habits
from loadtest.calls import Load, closed_loop, open_loop
from loadtest.isolation import isolated
from loadtest.proc import MEBIBYTE, resident_bytes
from loadtest.report import Report
from loadtest.stack import Service
from loadtest.taught import OTHER_CORE, taught
from tests.servers.processes import wait_until

CALLS_PER_SECOND = 5_000.0
CALLED_EVENTS = 5_000
FLOOD_PIPELINED = 1_000
OPEN = "stream_ml_predictor_connections"
# The attackers are there before the good client starts, and stay until it is through.
BEFORE_AND_AFTER_SECONDS = 4.0
METHOD = (
    "The predictor service on one core, with a learned model; on the other the good client (its own "
    "process, preferred by the scheduler: events of 39 fields, one a call, one connection, 5,000 calls/s at "
    "Poisson times, latency from the intended time) and one process with 200 others: 100 trickle a call, a "
    "byte every 20 ms; 40 send 100 kB of an 8 MiB frame, then nothing; 40 send 4 kB of calls every 100 ms "
    "and never read an answer; 20 send a bomb every 2 s (lengths, counts, nesting, 1,000 broken events, "
    "another protocol), hang up and come back. Who is cut off comes back. Alone and beside them in turn; "
    "medians of the periods' p99, and of the ratios of neighbours. Memory: the predictor's highest, less "
    "that before the first attack. Flood: beside one client that sends 1,000 calls at once on one "
    "connection, again and again as soon as they are answered."
)
BARS = {"p99_ratio_attacked": "≤ 2", "memory_growth_mib": "≤ 64", "failed_calls": "= 0"}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    learned_events: int
    rounds: int
    seconds: float


FULL = Size(200_000, rounds=5, seconds=6.0)
QUICK = Size(20_000, rounds=2, seconds=3.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """The predictor, and what its clients do."""

    predictor: Service
    port: int
    frames: list[bytes]
    seconds: float
    seed: int

    def alone(self) -> Load:
        """Return what the good client saw."""
        arguments = (self.port, self.frames, 1, CALLS_PER_SECOND, self.seconds, self.seed)
        return isolated(OTHER_CORE, open_loop, *arguments)

    def attacked(self) -> tuple[Load, Attack]:
        """Return what it saw beside the others, and what those did."""
        others = habits(self.frames[0])
        clients = sum(habit.clients for habit in others)
        arguments = (self.port, others, self._long_enough(), self.seed)
        return self._beside(lambda: isolated(OTHER_CORE, attack, *arguments), clients)

    def flooded(self) -> tuple[Load, Load]:
        """Return what it saw beside one that keeps many calls in flight, and what that one saw."""
        arguments = (self.port, self.frames, 1, FLOOD_PIPELINED, self._long_enough())
        return self._beside(lambda: isolated(OTHER_CORE, closed_loop, *arguments), 1)

    def _beside(self, others: Callable[[], Result], clients: int) -> tuple[Load, Result]:
        open_before = self.predictor.metric(OPEN)
        with ThreadPoolExecutor(1) as pool:
            meanwhile = pool.submit(others)
            wait_until(lambda: meanwhile.done() or self.predictor.metric(OPEN) >= open_before + 0.9 * clients)
            load = self.alone()
            if meanwhile.done():
                meanwhile.result()
                raise RuntimeError("the others were through before the good client was")
            return load, meanwhile.result()

    def _long_enough(self) -> float:
        return 1.2 * self.seconds + BEFORE_AND_AFTER_SECONDS


def run(quick: bool, seed: int) -> Report:
    """Teach a model, serve it, attack who serves it."""
    size = QUICK if quick else FULL
    with taught(size.learned_events, CALLED_EVENTS, seed) as ours:
        scene = Scene(ours.predictor, ours.port, ours.frames, size.seconds, seed)
        scene.alone()
        memory = Memory(ours.predictor.process.pid)
        rounds = [(scene.alone(), *scene.attacked()) for _ in range(size.rounds)]
        growth = memory.growth_mib()
        flooded, flood = scene.flooded()
    rows = [
        row
        for alone, attacked, attackers in rounds
        for row in (_row("alone", alone), _row("attacked", attacked, attackers))
    ]
    figures = _figures(rounds) | {
        "memory_growth_mib": round(growth, 1),
        "p99_ms_beside_a_flood": round(flooded.percentile_ms(99), 3),
        "flood_calls_per_second": round(flood.calls_per_second),
    }
    return Report("attack", METHOD, seed, quick, figures, BARS, [*rows, _row("flooded", flooded)])


class Memory:
    """The most memory that a process holds, from when this is made."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._before = resident_bytes(process)
        Path(f"/proc/{process}/clear_refs").write_text("5")  # the highest begins anew

    def growth_mib(self) -> float:
        """Return the highest so far, less that at the beginning."""
        return (resident_bytes(self._process, "VmHWM") - self._before) / MEBIBYTE


def _figures(rounds: list[tuple[Load, Load, Attack]]) -> dict[str, Any]:
    p99s = [(alone.percentile_ms(99), attacked.percentile_ms(99)) for alone, attacked, _ in rounds]
    return {
        "p99_ms_alone": round(median(alone for alone, _ in p99s), 3),
        "p99_ms_attacked": round(median(attacked for _, attacked in p99s), 3),
        # Other work on the machine comes and goes: it is in both of a pair, or in neither.
        "p99_ratio_attacked": round(median(attacked / alone for alone, attacked in p99s), 3),
        "failed_calls": sum(alone.shed + attacked.shed for alone, attacked, _ in rounds),
        "calls": sum(alone.calls + attacked.calls for alone, attacked, _ in rounds),
        "attacking_connections": sum(attackers.connections for _, _, attackers in rounds),
        "cut_off": sum(attackers.cut_off for _, _, attackers in rounds),
    }


def _row(name: str, load: Load, attackers: Attack | None = None) -> dict[str, Any]:
    return {
        "good client": name,
        "calls": load.calls,
        "p50 ms": round(load.percentile_ms(50), 3),
        "p99 ms": round(load.percentile_ms(99), 3),
        "max ms": round(load.percentile_ms(100), 3),
        "its process busy": round(load.busy, 2),
        "attackers busy": round(attackers.busy, 2) if attackers else 0.0,
        "their pieces": attackers.pieces if attackers else 0,
    }
