"""A real browser for tests: `make chromium` installs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start one without a window; skip on a laptop without it, fail where CI=true."""
    found = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if found is None:
        missing = "chromium is not there (make chromium, or apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(f"no browser: {missing}")
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # Root, as in CI, has no sandbox; nothing but our own page is opened.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
