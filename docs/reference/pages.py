"""Which pages are made of code, and by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import alerts, commands, model_file, predictor, settings

_FOLDER = Path(__file__).parent
PAGES: Mapping[Path, Callable[[], str]] = {
    _FOLDER / "model-file.md": model_file.text,
    _FOLDER / "predictor.md": predictor.text,
    _FOLDER / "commands.md": commands.text,
    _FOLDER / "settings.md": settings.text,
    _FOLDER / "objectives.md": alerts.objectives_text,
    _FOLDER.parent / "runbooks" / "README.md": alerts.runbooks_text,
}
