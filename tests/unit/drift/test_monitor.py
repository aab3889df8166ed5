from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from statistics import median

import orjson
import pytest

from stream_ml.drift.alarms import Alarm
from stream_ml.drift.alarms import Stream as Whose
from stream_ml.drift.cell import Change
from stream_ml.drift.evaluation import Evaluation, Judged
from stream_ml.drift.monitor import Monitor, Rules
from stream_ml.errors import CannotContinue
from tests.evaluations import Drift, Stream, Wander, flipped, more_positives, one_segment, shifted

AT, COUNT = 50, 90


def told(evaluations: Iterable[Evaluation], rules: Rules = Rules()) -> list[Alarm]:  # noqa: B008 frozen
    monitor = Monitor(rules)
    return [alarm for each in evaluations for alarm in monitor.observe(each)]


def drifts(evaluations: Iterable[Evaluation], rules: Rules = Rules()) -> list[Alarm]:  # noqa: B008 frozen
    return [alarm for alarm in told(evaluations, rules) if alarm.kind == "drift"]


@pytest.mark.parametrize(
    ("drift", "statistics", "segment", "within"),
    [
        (more_positives, "label_rate calibration", None, 6),
        (flipped, "loss auc", None, 6),
        (shifted, "prediction", None, 6),
        (one_segment, "label_rate calibration", "s3", 40),
    ],
)
def test_a_drift_is_told_once_under_its_name(
    drift: Drift, statistics: str, segment: str | None, within: int
) -> None:
    (alarm,) = drifts(Stream(4, segments=6).evaluations(COUNT, drift, AT))
    assert alarm.statistic in statistics.split()
    assert alarm.segment == segment
    assert AT < alarm.index + 1 <= AT + within
    # A tenth of the events places it a few times less surely.
    assert abs(alarm.since_learned - AT * 1_000) <= (15_000 if segment else 5_000)
    assert alarm.size == alarm.after - alarm.before != 0
    assert alarm.learned_to == (alarm.index + 1) * 1_000


def test_where_a_segment_drifts_is_told_in_nearly_every_stream() -> None:
    """By the rules before decision 0033 four in forty were not."""
    streams = [drifts(Stream(seed, segments=6).evaluations(COUNT, one_segment, AT)) for seed in range(20, 40)]
    told = [alarms[0] for alarms in streams if alarms and alarms[0].segment == "s3"]
    assert len(told) >= 19
    assert median(abs(alarm.since_learned - AT * 1_000) for alarm in told) <= 2_000


def test_a_monitor_lets_the_whole_lend_to_its_segments() -> None:
    monitor = Monitor()
    for each in Stream(2, wander=Wander(0.5, 2_000)).evaluations(40):
        monitor.observe(each)
    for statistic in ("label_rate", "calibration"):
        assert monitor.cells[statistic, "s1"].lent
        assert monitor.cells[statistic, None].lent is None


def test_without_a_drift_nothing_is_told() -> None:
    assert told(Stream(2).evaluations(200)) == []


def test_labels_that_come_in_runs_are_no_drift() -> None:
    assert drifts(Stream(6, wander=Wander(0.5, 200)).evaluations(200)) == []


def changes(**strengths: float) -> dict[tuple[str, str | None], Change]:
    """Changes of the whole; the predictions' size is 0.9 of the label rate's."""
    return {
        (statistic, None): Change(0, strength, 0.2, 0.2 + (0.027 if statistic == "prediction" else 0.03))
        for statistic, strength in strengths.items()
    }


@pytest.mark.parametrize(
    ("found", "name"),
    [
        # Labels go ahead of the predictions, which follow them, or with them.
        (changes(label_rate=9.0, prediction=8.0, calibration=2.8), "label_rate"),
        (changes(label_rate=9.0, prediction=8.0, calibration=1.5), "prediction"),
        (changes(label_rate=9.0, prediction=8.0, calibration=-2.8), "prediction"),
        (changes(label_rate=-9.0, prediction=-8.0, calibration=-2.8), "label_rate"),
        # The learner has followed labels that are flipped: more are left wrong than too many.
        (changes(label_rate=9.0, prediction=8.0, calibration=2.0, loss=4.0), "loss"),
        (changes(label_rate=9.0, prediction=8.0, calibration=2.8, loss=3.0), "label_rate"),
        (changes(label_rate=8.0, prediction=4.0, calibration=4.0, loss=4.2), "label_rate"),
    ],
)
def test_a_change_of_the_label_rate_is_told_by_what_made_it(
    found: dict[tuple[str, str | None], Change], name: str
) -> None:
    assert Monitor._cause(("label_rate", None), found) == (name, None)


def test_a_drift_back_is_a_drift_of_its_own() -> None:
    parts = [(5, AT, None), (6, 2 * AT, more_positives), (7, COUNT, None)]
    joined = [each for seed, count, drift in parts for each in Stream(seed).evaluations(count, drift)]
    placed = [
        replace(each, index=at, learned_from=at * 1_000, learned_to=(at + 1) * 1_000)
        for at, each in enumerate(joined)
    ]
    found = drifts(placed, Rules(ignore=frozenset({"event_rate"})))
    assert [(alarm.statistic, alarm.size > 0) for alarm in found] == [
        ("label_rate", True),
        ("label_rate", False),
    ]


def test_the_same_is_told_after_a_restart_at_every_evaluation() -> None:
    rules = Rules(false_alarm_every=100, warnings_per_drift=20)
    closed = [*Stream(8, wander=Wander(0.4, 2_000)).evaluations(160, one_segment, AT)]
    whole, monitor, found = told(closed, rules), Monitor(rules), []
    for each in closed:
        monitor = Monitor.restored(rules, orjson.loads(orjson.dumps(monitor.state())))
        found += monitor.observe(each)
    assert found == whole
    assert {alarm.kind for alarm in whole} == {"warning", "drift"}


def test_a_repeated_evaluation_is_ignored() -> None:
    closed = [*Stream(9).evaluations(COUNT, flipped, AT)]
    repeated = [again for at, each in enumerate(closed) for again in (closed[max(at - 3, 0)], each, each)]
    assert told(repeated) == told(closed) != []


def test_a_gap_is_noticed_and_nothing_is_taken_in() -> None:
    closed = [*Stream(9).evaluations(5)]
    monitor = Monitor()
    monitor.observe(closed[0])
    assert monitor.missing(closed[3]) == 2
    with pytest.raises(CannotContinue, match="evaluation 3 came where 1 is due"):
        monitor.observe(closed[3])
    assert monitor.index == 1
    monitor.skip_to(closed[3])
    assert (monitor.index, monitor.skip_to(closed[2])) == (4, [])


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(CannotContinue):
        Monitor.restored(Rules(), {**Monitor().state(), "format": 0})


def test_what_is_ignored_is_not_told() -> None:
    closed = [*Stream(4).evaluations(COUNT, flipped, AT)]
    ignored = frozenset({"loss", "auc"})
    assert {alarm.statistic for alarm in drifts(closed, Rules(ignore=ignored))}.isdisjoint(ignored)


def test_a_learner_that_learns_is_no_drift() -> None:
    """Loss and unseen ids fall, predictions find their place: all of it at the beginning."""
    found = []
    for each in Stream(10).evaluations(COUNT):
        young = 1 + 20 / (each.index + 1)
        tally = each.whole.progressive
        worse = replace(tally, loss_sum=tally.loss_sum * (1 + 0.3 * (young - 1)))
        found.append(replace(each, whole=Judged(worse), unseen=min(int((each.unseen or 0) * young), 9_000)))
    assert drifts(found) == []


def test_what_was_served_is_judged_where_events_say_it() -> None:
    """The learner's own predictions are right, because labels are late; what was served was not."""
    good = [*Stream(11, segments=0).evaluations(COUNT)]
    bad = [*Stream(11, segments=0).evaluations(COUNT, flipped, AT)]
    closed = [
        replace(right, whole=Judged(right.whole.progressive, wrong.whole.progressive))
        for right, wrong in zip(good, bad, strict=True)
    ]
    (alarm,) = drifts(closed)
    assert (alarm.statistic, alarm.segment) == ("served_loss", None)


@pytest.mark.parametrize(
    ("statistic", "changed"),
    [
        ("missing:slot0", {"missing": {"slot0": 200, "slot1": 10, "slot2": 20, "slot3": 30}}),
        ("unseen", {"unseen": 800}),
    ],
)
def test_fields_and_ids_are_watched(statistic: str, changed: dict[str, object]) -> None:
    closed = [
        replace(each, **changed) if each.index >= AT else each  # type: ignore[arg-type]
        for each in Stream(12).evaluations(COUNT)
    ]
    (alarm,) = drifts(closed)
    assert alarm.statistic == statistic
    # A slot that never missed was not named; its share was 0.
    assert alarm.before == pytest.approx(0.0 if statistic == "missing:slot0" else 0.02, abs=0.001)


def test_an_event_rate_that_doubles_is_told() -> None:
    closed, watermark = [], 0
    for each in Stream(13).evaluations(COUNT):
        watermark += 10_000_000 // (2 if each.index >= AT else 1) + each.index % 7 * 50_000
        closed.append(replace(each, watermark_us=watermark))
    assert [alarm.statistic for alarm in drifts(closed)] == ["event_rate"]


def test_a_record_says_whose_it_is_and_has_one_key() -> None:
    (alarm,) = drifts(Stream(4, segments=6).evaluations(COUNT, one_segment, AT))
    record = orjson.loads(alarm.record(Whose("m", "v1", 3)))
    assert (record["model"], record["variant"], record["partition"]) == ("m", "v1", 3)
    assert record["segment"] == "s3"
    assert alarm.key(Whose("m", "v1")) == f"v1//{alarm.statistic}/s3/{alarm.index}"
    assert alarm.key(Whose("m", "v1", 3)) == f"v1/3/{alarm.statistic}/s3/{alarm.index}"
