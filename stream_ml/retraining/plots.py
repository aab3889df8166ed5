"""
Plots of a comparison, as PNG.

Lines differ by colour (Okabe and Ito's, which any colour vision tells apart) *and* by their dashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from stream_ml.errors import ConfigError
from stream_ml.retraining.blocks import Blocks, Sums
from stream_ml.retraining.confidence import Array, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 4  # challengers in a plot; more lines nobody tells apart
_CHAMPION = ("#000000", "solid")
_STYLES = (("#0072B2", "solid"), ("#D55E00", "dashed"), ("#009E73", "dashdot"), ("#CC79A7", "dotted"))
_POINTS = 80
_CURVE_POINTS = 20
_SLICES = 20
_LABEL = 24  # letters
_TITLES = {
    "loss.png": "log loss over time",
    "saved.png": "what the best challenger saves, with its interval",
    "calibration.png": "calibration curve",
    "slices.png": "log loss of slices, against the champion",
}


@dataclass(frozen=True, slots=True)
class Histogram:
    """
    Importance by the log-odds that were predicted, as evaluations have it.

    Attributes:
        positives, negatives: of examples with that label, shape (bins,), in the order of the log-odds.
        predictions: sum of importance × probability, the same.
    """

    positives: Array
    negatives: Array
    predictions: Array

    def curve(self) -> tuple[Array, Array]:
        """Return mean prediction and share of positives, of groups of bins with about equal importance."""
        both = self.positives + self.negatives
        below = np.cumsum(both) - both / 2
        total = max(float(both.sum()), 1e-300)
        group = np.minimum(below / total * _CURVE_POINTS, _CURVE_POINTS - 1).astype(int)
        weight = np.bincount(group, both, _CURVE_POINTS)
        predicted = np.bincount(group, self.predictions, _CURVE_POINTS)
        positive = np.bincount(group, self.positives, _CURVE_POINTS)
        some = weight > 0
        return predicted[some] / weight[some], positive[some] / weight[some]


def names(blocks: Blocks, histograms: Mapping[str, Histogram]) -> dict[str, str]:
    """Return the plots that there will be, and their titles."""
    absent = {"slices.png"} if not blocks.slices else set()
    absent |= {"calibration.png"} if not histograms else set()
    return {name: title for name, title in _TITLES.items() if name not in absent}


def check_installed() -> None:
    """Raises ConfigError: there is nothing installed that plots; better known before the work is done."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "reports have plots, and matplotlib is not installed\n  hint: pip install 'stream-ml[retrain]'"
        ) from error


def draw(
    blocks: Blocks,
    champion: str,
    challengers: Sequence[str],
    histograms: Mapping[str, Histogram],
    miss: float,
) -> dict[str, bytes]:
    """
    Return the plots by file name, of *challengers* in the order of their styles.

    Args:
        miss: of each challenger's interval.

    Raises:
        ConfigError: there is nothing installed that plots.
    """
    check_installed()
    shown = list(challengers)[:MOST]
    drawers: dict[str, Callable[[Axes], None]] = {
        "loss.png": lambda axes: _losses(axes, blocks, champion, shown),
        "saved.png": lambda axes: _saved(axes, blocks, shown[:1], miss),
        "calibration.png": lambda axes: _calibration(axes, champion, shown, histograms),
        "slices.png": lambda axes: _slices(axes, blocks, shown),
    }
    return {name: _png(drawers[name], title) for name, title in names(blocks, histograms).items()}


def _png(draw_on: Callable[[Axes], None], title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)  # never a window
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.grid(alpha=0.3)
    draw_on(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    data = BytesIO()
    # Without the version of what drew it, so that equal reports are equal bytes.
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _losses(axes: Axes, blocks: Blocks, champion: str, challengers: Sequence[str]) -> None:
    at, edges = _points(blocks)
    weights = np.add.reduceat(blocks.importance, edges) if len(edges) else blocks.importance

    def line(sums: Sums, name: str, style: tuple[str, str]) -> None:
        losses = np.add.reduceat(sums.loss, edges) / weights if len(edges) else sums.loss
        axes.plot(at, losses, color=style[0], linestyle=style[1], label=name)

    line(blocks.champion, f"{champion} (champion)", _CHAMPION)
    for name, style in zip(challengers, _STYLES, strict=False):
        line(blocks.challengers[name], name, style)
    axes.set_xlabel("events after the training cut")
    axes.set_ylabel("log loss")


def _saved(axes: Axes, blocks: Blocks, challengers: Sequence[str], miss: float) -> None:
    """Draw what the gate saw of the first of *challengers* at every point in time."""
    axes.axhline(0, color=_CHAMPION[0], linewidth=1)
    axes.set_xlabel("events after the training cut")
    axes.set_ylabel("log loss saved an event, so far")
    for name in challengers:
        saved = blocks.champion.loss - blocks.challengers[name].loss
        ends = np.unique(np.linspace(1, len(saved), _POINTS).astype(int))
        ends = ends[(ends > 0) & (ends <= len(saved))]
        seen = [interval(saved[:end], blocks.importance[:end], miss) for end in ends.tolist()]
        at = np.cumsum(blocks.examples)[ends - 1]
        known = np.array([np.isfinite(each.low) for each in seen], bool)
        color, style = _STYLES[0]
        axes.plot(at, [each.mean for each in seen], color=color, linestyle=style, label=name)
        low, high = (np.array([getattr(each, end) for each in seen]) for end in ("low", "high"))
        axes.fill_between(
            at[known], low[known], high[known], color=color, alpha=0.2, label=f"{1 - miss:.2%}, for all times"
        )


def _calibration(
    axes: Axes, champion: str, challengers: Sequence[str], histograms: Mapping[str, Histogram]
) -> None:
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    styles = {
        champion: (_CHAMPION, "o"),
        **{n: (s, m) for n, s, m in zip(challengers, _STYLES, "sv^D", strict=False)},
    }
    for name, (style, marker) in styles.items():
        if name in histograms:
            predicted, observed = histograms[name].curve()
            label = f"{name} (champion)" if name == champion else name
            axes.plot(
                predicted, observed, color=style[0], linestyle=style[1], marker=marker, label=label, ms=4
            )
    axes.set_xlabel("predicted")
    axes.set_ylabel("share of positives")


def _slices(axes: Axes, blocks: Blocks, challengers: Sequence[str]) -> None:
    largest = sorted(blocks.slices, key=lambda name: -blocks.slices[name].examples.sum())[:_SLICES]
    shown = [name for name in reversed(largest) if blocks.champion.slices.get(name, np.zeros(1)).sum() > 0]
    axes.axvline(0, color=_CHAMPION[0], linewidth=1)
    for number, challenger in enumerate(challengers):
        (color, _), marker = _STYLES[number], "sv^D"[number]
        own = blocks.challengers[challenger].slices
        there = [(at, name) for at, name in enumerate(shown) if name in own]
        worse = [100 * (own[name].sum() / blocks.champion.slices[name].sum() - 1) for _, name in there]
        axes.plot(
            worse,
            [at - 0.12 * number for at, _ in there],
            color=color,
            marker=marker,
            linestyle="none",
            label=challenger,
        )
    axes.set_yticks(range(len(shown)), [_label(name) for name in shown])
    axes.set_xlabel("% more log loss than the champion")


def _label(name: str) -> str:
    """Return a segment's name as it can be drawn: events say what it is, and dollars would be formulas."""
    short = name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
    return "".join(each if each.isprintable() else "�" for each in short).replace("$", r"\$")


def _points(blocks: Blocks) -> tuple[Array, np.ndarray]:
    """Return about `_POINTS` places on the axis of events, and the block where each begins."""
    edges = np.unique(np.linspace(0, len(blocks.examples), _POINTS + 1)[:-1].astype(int))
    edges = edges[edges < len(blocks.examples)]
    ends = np.append(edges[1:], len(blocks.examples)) - 1
    at = np.cumsum(blocks.examples)[ends] if len(edges) else np.zeros(0)
    return at, edges
