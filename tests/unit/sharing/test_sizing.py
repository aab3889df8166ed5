import pytest

from stream_ml.sharing.sizing import BatchSize


@pytest.fixture
def size() -> BatchSize:
    return BatchSize(least=100, most=1_000, call_seconds=0.5)


def test_full_batches_that_take_little_become_larger_up_to_the_most(size: BatchSize) -> None:
    seen = [size.records]
    for _ in range(5):
        size.took(size.records, 0.2)
        seen.append(size.records)
    assert seen == [100, 200, 400, 800, 1_000, 1_000]


def test_a_batch_of_all_that_waited_says_nothing_of_larger_ones(size: BatchSize) -> None:
    size.took(99, 0.001)
    assert size.records == 100


def test_batches_stay_where_twice_as_many_records_would_take_too_long(size: BatchSize) -> None:
    size.took(100, 0.3)
    assert size.records == 100


def test_batches_whose_calls_take_too_long_become_smaller_down_to_the_least(size: BatchSize) -> None:
    for _ in range(3):
        size.took(size.records, 0.1)
    size.took(800, 0.6)
    assert size.records == 400
    # Another, that was in flight meanwhile, does not count twice.
    size.took(800, 0.6)
    assert size.records == 400
    for _ in range(3):
        size.took(size.records, 0.6)
    assert size.records == 100


def test_after_a_failure_batches_begin_small(size: BatchSize) -> None:
    size.took(100, 0.1)
    size.failed()
    assert size.records == 100
