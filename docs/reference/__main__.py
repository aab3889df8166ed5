"""The pages that are made of code: `python -m docs.reference` writes them, a test compares them."""

from __future__ import annotations

from docs.reference.pages import PAGES

if __name__ == "__main__":
    for path, text in PAGES.items():
        path.write_text(text(), encoding="utf-8")
