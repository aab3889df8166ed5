"""What our dashboards share: variables, links to each other, a layout of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import dashboard as built
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from helm.dashboards.asking import OF_NAMESPACE
from helm.dashboards.panels import DATASOURCE, Panel

TAG = "stream-ml"
# Where the pages of the alerts are; the chart puts an address of yours in its place.
RUNBOOKS = "https://example.com/stream-ml/docs/runbooks"
COLUMNS = 24


@dataclass(frozen=True)
class Row:
    """
    Panels side by side, as wide as each other.

    Attributes:
        title: of the row; without one it has no head.
        height: of each panel, in units of the grid.
        widths: of the panels, where they differ.
    """

    title: str
    panels: Sequence[Panel]
    height: int = 8
    widths: Sequence[int] = ()


def board(uid: str, title: str, description: str, rows: Sequence[Row], *, since: str = "now-3h") -> str:
    """Return a dashboard as Grafana reads it."""
    made = built.Dashboard(title).uid(uid).description(description).tags([TAG]).editable()
    made.timezone("browser").time(since, "now").refresh("30s")
    made.tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    made.variables([*_variables()])
    made.link(_to_the_others())
    ids = count(1)
    for row in rows:
        if row.title:
            made.with_row(built.Row(row.title).id(next(ids)))
        for panel, width in zip(row.panels, _widths(row), strict=True):
            made.with_panel(panel.id(next(ids)).height(row.height).span(width))
    return _text(made.build())


def _widths(row: Row) -> Sequence[int]:
    widths = row.widths or [COLUMNS // len(row.panels)] * len(row.panels)
    # Else the next row would begin beside this one.
    assert sum(widths) == COLUMNS, row.title
    return widths


def _variables() -> Iterator[built.DatasourceVariable | built.QueryVariable | built.TextBoxVariable]:
    yield built.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    known = 'label_values(stream_ml_build_info{component!=""}, namespace)'
    yield _chosen("namespace", "Namespace", known)
    yield _chosen("model", "Model", f"label_values(stream_ml_learner_learned_total{{{OF_NAMESPACE}}}, model)")
    # Not a constant: Grafana lets nobody change that one where the dashboard is only imported.
    yield built.TextBoxVariable("runbooks").label("Runbooks at").default_value(RUNBOOKS)


def _chosen(name: str, label: str, query: str) -> built.QueryVariable:
    # All: also where there is no such label, as outside Kubernetes.
    chosen = built.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    chosen.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(
        dashboard.VariableSort.ALPHABETICAL_ASC
    )
    chosen.multi(True).include_all(True).all_value(".*")
    return chosen.current(dashboard.VariableOption(selected=True, text="All", value="$__all"))


def _to_the_others() -> built.DashboardLink:
    link = built.DashboardLink("stream-ml").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True).as_dropdown(False)


def _text(made: dashboard.Dashboard) -> str:
    return JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False).encode(made) + "\n"
