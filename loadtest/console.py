"""`loadtest console`: how soon the console's page is drawn, beside a demo that runs; and its pictures."""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page

from loadtest.report import Report
from stream_ml.demo.drifting import DriftDemo
from stream_ml.local.stack import Stack
from tests.servers.browser import chromium
from tests.servers.processes import Process

IMAGES = Path(__file__).parents[1] / "docs" / "images"
QUICK_LOADS = 3
# Of the looks that the demo lets us have, several a second.
LOOKS_A_LOAD = 12
WIDTH, HEIGHT = 1360, 900
COLOURS = 64
PATIENCE_MS = 30_000
# Drawn with all figures, not merely loaded; since the navigation began.
DRAWN = "performance.getEntriesByName('drawn')[0]?.startTime"
METHOD = (
    "`stream-ml console` beside `stream-ml demo-drift`: learner, predictor, drift monitor, retrainer, a "
    "broker and visitors on the same two cores. Again and again a headless Chromium without a cache opens "
    "it: from the begin of the navigation until tiles, curves and tables are drawn. --quick: a few times, "
    "beside services that have nothing to do. The whole run keeps pictures of the page at the demo's end in "
    "docs/images."
)
BARS = {"drawn_seconds_median": "≤ 1"}


def run(quick: bool, seed: int) -> Report:
    """Open the page beside a demo; measure, and take pictures."""
    with tempfile.TemporaryDirectory(prefix="stream-ml-console-") as folder, chromium() as browser:
        visitor = Visitor(browser, Path(folder) / "run")
        with visitor.resources:
            if quick:
                _nothing_to_do(visitor)
            else:
                DriftDemo(visitor.directory, Path(folder), say=visitor.hear, show=visitor.look).run()
    seconds = [milliseconds / 1e3 for milliseconds in visitor.drawn]
    figures: dict[str, Any] = {
        "loads": len(seconds),
        "drawn_seconds_median": round(statistics.median(seconds), 3),
        "drawn_seconds_worst": round(max(seconds), 3),
        "complaints": len(visitor.complaints),
    }
    return Report("console", METHOD, seed, quick, figures, {**BARS, "complaints": "= 0"})


def _nothing_to_do(visitor: Visitor) -> None:
    resource = files("stream_ml.demo") / "visits.toml"
    with as_file(resource) as model, Stack(model, visitor.directory), visitor.resources:
        for _ in range(QUICK_LOADS):
            visitor.load()


class Visitor:
    """
    Opens the page of what runs from *directory*, while the demo goes on.

    Attributes:
        drawn: milliseconds of each load.
        complaints: what the browser said on its console.
        resources: hold the console.
    """

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser, self.directory = browser, directory
        self.drawn: list[float] = []
        self.complaints: list[str] = []
        self.resources = ExitStack()
        self._looks = 0
        self._url = ""

    def look(self, _moment: object) -> None:
        """Load the page once in a while."""
        self._looks += 1
        if self._looks % LOOKS_A_LOAD == 0:
            self.load()

    def hear(self, said: str) -> None:
        """Take the pictures when the demo says that it is over."""
        if said.startswith("the watch is over"):
            self._picture("console.png", "light", whole=False)
            self._picture("console-dark.png", "dark", whole=True)
            self.resources.close()

    def load(self) -> None:
        """Open the page as one who was never there, until it is drawn."""
        with self._page() as page:
            self.drawn.append(page.evaluate(DRAWN))

    @contextmanager
    def _page(self, scheme: Any = "light") -> Iterator[Page]:
        size: Any = {"width": WIDTH, "height": HEIGHT}
        context = self._browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        try:
            page.goto(self._url or self._open())
            # The page's policy lets nobody evaluate texts in it, so nothing but its elements is waited for.
            page.get_by_text("● live").wait_for(timeout=PATIENCE_MS)
            yield page
        finally:
            context.close()

    def _open(self) -> str:
        named = ["--directory", str(self.directory), "--port", "0"]
        log = self.directory.parent / "console.log"
        console = Process.python(["-m", "stream_ml", "console", *named], log).start()
        self.resources.callback(console.terminate)
        console.wait_for_output("Ctrl-C stops")
        found = re.search(r"http://[0-9.:]+", console.output())
        assert found is not None, console.tail()
        self._url = found[0]
        return self._url

    def _picture(self, name: str, scheme: str, whole: bool) -> None:
        with self._page(scheme) as page:
            page.locator("#event:not(:placeholder-shown)").wait_for(timeout=PATIENCE_MS)
            page.click("#score [type=submit]")
            page.wait_for_selector(".bars", timeout=PATIENCE_MS)
            # For a moment the learner of what served before is seen, which has stopped.
            page.locator("#problems li").first.wait_for(state="detached", timeout=PATIENCE_MS)
            page.evaluate("scrollTo(0, 0)")
            drawn = Image.open(BytesIO(page.screenshot(full_page=whole)))
            IMAGES.mkdir(exist_ok=True)
            drawn.quantize(COLOURS).save(IMAGES / name, optimize=True)
