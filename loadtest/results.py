"""Results files under docs/results, and the README's tables made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from loadtest.report import bar_of, shown

FOLDER = Path(__file__).parents[1] / "docs" / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
# How those are called that are no command of their own.
COMMANDS = {"learn-redis": "learn --weights redis", "retrain-cuda": "retrain --device cuda"}
# In the order of an event's way; the figures of each as a reader wants them said.
SHOWN: Mapping[str, Mapping[str, str]] = {
    "learn": {
        "events_per_second": "JSON events of 39 fields → updated rows, one core, events/s",
        "events_per_second_two_cores": "the same, two cores, events/s",
        "ratio_vw_json": "one core, times Vowpal Wabbit `--json`",
        "ratio_vw_text": "one core, times Vowpal Wabbit's own text format",
        "ratio_vw_shuffled": "keys of every event shuffled, times Vowpal Wabbit `--json` on the same bytes",
        "two_core_ratio": "two cores, times our one core",
        "same_bits": "table and state of the two-core run equal the one-core run's",
        "logloss": "progressive logloss",
        "logloss_vw": "progressive logloss of Vowpal Wabbit `-b 24`",
        "logloss_minus_vw": "difference of the two",
    },
    "learn-redis": {
        "events_per_second": "backlog → rows in Redis, one learner and one Redis on a core each, events/s",
        "ratio_naive": "times one HMGET and one HSET an event",
        "batch_events": "events a batch",
        "pull_us": "of it pull, µs an event; two batches in flight wait for each other",
        "learn_us": "learn, µs an event",
        "push_us": "push, µs an event",
        "freshness_p50_ms": "event appended → its rows updated, caught up at 5,000 events/s, median, ms",
        "freshness_p99_ms": "the same, 99th percentile, ms",
        "table_rows": "rows in Redis, of a second model",
        "bytes_per_row": "memory of Redis, bytes a row",
        "events_per_second_many_rows": "backlog → rows among so many, events/s",
        "rate_ratio_beside_a_snapshot": "the same while a snapshot of all is taken, times that without",
        "snapshot_seconds": "which takes, s",
    },
    "ingest": {
        "events_per_second": "backlog in Kafka → learned, one event a record, events/s",
        "events_per_second_packed": "the same, 50 events a record, events/s",
        "ratio_limit": "times the smaller of `consume()` alone and the learner alone (the worse of both)",
    },
    "poison": {
        "events_per_second_clean": "backlog in Kafka → learned, nothing broken, events/s",
        "events_per_second_poisoned": "the same with one event in a hundred broken, in nine ways, events/s",
        "throughput_loss": "throughput lost by it",
    },
    "freshness": {
        "events_per_second": "load during the run, events/s",
        "p50_ms": "event produced → first score that reflects it, median, ms",
        "p99_ms": "the same, 99th percentile, ms",
        "snapshots": "snapshots taken during the run",
        "feed_rows_per_second": "rows a second in the feed",
    },
    "serve": {
        "calls_per_second": "scores over Thrift, one server core, 8 connections, calls/s",
        "calls_per_second_pipelined": "the same, 16 calls pipelined, calls/s",
        "ratio_thriftpy2": "times a thriftpy2 server that returns a constant",
        "ratio_thriftpy2_pipelined": "the same, 16 calls pipelined",
        "knee_calls_per_second": "knee: highest rate with p99 ≤ 10 ms, calls/s",
        "p99_ms": "p99 at a third of the knee, ms",
        "p99_ms_while_learning": "the same while the core applies the feed, ms",
        "p99_ratio_while_learning": "ratio of the two",
        "feed_rows_per_second": "rows applied a second meanwhile",
    },
    "reload": {
        "table_rows": "rows of a model that is loaded aside and swapped in under load",
        "seconds_a_reload": "a reload takes, s",
        "p99_ms": "p99 of one client, 5,000 calls/s, without a reload, ms",
        "p99_ms_while_reloading": "the same while the model is loaded again and again, ms",
        "p99_ratio_while_reloading": "ratio of the two",
    },
    "scenarios": {
        "knee_calls_per_second": "knee: highest rate with p99 ≤ 10 ms while it learns, one core, calls/s",
        "knee_scores_per_second": "the same, 50 events a call, scores/s",
        "knee_is_the_servers": "the knee is the server's, not the generators'",
        "held_calls_per_second": "held in the longer runs, too, calls/s",
        "held_scores_per_second": "the same, scores/s",
        "p99_ms_at_half": "p99 at half the knee, ms",
        "p99_ms_at_ninety": "p99 at 90 % of it, ms",
        "shed_calls_below_the_knee": "calls turned away at 90 % or less, whatever happens",
        "burst_recovered_seconds": "ten times the calls and events, to beyond the knee: recovered after, s",
        "reload_p99_ms": "p99 at half the knee while a changed model is begun and swapped in, ms",
        "slow_consumer_p99_ms": "the same while the learner is held back, ms",
        "slow_consumer_backlog_events": "events that waited by then",
        "slow_consumer_grown_mib": "growth of the learner's memory, MiB",
        "slow_consumer_caught_up_seconds": "caught up after, s",
        "rebalance_p99_ms": "p99 at a quarter of it while a second learner joins and leaves (Redis), ms",
        "rebalance_standstill_seconds": "longest time without an event learned meanwhile, s",
        "runs": "runs",
        "void_runs": "of them void: the generators were late, or others had the server's core",
    },
    "endurance": {
        "minutes": "minutes of work under load",
        "calls": "calls",
        "shed_calls": "of them turned away",
        "not_flat": "memory, descriptors, threads of learner, predictor, drift monitor that grew or may have",
        "leaks_found_in_the_control": "of the same three, found in a predictor that leaks",
    },
    "attack": {
        "p99_ms_alone": "p99 of one good client, 5,000 calls/s, ms",
        "p99_ms_attacked": "the same beside 200 clients that are slow or mean harm, ms",
        "p99_ratio_attacked": "ratio of neighbouring periods",
        "failed_calls": "its calls that failed",
        "memory_growth_mib": "growth of the predictor's memory meanwhile, MiB",
        "p99_ms_beside_a_flood": "p99 beside one client that sends 1,000 calls at once, again and again, ms",
    },
    "memory": {
        "rows": "live rows",
        "bytes_per_row": "memory of a table grown from empty, slack included, bytes a live row",
        "bytes_per_row_presized": "the same, presized",
        "max_stall_ms": "longest call of 64 events while the table grows, processor time, ms",
        "speed_ratio_many_rows": "events/s at 200 M live rows, times those at 1 M",
    },
    "retrain": {
        "challenger_events_per_second": "16 challengers over one scan of JSON, two cores, events/s × 16",
        "ratio_singles": "times 16 single runs of ours, two at a time",
        "ratio_singles_kept": "the same, all from kept scans",
        "ratio_vw_cache": "times 16 runs of Vowpal Wabbit from its binary cache, two at a time",
        "two_core_ratio": "two cores, times one",
        "same_bits": "rows of every challenger equal those of its single run",
    },
    "retrain-cuda": {
        "device": "GPU",
        "challenger_events_per_second": "32 challengers over one scan of JSON, events/s × 32",
        "gpu_challenger_events_per_second": "the GPU's part alone, events/s × 32",
        "bandwidth_share": "of the device's memory bandwidth",
        "ratio_cpu": "times the same on two cores",
        "logloss_difference": "largest difference of logloss to the CPU, as a share",
    },
    "sparing": {
        "fewest_rows_ratio": "rows with admission and expiry, times those without",
        "its_loss_more": "progressive log loss more than without",
        "slowest_speed_ratio": "events/s with the most costly of the settings, times those without",
    },
    "replay": {
        "events_per_second": "replay of events in Kafka, 50 a record → rows of a past step, events/s",
        "events_per_second_filling": "the same, and what the scan gives is kept, events/s",
        "events_per_second_cached": "the same from the kept scans, events/s",
        "ratio_cached": "times the replay without them, which scans on a second core",
        "cpu_ratio_cached": "processor time of all threads, times that without them",
        "same_bits": "rows and state are equal, either way",
        "cache_bytes_per_event": "bytes of the cache an event of 39 fields",
    },
    "recover": {
        "rows": "rows of the model",
        "seconds_to_first_score": "start of a predictor → its first score, seconds",
        "seconds_to_same_step": "start of a killed learner → back at its step, seconds",
        "same_bits": "its rows and state equal those of a learner that never stopped",
        "replayed_events": "events learned again from the journal meanwhile",
        "replayed_events_per_second": "the same, a second",
    },
    "console": {
        "drawn_seconds_median": "the console's page opened → all its figures drawn, beside a demo, median, s",
        "drawn_seconds_worst": "the same, the worst, s",
        "loads": "times that it was opened, by a browser without a cache",
        "complaints": "what the browser said on its console",
    },
}


def readme_tables(folder: Path = FOLDER) -> str:
    """Return the tables of all results files that there are."""
    results = [
        orjson.loads((folder / f"{name}.json").read_bytes()) for name in SHOWN if _exists(folder, name)
    ]
    return "\n".join("\n".join(_section(result)) for result in results)


def with_tables(page: str, tables: str, begin: str = BEGIN, end: str = END) -> str:
    """
    Return the page (the README) with what stands between the markers replaced.

    Raises:
        ValueError: a marker is missing.
    """
    before, found, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page needs the lines {begin} and {end}, in this order")
    return f"{before}{begin}\n{tables}{end}{after}"


def refresh_readme() -> None:
    """Write the tables into the README."""
    README.write_text(with_tables(README.read_text(), readme_tables()))


def _exists(folder: Path, name: str) -> bool:
    return (folder / f"{name}.json").exists()


def _section(result: Mapping[str, Any]) -> Iterable[str]:
    name = result["name"]
    title = f"**`loadtest {COMMANDS.get(name, name)}`**"
    yield f"\n{title} · {result['machine']} · commit {result['commit']} · seed {result['seed']}"
    yield ""
    yield from table(
        ["measured", "figure", "bar"],
        [
            [words, shown(result[figure]), bar_of(result, figure)]
            for figure, words in SHOWN[name].items()
            if figure in result
        ],
    )
    if name == "learn":
        yield ""
        yield from rows_table(result)
    yield ""


def rows_table(result: Mapping[str, Any]) -> Iterable[str]:
    """Yield the lines of the table of all that was run."""
    rows = result["rows"]
    yield from table(list(rows[0]), [list(map(shown, row.values())) for row in rows])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
