"""
What a segment knows from the whole of how labels wander.

A segment's own few observations say too little of the variance of their sum: a long-run variance from two
dozen of them hides a rate that rises by a third. Chance is known exactly, and what all labels have in common
beyond chance (runs, a log-odds that no feature knows) the whole shows ten times as clearly.
"""

from __future__ import annotations

from collections.abc import Mapping

from stream_ml.drift.cell import Cell

# Those of which the variance by chance is exact, and a common log-odds moves the mean.
LENT = frozenset({"label_rate", "calibration", "served_calibration"})
# What some dozen observations of the whole say of it may be half of what there is.
_DOUBT = 2.0
_Cells = Mapping[tuple[str, str | None], Cell]


def lend(cells: _Cells, thresholds: Mapping[str, float]) -> None:
    """Tell each segment's cell the variance beyond chance that it has in common with the whole."""
    spreads = {segment: _spread(cell) for (name, segment), cell in cells.items() if name == "label_rate"}
    excess = {
        statistic: cells[statistic, None].excess(thresholds["whole"])
        for statistic in LENT
        if (statistic, None) in cells
    }
    for (statistic, segment), cell in cells.items():
        known = excess.get(statistic) if segment is not None else None
        if known is None:
            cell.lent = None
            continue
        # An observation over more events has the mean of more of what they have in common.
        whole = cells[statistic, None].span
        longer = cell.span / whole if cell.span and whole else 1.0
        cell.lent = _DOUBT * known * _ratio(spreads, segment) ** 2 / longer


def _ratio(spreads: Mapping[str | None, float], segment: str | None) -> float:
    """Return how far a common log-odds moves the segment's labels, in parts of how far the whole's."""
    whole, part = spreads.get(None, 0.0), spreads.get(segment, 0.0)
    return part / whole if whole > 0 and part > 0 else 1.0


def _spread(cell: Cell) -> float:
    """Return how far a label's mean follows its log-odds, p(1-p); none is 0."""
    rate = cell.figure if cell.observations else 0.0
    return rate * (1 - rate)
