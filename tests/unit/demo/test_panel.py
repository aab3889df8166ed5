from dataclasses import replace
from io import StringIO

from rich.console import Console

from stream_ml.demo.panel import Moment, panel

NAN = float("nan")


def drawn(moment: Moment) -> str:
    console = Console(file=StringIO(), width=120, color_system=None)
    console.print(panel(moment))
    return console.file.getvalue()


def moment(**changes) -> Moment:
    empty = Moment(
        pushed=0, events=1000, events_per_second=0.0, log_losses=[], aucs=[], calibrations=[],
        freshness_p99_ms=NAN, latency_p50_ms=NAN, latency_p99_ms=NAN, scores=0,
    )  # fmt: skip
    return replace(empty, **changes)


def test_a_demo_that_has_just_begun_can_be_drawn():
    assert "0 of 1,000 events" in drawn(moment())


def test_a_curve_spans_its_values_and_ends_with_the_newest():
    text = drawn(moment(log_losses=[0.5, 0.3, 0.1], aucs=[NAN, 0.7, 0.9]))
    assert "█" in text
    assert "0.1000" in text
    assert "0.9000" in text


def test_a_long_curve_stays_as_wide_as_the_panel():
    line = next(
        line for line in drawn(moment(aucs=[at / 1000 for at in range(1000)])).splitlines() if "AUC" in line
    )
    assert len(line) < 100
