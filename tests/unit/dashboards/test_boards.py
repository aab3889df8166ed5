"""The committed dashboards are what the code builds, whole, readable, and Grafana's own shape."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.dashboards import FOLDER, texts
from helm.dashboards.board import COLUMNS, RUNBOOKS
from helm.dashboards.colours import PALETTE
from tests.alerts import RUNBOOKS as PAGES
from tests.alerts import alerts
from tests.dashboards import FILES, boards, panels

TITLES = ["Is it healthy", "Learning", "Serving", "Drift and retraining", "Kafka and Redis"]
# Rows of the grid that a screen of 1080 lines shows below Grafana's own bars: 38 lines each.
SCREEN = 24
# Grafana's names of units; what is counted a second says so.
UNITS = {"none", "short", "s", "percentunit", "bytes", "Bps", "suffix: /s", "suffix: ×"}


@pytest.fixture(params=TITLES)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return boards()[request.param]


def test_the_committed_files_are_what_the_code_builds() -> None:
    built = texts()
    assert {path.name for path in FILES} == built.keys()
    for path in FILES:
        assert path.read_text() == built[path.name], f"{path.name}: python -m helm.dashboards"
    assert FILES[0].parent == FOLDER


def test_there_is_one_for_each_question() -> None:
    assert sorted(boards()) == sorted(TITLES)
    assert len({board["uid"] for board in boards().values()}) == len(TITLES)
    assert all(len(board["uid"]) <= 40 and board["tags"] == ["stream-ml"] for board in boards().values())
    assert all("id" not in board for board in boards().values()), "an id is one Grafana's own"


def test_every_panel_has_a_title_says_what_it_shows_and_in_which_unit(board: dict[str, Any]) -> None:
    assert len(panels(board)) > 5
    for panel in panels(board):
        assert panel["title"]
        assert len(panel["description"].split()) > 3, panel["title"]
        assert panel["description"].endswith((".", "`.")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]


def test_titles_and_ids_are_given_once(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def test_panels_lie_beside_each_other_and_leave_no_hole(board: dict[str, Any]) -> None:
    for one, other in combinations(board["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    covered = set().union(*map(cells, board["panels"]))
    height = max(y for _, y in covered) + 1
    assert covered == {(x, y) for x in range(COLUMNS) for y in range(height)}


def test_whether_it_is_healthy_is_seen_on_one_screen() -> None:
    healthy = boards()["Is it healthy"]
    assert max(y for panel in healthy["panels"] for _, y in cells(panel)) < SCREEN
    assert all(panel["type"] != "row" for panel in healthy["panels"])


def test_grafanas_own_types_read_a_dashboard_and_lose_nothing_of_it(board: dict[str, Any]) -> None:
    register_default_plugins()
    read = Dashboard.from_json(board)
    assert json.loads(JSONEncoder(ensure_ascii=False).encode(read)) == board
    assert board["schemaVersion"] >= 39


def test_colours_are_those_that_everybody_sees_apart(board: dict[str, Any]) -> None:
    for panel in panels(board):
        text = json.dumps(panel)
        used = set(re.findall(r'"(?:color|fixedColor)": "([^"]+)"', text))
        assert used <= PALETTE, panel["title"]
        assert "#009E73" not in {step["color"] for step in thresholds(panel)}, "green against red"
        modes = set(re.findall(r'"mode": "(palette|continuous)[^"]*"', text))
        assert not modes, panel["title"]


def thresholds(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return list(panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ()))


def test_what_a_colour_says_a_word_or_a_figure_says_too(board: dict[str, Any]) -> None:
    for panel in panels(board):
        kind, options = panel["type"], panel["options"]
        assert kind in {"timeseries", "stat", "statetimeline", "state-timeline", "table"}
        if kind == "stat":
            assert options["textMode"] in {"auto", "value_and_name"}, panel["title"]
        if kind == "state-timeline":
            assert options["showValue"] == "always"
        if kind == "timeseries":
            assert options["legend"]["showLegend"], panel["title"]
            assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_whoever_is_woken_finds_from_every_panel_where_to_read_on() -> None:
    named = set()
    for panel in panels(boards()["Is it healthy"]):
        urls = [link["url"] for link in panel["links"]]
        named.update(re.findall(r"\$\{runbooks\}/(\w+)\.md", " ".join(urls)))
        by_alerts = panel["title"] in {"Get up", "In the morning"}
        assert urls or by_alerts, panel["title"]
    assert len(named) > 8
    table = next(panel for panel in panels(boards()["Is it healthy"]) if panel["type"] == "table")
    assert '"${runbooks}/${__value.text}.md"' in json.dumps(table["fieldConfig"]["overrides"])


def test_links_lead_to_pages_and_dashboards_that_there_are(board: dict[str, Any]) -> None:
    uids = {each["uid"] for each in boards().values()}
    for panel in panels(board):
        for link in panel["links"]:
            page = re.fullmatch(r"\$\{runbooks\}/(\w+)\.md", link["url"])
            other = re.fullmatch(r"/d/([\w-]+)\?\$\{__url_time_range\}&\$\{__all_variables\}", link["url"])
            assert (page and (PAGES / f"{page[1]}.md").exists()) or (other and other[1] in uids), link


def test_every_alert_is_led_to_from_some_panel_or_is_of_a_kind_that_the_table_leads_to() -> None:
    linked = set(re.findall(r"\$\{runbooks\}/(\w+)\.md", json.dumps(list(boards().values()))))
    assert linked <= {rule["alert"] for rule in alerts()}
    # Sums that are not finite have no curve: the table names the alert.
    assert {rule["alert"] for rule in alerts()} - linked == {"LearnerNonFinite", "LearnerStopped"}


def test_everybody_chooses_prometheus_namespace_model_and_where_runbooks_are(board: dict[str, Any]) -> None:
    variables = {each["name"]: each for each in board["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "model", "runbooks"]
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("namespace", "model"):
        assert variables[name]["includeAll"]
        assert variables[name]["allValue"] == ".*"
    assert variables["runbooks"]["query"] == RUNBOOKS
    for panel in panels(board):
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
