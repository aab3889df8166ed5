from __future__ import annotations

from collections.abc import Collection, Generator, Iterable

import orjson
import pytest

from services.drift_monitor.following import Following, Record, place_of
from services.drift_monitor.monitors import Monitors
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.alarms import Stream as Whose
from stream_ml.drift.monitor import Rules
from stream_ml.errors import InvalidRecord, RecoverableError
from stream_ml.runtime import metrics
from tests.evaluations import Stream, flipped, said

RULES = Rules(false_alarm_every=100, cooldown=20)
CLOSED = [*Stream(4, segments=1).evaluations(90, flipped, 50)]


def record(index: int, stream: str = "v1/") -> Record:
    """An evaluation as the learner would send it, however far the variant is."""
    closed = said(CLOSED[index % len(CLOSED)])
    closed |= {"index": index, "learned_from": index * 1_000, "learned_to": (index + 1) * 1_000}
    return f"{stream}/{index}".encode(), orjson.dumps(closed)


class Followed:
    """A topic that is followed; *topic* is what it holds when it is read again, *over* whose time is over."""

    def __init__(self, states: dict[str, bytes] | None = None) -> None:
        self.topic: list[Record] = []
        self.told: list[Alarm] = []
        self.states = {} if states is None else states
        self.over: set[str] = set()
        self.monitors = Monitors(RULES, self.states, self._over, lambda: len(self.topic))
        self.following = Following("m", self.monitors, self._tell, self._again)

    def _over(self, variants: Collection[str]) -> Collection[str]:
        return self.over & {*variants}

    def _tell(self, _stream: Whose, alarms: list[Alarm]) -> None:
        self.told += alarms

    def _again(self) -> Generator[Record, None, None]:
        yield from self.topic

    def come(self, records: Iterable[Record]) -> None:
        """They are in the topic, and are brought one by one."""
        for each in records:
            self.topic.append(each)
            self.following.take(*each, len(self.topic) - 1)

    @property
    def due(self) -> int:
        """The index that comes next."""
        return self.monitors.evaluations()["v1"]


def counted(metric: object, begun: float = 0.0) -> float:
    return float(metric.labels("m")._value.get()) - begun  # type: ignore[attr-defined]


def test_a_record_under_a_streams_key_that_is_no_evaluation_is_counted_and_passed() -> None:
    refused, lost = counted(metrics.DRIFT_REFUSED), counted(metrics.DRIFT_LOST)
    followed = Followed()
    followed.come([*map(record, range(5)), (b"v1//5", b"garbage"), (b"v1//6", None)])
    assert followed.due == 5
    followed.come([record(7)])
    assert followed.due == 8
    assert counted(metrics.DRIFT_REFUSED, refused) == 2
    assert counted(metrics.DRIFT_LOST, lost) == 2


def test_after_it_drifts_are_told_as_before() -> None:
    followed, plain = Followed(), Followed()
    plain.come(map(record, range(90)))
    followed.come([*map(record, range(30)), (b"v1//30", b"{}"), *map(record, range(30, 90))])
    assert followed.told == plain.told != []


def test_what_was_left_out_is_read_again_in_its_order() -> None:
    plain, followed = Followed(), Followed()
    plain.come(map(record, range(90)))
    # In the topic they stand out of order and twice, among those of others.
    followed.topic = [record(each) for each in (70, *range(30, 90), *range(90))]
    followed.topic[3:3] = [(b"v10//1", b"garbage"), (None, b"x"), (b"v1//x", b"x")]
    followed.following.take(*record(89), len(followed.topic) - 1)
    assert followed.due == 90
    assert followed.told == plain.told != []


def test_an_evaluation_that_stands_alone_far_ahead_makes_nobody_deaf() -> None:
    plain, followed = Followed(), Followed()
    plain.come(map(record, range(90)))
    refused = counted(metrics.DRIFT_REFUSED)
    followed.come([*map(record, range(20)), record(10**9), *map(record, range(20, 40)), record(5_000)])
    followed.come(map(record, range(40, 90)))
    assert counted(metrics.DRIFT_REFUSED, refused) == 2
    assert followed.told == plain.told != []


def test_far_ahead_is_gone_on_with_where_the_topic_was_trimmed() -> None:
    lost = counted(metrics.DRIFT_LOST)
    followed = Followed()
    followed.come(map(record, range(20)))
    followed.topic.clear()
    followed.come([record(500)])
    assert followed.due == 20
    followed.come([record(501)])
    assert followed.due == 502
    assert counted(metrics.DRIFT_LOST, lost) == 480


def test_the_state_of_another_process_is_gone_on_with() -> None:
    whole = Followed()
    whole.come(map(record, range(90)))
    first = Followed()
    first.come(map(record, range(52)))
    second = Followed(first.states)
    second.come(map(record, range(48, 90)))
    assert first.told + second.told == whole.told


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"v1",
        b"v1//",
        b"/0/1",
        b"v1/x/1",
        b"v1/0/x",
        b"a/b/0/1",
        "v1/²/1".encode(),
        b"v1//" + b"9" * 99,
    ],
)
def test_a_key_of_no_evaluation_is_refused(key: bytes | None) -> None:
    with pytest.raises(InvalidRecord, match="variant/partition/index"):
        place_of("m", key)


def test_a_key_says_whose_and_which() -> None:
    assert place_of("m", b"v1//7") == (Whose("m", "v1"), 7)
    assert place_of("m", b"v1/3/7") == (Whose("m", "v1", 3), 7)


def test_another_evaluation_than_the_key_says_is_refused() -> None:
    refused = counted(metrics.DRIFT_REFUSED)
    followed = Followed()
    followed.come([record(0), (b"v1//7", record(1)[1]), record(1)])
    assert followed.due == 2
    assert counted(metrics.DRIFT_REFUSED, refused) == 1


def test_an_alarm_that_was_not_acknowledged_is_told_by_the_next_process() -> None:
    whole, first = Followed(), Followed()
    whole.come(map(record, range(90)))
    begun = whole.told[0].index
    first.come(map(record, range(begun)))

    def away(_stream: Whose, _alarms: list[Alarm]) -> None:
        raise RecoverableError("no broker acknowledged it")

    first.following.tell = away
    with pytest.raises(RecoverableError):
        first.come([record(begun)])
    second = Followed(first.states)
    second.come(map(record, range(begun, 90)))
    assert second.told == whole.told


def test_a_variant_that_is_over_is_looked_at_to_its_end_and_forgotten() -> None:
    """As one finds it who was away while it ended, and another began."""
    followed, plain = Followed(), Followed()
    plain.come(map(record, range(90)))
    followed.come(map(record, range(30)))
    followed.over = {"v1"}
    meanwhile = [*map(record, range(30, 60)), record(0, "v2/"), *map(record, range(60, 90))]
    followed.topic += meanwhile
    for place, each in enumerate(meanwhile, 30):
        assert "v1/" in followed.states
        followed.following.take(*each, place)
    assert followed.told == plain.told != []
    assert [*followed.states] == ["v2/"]
    assert followed.monitors.evaluations() == {"v2": 1}


def test_who_is_over_and_forgotten_is_not_begun_again_by_what_comes_twice() -> None:
    over = counted(metrics.DRIFT_OVER)
    followed = Followed()
    followed.come(map(record, range(90)))
    followed.over, told = {"v1"}, len(followed.told)
    followed.come([record(0, "v2/")])
    followed.come(map(record, (0, 50, 89)))
    assert counted(metrics.DRIFT_OVER, over) == 3
    assert [*followed.states] == ["v2/"]
    assert len(followed.told) == told > 0
