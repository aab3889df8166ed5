"""The faults of the system test, and the page that tells of them: alerts exist, figures were seen."""

from __future__ import annotations

import re

import orjson

from tests.alerts import alerts
from tests.system.alerts.faults import SIX
from tests.system.alerts.more import MORE
from tests.system.alerts.slow import SLOW
from tests.system.alerts.table import PAGE, RECORD, table, written

FAULTS = [*SIX, *(fault for group in MORE.values() for fault in group), *SLOW]


def test_six_are_produced_in_every_run_and_more_than_twenty_with_full_counts() -> None:
    assert (len(SIX), len({fault.name for fault in FAULTS}), len(FAULTS)) == (6, len(FAULTS), len(FAULTS))
    assert len(FAULTS) > 20


def test_every_fault_rings_an_alert_that_there_is() -> None:
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in alerts()}
    assert {fault.alert for fault in FAULTS} <= severities.keys()
    assert {severities[alert] for fault in FAULTS for alert in fault.beside} <= {"info"}


def test_the_page_has_what_the_last_run_saw() -> None:
    record = orjson.loads(RECORD.read_bytes())
    assert written(PAGE.read_text(), record) == PAGE.read_text(), "python -m tests.system.alerts.table"


def test_the_table_says_which_alert_told_of_what() -> None:
    seen = {
        "alert": "TargetDown",
        "beside": ["DriftFound"],
        "rings_after_seconds": 2.5,
        "silent_after_seconds": 1.0,
        "hours_are_seconds": 60.0,
    }
    name = "test_faults_ring_as_they_should_and_nothing_else_does[six]"
    lines = table({"figures": {name: {"it freezes": seen}, "test_of_another_kind": {"x": 1}}}).splitlines()
    assert len(lines) == 3
    cells = [cell.strip() for cell in re.split(r" ?\| ?", lines[2])[1:-1]]
    assert cells == ["it freezes", "[TargetDown](runbooks/TargetDown.md)", "DriftFound", "2.5", "1.0", "60"]
