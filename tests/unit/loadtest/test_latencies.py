import pytest

from loadtest import latencies


def test_percentiles_are_those_of_the_latencies() -> None:
    encoded = latencies.encode([number / 1000 for number in range(1, 1001)])
    assert latencies.percentile_ms(encoded, 50) == pytest.approx(500, rel=0.01)
    assert latencies.percentile_ms(encoded, 99) == pytest.approx(990, rel=0.01)
    assert latencies.percentile_ms(encoded, 100) == pytest.approx(1000, rel=0.01)


def test_a_latency_beyond_the_histogram_counts_as_its_largest() -> None:
    assert latencies.percentile_ms(latencies.encode([1e6]), 100) == pytest.approx(60_000, rel=0.01)
