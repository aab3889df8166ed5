"""How much of the label a field explains, measured on events it was not fitted to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

# Pulls the mean of a rare group towards the mean of all, as this many events would.
PRIOR_EVENTS = 2.0


def explained_share(targets: Mapping[int, float], rows: Sequence[int], groups: Sequence[str]) -> float:
    """
    Return the share of the label's variance that the mean of each group explains; 0 where it explains none.

    Means are taken over the even rows and judged on the odd ones.

    Args:
        targets: label by row; rows without one count nowhere.
        rows, groups: parallel; which group a row belongs to.
    """
    fitted: list[tuple[str, float]] = []
    judged: list[tuple[str, float]] = []
    for row, group in zip(rows, groups, strict=True):
        if row in targets:
            (judged if row % 2 else fitted).append((group, targets[row]))
    if not fitted or not judged:
        return 0.0
    mean = fmean(target for _, target in fitted)
    means = _group_means(fitted, mean)
    unexplained = sum((target - means.get(group, mean)) ** 2 for group, target in judged)
    total = sum((target - mean) ** 2 for _, target in judged)
    return max(0.0, 1 - unexplained / total) if total else 0.0


def _group_means(fitted: Sequence[tuple[str, float]], mean: float) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for group, target in fitted:
        sums[group] += target
        counts[group] += 1
    return {group: (sums[group] + PRIOR_EVENTS * mean) / (counts[group] + PRIOR_EVENTS) for group in sums}
