"""Every load test, for moments: it runs on real servers and prints the figures that scripts read."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from loadtest import (
    attack,
    console,
    freshness,
    generating,
    ingest,
    learn,
    learn_redis,
    memory,
    recover,
    reload,
    replay,
    retrain,
    scenarios,
    scene,
    serve,
    snapshots,
    sparing,
)
from loadtest.__main__ import main
from tests.servers.kafka import require_kafka
from tests.servers.redis import require_redis


def measured(module: ModuleType, *options: str) -> dict[str, Any]:
    name = module.__name__.removeprefix("loadtest.").replace("_", "-")
    command = [name.split("-")[0], *options, "--json", "--quick", "--seed", "3"]
    outcome = CliRunner().invoke(main, command, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    result: dict[str, Any] = orjson.loads(outcome.stdout)
    assert (result["name"], result["seed"], result["quick"]) == (name, 3, True)
    assert result["bars"].keys() <= result.keys()
    return result


def test_learn_compares_every_contestant_on_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    size = learn.Size(events=3_000, rounds=1, river_events=200, sklearn_events=1_000)
    monkeypatch.setattr(learn, "QUICK", size)
    result = measured(learn)
    assert result["same_bits"] is True
    assert result["logloss"] == pytest.approx(result["logloss_vw"], abs=0.02)
    for figure in ("events_per_second", "ratio_vw_json", "ratio_vw_text", "two_core_ratio"):
        assert result[figure] > 0
    assert [row["events"] for row in result["rows"]] == [3_000] * 9 + [1_000, 200]


def test_retrain_compares_challengers_with_single_runs_of_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrain, "GRID", retrain.GRID[::5])
    monkeypatch.setattr(retrain, "QUICK", retrain.Size(events=25_000, rounds=1))
    result = measured(retrain)
    assert (result["same_bits"], result["logloss_difference"]) == (True, 0)
    for figure in ("ratio_singles", "ratio_singles_kept", "ratio_vw_cache", "two_core_ratio"):
        assert result[figure] > 0
    assert len(result["rows"]) == 6


def test_learn_with_weights_in_redis_is_compared_with_a_call_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_redis()
    size = learn_redis.Size(20_000, 1, naive_events=200, paced_seconds=0.5, rows=50_000, seconds=1.0, turns=1)
    monkeypatch.setattr(learn_redis, "QUICK", size)
    result = measured(learn_redis, "--weights", "redis")
    assert result["ratio_naive"] == pytest.approx(
        result["events_per_second"] / result["events_per_second_naive"], rel=0.01
    )
    assert [row["events"] for row in result["rows"]] == [20_000]
    assert 16 < result["bytes_per_row"] < 200
    assert 0 < result["freshness_p50_ms"] <= result["freshness_p99_ms"]
    assert result["rate_ratio_beside_a_snapshot"] > 0
    assert min(result[stage] for stage in ("pull_us", "learn_us", "push_us", "redis_cpu_us")) > 0


def test_ingest_learns_the_whole_backlog_from_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    monkeypatch.setattr(ingest, "QUICK_EVENTS", 60_000)
    result = measured(ingest)
    assert result["events_per_second"] > 0
    assert 0 < result["ratio_limit"] == min(result["ratio_single"], result["ratio_packed"])


def test_freshness_sees_every_probe_in_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    size = freshness.Size(
        seconds=4.0, warm_up_seconds=1.0, snapshot_interval_seconds=1.0, distinct_events=5_000
    )
    monkeypatch.setattr(freshness, "QUICK", size)
    monkeypatch.setattr(freshness, "EVENTS_PER_SECOND", 5_000)
    result = measured(freshness)
    assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["max_ms"]
    assert result["events_per_second"] > 0
    assert result["snapshots"] >= 1
    assert result["feed_rows_per_second"] > 0


def test_serve_answers_while_the_feed_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    size = serve.Size(
        5_000, rounds=1, closed_seconds=0.3, knee_seconds=0.3, knee_steps=3, latency_seconds=0.5
    )
    monkeypatch.setattr(serve, "QUICK", size)
    result = measured(serve)
    assert result["calls_per_second"] > 0
    assert result["ratio_thriftpy2"] > 0
    assert result["ratio_thriftpy2_pipelined"] > 0
    assert result["feed_rows_per_second"] > 0
    assert result["p99_ms"] > 0
    assert result["p99_ratio_while_learning"] == pytest.approx(
        result["p99_ms_while_learning"] / result["p99_ms"], abs=0.01
    )


def test_scenarios_go_around_the_knee_and_say_what_is_void(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    require_kafka()
    # On a machine that is busy with other tests no rate is good, and every run is void.
    monkeypatch.setattr(scenarios, "KNEE_P99_MS", 1e5)
    monkeypatch.setattr(scenarios, "HIGHEST_RATE", 400.0)
    monkeypatch.setattr(scenarios, "FIRST_RATE", 100.0)
    monkeypatch.setattr(generating, "LATE_MS", 1e5)
    monkeypatch.setattr(generating, "MOST_OF_NEIGHBOURS", 1e5)
    if not request.config.getoption("--full-counts"):
        monkeypatch.setattr(scene, "BEGINNING_SECONDS", 0.2)
        monkeypatch.setattr(scene, "SETTLING_SECONDS", 0.2)
        small = replace(scenarios.QUICK, distinct_events=2_000, slow_seconds=0.5, reloads=0, shared=False)
        monkeypatch.setattr(scenarios, "QUICK", small)
    result = measured(scenarios)
    assert [row["% of the knee"] for row in result["rows"]][:6] == [50, 100, 15, 150, 15, 50]
    assert [row["calls/s"] for row in result["rows"]][:2] == [
        round(share * result["knee_calls_per_second"]) for share in (0.5, 1.0)
    ]
    assert (result["runs"], result["void_runs"]) == (len(result["rows"]), 0)
    assert all(row["calls"] > 0 for row in result["rows"])
    assert result["slow_consumer_backlog_events"] > 0


def test_attack_answers_the_good_client_and_cuts_others_off(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    monkeypatch.setattr(attack, "QUICK", attack.Size(5_000, rounds=1, seconds=1.0))
    result = measured(attack)
    assert result["failed_calls"] == 0
    assert result["calls"] == 2 * 1.2 * attack.CALLS_PER_SECOND
    assert result["attacking_connections"] >= 200
    assert result["cut_off"] > 0
    assert result["memory_growth_mib"] >= 0
    assert result["p99_ratio_attacked"] == pytest.approx(
        result["p99_ms_attacked"] / result["p99_ms_alone"], abs=0.02
    )
    assert result["flood_calls_per_second"] > attack.CALLS_PER_SECOND


def test_snapshots_are_taken_while_batches_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "QUICK_ROWS", 50_000)
    monkeypatch.setattr(snapshots, "QUICK_SECONDS", 0.3)
    result = measured(snapshots)
    assert result["snapshots"] > 0
    assert result["gap_ms_p999_with"] > 0
    assert result["table_rows"] > 50_000


def test_reload_answers_every_call_while_the_model_is_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "QUICK_ROWS", 20_000)
    result = measured(reload)
    assert result["reloads"] >= reload.QUICK_RELOADS
    assert result["calls"] > 0
    assert result["p99_ms_while_reloading"] > 0


def test_memory_grows_the_table_to_the_rows_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    size = memory.Size(rows=64_000, window=1_000, many_rows=100_000, stream_events=2_000)
    monkeypatch.setattr(memory, "QUICK", size)
    result = measured(memory)
    assert result["rows"] == 64_000
    assert [case["rows"] for case in result["cases"]] == [64_000] * 3
    assert 16 < result["bytes_per_row_presized"] <= result["bytes_per_row"]
    assert result["max_stall_ms"] == max(case["longest call ms"] for case in result["cases"][:2])
    assert result["speed_ratio_many_rows"] > 0


def test_recover_brings_back_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    size = recover.Size(rows=100 * recover.ROWS_PER_RECORD, replayed_rows=50 * recover.ROWS_PER_RECORD)
    monkeypatch.setattr(recover, "QUICK", size)
    result = measured(recover)
    assert result["rows"] == 32_000
    assert result["same_bits"] is True
    assert result["replayed_events"] == 50 * 64
    for figure in ("seconds_to_first_score", "seconds_to_same_step", "replayed_events_per_second"):
        assert result[figure] > 0


def test_sparing_has_fewer_rows_with_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "QUICK_EVENTS", 5_000)
    monkeypatch.setattr(sparing, "QUICK_ROUNDS", 1)
    result = measured(sparing)
    without, *others = result["rows"]
    assert all(case["rows"] < without["rows"] for case in others)
    assert 0 < result["fewest_rows_ratio"] < 1
    assert result["slowest_speed_ratio"] == min(case["× without"] for case in others)
    assert without["× without"] == 1


def test_replay_has_the_same_bits_with_and_without_kept_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    require_kafka()
    monkeypatch.setattr(replay, "QUICK_EVENTS", 10_000)
    monkeypatch.setattr(replay, "QUICK_ROUNDS", 1)
    result = measured(replay)
    assert result["same_bits"] is True
    assert result["ratio_cached"] > 0
    assert result["cpu_ratio_cached"] > 0
    assert result["cache_bytes_per_event"] > 39 * 12
    assert [case["replay"] for case in result["rows"]] == ["filling the cache", "without", "cached"]


def test_console_is_drawn_and_complains_of_nothing() -> None:
    result = measured(console)
    assert (result["loads"], result["complaints"]) == (console.QUICK_LOADS, 0)
    assert 0 < result["drawn_seconds_median"] <= result["drawn_seconds_worst"]
