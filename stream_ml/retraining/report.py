"""The report of a comparison: what an operator reads (Markdown, plots) and what scripts read (JSON)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from stream_ml.retraining import plots
from stream_ml.retraining.blocks import Blocks
from stream_ml.retraining.confidence import mean_of
from stream_ml.retraining.gate import Comparison, Rule, Verdict
from stream_ml.retraining.plots import Histogram

FORMAT = 1
_SLICES_SHOWN = 20
_TEXT, _DATA = "report.md", "report.json"
_COLUMNS = (
    "challenger",
    "log loss",
    "saves",
    "between",
    "of the loss",
    "calibration",
    "worst slice",
    "objections",
)
_LEGEND = (
    "*saves*: log loss of the champion less the challenger's, an event; the interval holds for all times "
    "together, for {share:.1%} of such comparisons. *calibration*: sum of predictions / sum of labels."
)


@dataclass(frozen=True, slots=True)
class Report:
    """
    A comparison with all that is known of it.

    Attributes:
        job, model: whose it is.
        reason: of the job.
        champion: the variant that the challengers were compared with.
        settings: of each challenger: what differs from the champion.
        histograms: of each challenger, and of the champion by its name; those that are known.
        notes: lines for people: what was done, and what was left out.
    """

    job: str
    model: str
    reason: Mapping[str, Any]
    champion: str
    rule: Rule
    blocks: Blocks
    verdict: Verdict
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def described(self) -> dict[str, Any]:
        """Return what scripts read; a figure that does not exist is NaN or infinite, and null in JSON."""
        best = self.best
        return {
            "format": FORMAT,
            "job": self.job,
            "model": self.model,
            "reason": dict(self.reason),
            "champion": {"variant": self.champion, "log_loss": self.verdict.champion_loss},
            "challengers": [self._challenger(each) for each in self.verdict.comparisons],
            "winner": self.verdict.challenger,
            "difference": best.difference.mean if best else None,
            "interval": [best.difference.low, best.difference.high] if best else None,
            "promoted": self.verdict.says == "promote",
            "says": self.verdict.says,
            "why": self.verdict.why,
            "events": self.verdict.events,
            "slices": list(self._slices()),
            "rule": asdict(self.rule),
            "notes": list(self.notes),
        }

    @property
    def best(self) -> Comparison | None:
        """The comparison of the winner; without one, of whoever saves most."""
        return self.verdict.chosen or next(iter(self._ranked()), None)

    def markdown(self) -> str:
        """Return the page; the same report always gives the same text."""
        return "\n".join([*self._head(), *self._table(), *self._slice_table(), *self._tail()])

    def write(self, folder: Path, plots_written: Callable[[], None] = lambda: None) -> None:
        """
        Write page, data and plots into *folder*, which is made; the page comes last.

        Args:
            plots_written: called once the plots are there.

        Raises:
            ConfigError: there is nothing installed that plots.
        """
        folder.mkdir(parents=True, exist_ok=True)
        miss = self.rule.miss / max(len(self.blocks.challengers), 1)
        pictures = plots.draw(self.blocks, self.champion, self._shown(), self.histograms, miss)
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
        plots_written()
        data = orjson.dumps(self.described(), option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        (folder / _DATA).write_bytes(data + b"\n")
        (folder / _TEXT).write_text(self.markdown())

    def _ranked(self) -> list[Comparison]:
        saved = {each.challenger: each.difference.mean for each in self.verdict.comparisons}
        return sorted(
            self.verdict.comparisons,
            key=lambda each: (
                -saved[each.challenger] if saved[each.challenger] == saved[each.challenger] else 0
            ),
        )

    def _shown(self) -> list[str]:
        """Return the challengers that plots have room for, the winner first."""
        first = [] if self.verdict.challenger is None else [self.verdict.challenger]
        return list(dict.fromkeys([*first, *(each.challenger for each in self._ranked())]))[: plots.MOST]

    def _loss(self, challenger: str) -> float:
        return mean_of(self.blocks.challengers[challenger].loss, self.blocks.importance)

    def _challenger(self, compared: Comparison) -> dict[str, Any]:
        difference = compared.difference
        return {
            "name": compared.challenger,
            "settings": dict(self.settings.get(compared.challenger, {})),
            "log_loss": self._loss(compared.challenger),
            "difference": difference.mean,
            "interval": [difference.low, difference.high],
            "gain": compared.gain,
            "calibration": compared.calibration,
            "worst_slice": compared.worst_slice,
            "worst_slice_loss": compared.worst_slice_loss,
            "objections": list(compared.objections),
        }

    def _slices(self) -> Iterator[dict[str, Any]]:
        for name, slice_ in sorted(self.blocks.slices.items(), key=lambda each: -each[1].examples.sum()):
            losses = {
                challenger: mean_of(sums.slices[name], slice_.importance)
                for challenger, sums in self.blocks.challengers.items()
                if name in sums.slices
            }
            own = self.blocks.champion.slices.get(name)
            yield {
                "slice": name,
                "events": int(slice_.examples.sum()),
                "champion": math.nan if own is None else mean_of(own, slice_.importance),
                "challengers": losses,
            }

    def _head(self) -> list[str]:
        verdict, says = self.verdict, self.verdict.says
        winner = f": {verdict.challenger}" if verdict.challenger else ""
        return [
            f"# {self.model}: {says}{winner}",
            "",
            f"{verdict.why}.",
            "",
            f"- job `{self.job}`, asked for by: {_inline(self.reason)}",
            f"- champion `{self.champion}`, log loss {verdict.champion_loss:.5f}",
            f"- compared over {verdict.events:,} events in {len(self.blocks.examples):,} blocks",
            *(f"- {note}" for note in self.notes),
            "",
        ]

    def _table(self) -> list[str]:
        rows = [_row(self._cells(each)) for each in self._ranked()]
        legend = _LEGEND.format(share=1 - self.rule.miss)
        settings = [
            f"- `{each.challenger}`: {_inline(self.settings[each.challenger])}"
            for each in self._ranked()
            if self.settings.get(each.challenger)
        ]
        return ["## Challengers", "", _row(_COLUMNS), "|---" * 8 + "|", *rows, "", legend, "", *settings, ""]

    def _cells(self, compared: Comparison) -> list[str]:
        saved = compared.difference
        return [
            compared.challenger,
            _number(self._loss(compared.challenger)),
            _number(saved.mean),
            f"{_number(saved.low)} and {_number(saved.high)}",
            _share(compared.gain),
            _number(compared.calibration, 3),
            _worst(compared),
            "; ".join(compared.objections) or "–",
        ]

    def _slice_table(self) -> list[str]:
        best, slices = self.best, list(self._slices())
        if best is None or not slices:
            return []
        rows = [
            _row(
                [
                    each["slice"],
                    f"{each['events']:,}",
                    _number(each["champion"]),
                    _number(each["challengers"].get(best.challenger, math.nan)),
                ]
            )
            for each in slices[:_SLICES_SHOWN]
        ]
        left = len(slices) - _SLICES_SHOWN
        more = [f"{left} smaller ones are in {_DATA}.", ""] if left > 0 else []
        head = _row(["slice", "events", self.champion, best.challenger])
        return ["## Slices", "", "Log loss.", "", head, "|---|---|---|---|", *rows, "", *more]

    def _tail(self) -> list[str]:
        names = plots.names(self.blocks, self.histograms)
        pictures = [f"![{title}]({name})" for name, title in names.items()]
        asked = ", ".join(f"{key} {value:,}" for key, value in asdict(self.rule).items())
        return ["## Plots", "", *pictures, "", "## Rule", "", f"{asked}.", ""]


def _row(cells: Sequence[str]) -> str:
    """Return a row of a table; a bar in a cell would end that, a line break all of it."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _inline(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "–"


def _number(value: float, digits: int = 5) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{value:.2%}" if math.isfinite(value) else "–"


def _worst(compared: Comparison) -> str:
    return "–" if compared.worst_slice is None else f"{compared.worst_slice} {compared.worst_slice_loss:+.1%}"
