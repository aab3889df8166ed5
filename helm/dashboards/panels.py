"""Panels as our dashboards have them: each with a title, what it says, and a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as built
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard

from helm.dashboards.colours import BAD, CURVES, GOOD, NEUTRAL, SOSO

Panel = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel
_P = TypeVar("_P", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)
# A figure from which on a colour holds; None is below all of them.
Steps = Sequence[tuple[float | None, str]]

DATASOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
NONE_IS_GOOD: Steps = ((None, GOOD), (1, BAD))


@dataclass(frozen=True)
class Query:
    """
    What is asked of Prometheus.

    Attributes:
        legend: the name of a curve; labels in braces.
        objective: whether it is what is promised, not what is.
    """

    expression: str
    legend: str = ""
    objective: bool = False


@dataclass(frozen=True)
class Link:
    """Where to read on: a page, or a dashboard of ours."""

    title: str
    url: str


def runbook(alert: str) -> Link:
    """Return the link to the page of *alert*; the variable says where the pages are."""
    return Link(f"Runbook: {alert}", f"${{runbooks}}/{alert}.md")


def board_link(uid: str, title: str) -> Link:
    """Return the link to another dashboard, at the same time and of the same model."""
    return Link(f"Dashboard: {title}", f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}")


def objective(name: str, legend: str = "objective", factor: str = "") -> Query:
    """Return the figure of *name* in objectives.yaml as a dashed line."""
    return Query(f"{factor}max(stream_ml:objective:{name})", legend, objective=True)


def curves(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    links: Sequence[Link] = (),
    stacked: bool = False,
    maximum: float | None = None,
) -> timeseries.Panel:
    """Return curves over time; those of one query are shades of one colour."""
    panel = timeseries.Panel().min(0).line_width(1).fill_opacity(10)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.legend(
        parts.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )
    panel.tooltip(parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL))
    if maximum is not None:
        panel.max(maximum)
    for ref, query, colour in zip("ABCDEFG", queries, CURVES, strict=False):
        panel.override_by_query(ref, _look(query, colour))
    return _finished(panel, title, description, unit, queries, links)


def _look(query: Query, colour: str) -> list[dashboard.DynamicConfigValue]:
    if not query.objective:
        return [_set("color", {"mode": "shades", "fixedColor": colour})]
    return [
        _set("color", {"mode": "fixed", "fixedColor": NEUTRAL}),
        _set("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        _set("custom.fillOpacity", 0),
        _set("custom.stacking", {"mode": "none", "group": "A"}),
    ]


def figure(
    title: str,
    description: str,
    unit: str,
    query: Query,
    steps: Steps,
    *,
    links: Sequence[Link] = (),
    nothing: str = "no data",
    graph: bool = False,
) -> stat.Panel:
    """Return the newest figure of each series on the colour of its step; *nothing* where there is none."""
    panel = stat.Panel().thresholds(_thresholds(steps)).no_value(nothing)
    panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
    panel.graph_mode(common.BigValueGraphMode.AREA if graph else common.BigValueGraphMode.NONE)
    panel.reduce_options(parts.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_scheme(built.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    return _finished(panel, title, description, unit, (query,), links)


def states(
    title: str,
    description: str,
    words: dict[str, tuple[str, str]],
    *queries: Query,
    links: Sequence[Link] = (),
) -> statetimeline.Panel:
    """Return a bar for each series with its state; *words*: by value, the state and its colour."""
    results = {
        value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    panel = statetimeline.Panel().mappings([dashboard.ValueMap(options=results)])
    panel.thresholds(_thresholds(((None, NEUTRAL),)))
    panel.color_scheme(built.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    # The word is in the bar: colours alone say nothing.
    panel.show_value(common.VisibilityMode.ALWAYS).row_height(0.9).fill_opacity(90)
    panel.legend(
        parts.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.HIDDEN)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(False)
        .calcs([])
    )
    return _finished(panel, title, description, "none", queries, links)


def listing(
    title: str,
    description: str,
    query: Query,
    *,
    columns: Sequence[str],
    column_link: tuple[str, Link],
    nothing: str,
    links: Sequence[Link] = (),
) -> table.Panel:
    """Return a table of what there is now, a row for each series; a cell of one column leads to a page."""
    panel = table.Panel().no_value(nothing).show_header(True)
    panel.align(common.FieldTextAlignment.AUTO).inspect(False)
    hidden = {"Time": True, "Value": True, "__name__": True, "alertstate": True}
    order = {name: place for place, name in enumerate(columns)}
    organized = {"excludeByName": hidden, "indexByName": order, "renameByName": {}}
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=organized))
    column, link = column_link
    panel.override_by_name(
        column, [_set("links", [{"title": link.title, "url": link.url, "targetBlank": True}])]
    )
    return _finished(panel, title, description, "none", (query,), links)


def _finished(
    panel: _P, title: str, description: str, unit: str, queries: Sequence[Query], links: Sequence[Link]
) -> _P:
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE)
    now = isinstance(panel, table.Panel)
    for ref, query in zip("ABCDEFG", queries, strict=False):
        panel.with_target(_target(ref, query, now=now))
    panel.links([_panel_link(link) for link in links])
    return panel


def _target(ref: str, query: Query, *, now: bool) -> Builder[Any]:
    target = prometheus.Dataquery().ref_id(ref).datasource(DATASOURCE).expr(query.expression)
    if now:
        return target.instant().format("table")  # type: ignore[arg-type]
    return target.range().legend_format(query.legend)


def _panel_link(link: Link) -> built.DashboardLink:
    return (
        built.DashboardLink(link.title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(link.url)
        .target_blank(link.url.startswith("${runbooks}"))
    )


def _thresholds(steps: Steps) -> built.ThresholdsConfig:
    chosen = [dashboard.Threshold(value=value, color=colour) for value, colour in steps]
    return built.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(chosen)


def _set(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def rising(soso: float, bad: float) -> Steps:
    """Return steps of what is better the smaller it is."""
    return ((None, GOOD), (soso, SOSO), (bad, BAD))
