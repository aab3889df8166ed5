"""The console in a real browser: of a stack that runs, of one that is broken, of names that mean harm."""

from __future__ import annotations

import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from stream_ml.cli.console import of_running
from stream_ml.console.app import Console
from stream_ml.console.server import ConsoleServer
from stream_ml.console.watch import Watch, Watched
from stream_ml.console.wiring import served
from stream_ml.demo.events import baskets
from stream_ml.drift.alarms import Alarm
from stream_ml.drift.alarms import Stream as Whose
from stream_ml.local.stack import Stack
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import Score, Scores
from stream_ml.streams.memory import MemoryLog
from stream_ml.streams.paced import PacedSender
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Begin, Decision, Variant
from tests.evaluations import Stream as Drawn
from tests.evaluations import said
from tests.servers.browser import chromium
from tests.servers.processes import Process

EVENTS, EVALUATE_EVERY = 6_000, 500
PATIENCE_MS = 60_000
IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo's model on an embedded broker; nothing was pushed yet."""
    folder = tmp_path_factory.mktemp("console")
    model = folder / "model.toml"
    text = (files("stream_ml.demo") / "coupon.toml").read_text()
    model.write_text(f"{text}\nevaluate_every = {EVALUATE_EVERY}\n")
    settings: dict[str, Any] = {"snapshot_interval_seconds": 1.0, "label_breaker": False}
    with Stack(model, folder / "run", learner=settings, predictor={"stale_after_seconds": 1.5}) as stack:
        yield stack


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    kafka = {"bootstrap.servers": stack.running.bootstrap}
    with served(of_running(stack.running, kafka), "127.0.0.1", 0) as url:
        yield url


@pytest.fixture(scope="module")
def fed(stack: Stack) -> None:
    """Let the stack learn some of the demo's baskets."""
    running = stack.running
    with closing(stack.log()) as log, PacedSender(log, running.topic, follow_group=running.group) as sender:
        for basket in baskets(EVENTS):
            sender.send(basket.record, key=basket.key, events=len(basket.lines))


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keep what a page looks like, for docs/console.md and a person's eye; with full counts only."""

    def take(page: Page, name: str) -> None:
        if request.config.getoption("--full-counts"):
            Image.open(BytesIO(page.screenshot())).quantize(64).save(IMAGES / name, optimize=True)

    return take


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that is to complain of nothing."""
    complaints: list[str] = []
    with closing(browser.new_context(viewport={"width": 1360, "height": 900})) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
    assert complaints == []


def test_before_anything_was_learned_it_says_what_to_do(
    page: Page, url: str, picture: Callable[[Page, str], None]
) -> None:
    page.goto(url)
    expect(page.locator("#problems")).to_contain_text("Nothing is learned yet", timeout=PATIENCE_MS)
    expect(page.locator("#problems")).to_contain_text("stream-ml send FILE")
    picture(page, "console-empty.png")
    page.fill("#event", '{"household_id": 1}')
    page.click("#score [type=submit]")
    expect(page.locator("#answer")).to_contain_text("No score.", timeout=PATIENCE_MS)
    expect(page.locator("#tables")).to_contain_text("No drift was told.")


def tile(page: Page, title: str) -> str:
    found = page.locator(".tile", has=page.get_by_role("heading", name=title, exact=True))
    return found.locator(".value").inner_text()


def chart(page: Page, title: str) -> Any:
    return page.locator("figure.chart", has=page.get_by_role("heading", name=title, exact=True))


@pytest.mark.usefixtures("fed")
def test_it_loads_and_shows_what_the_services_do(
    page: Page, url: str, record_property: Callable[[str, object], None]
) -> None:
    page.goto(url)
    expect(page.locator("#contact")).to_contain_text("live", timeout=PATIENCE_MS)
    drawn = page.evaluate("performance.getEntriesByName('drawn')[0].startTime")
    print(f"the page with all its figures was drawn after {drawn:.0f} ms")
    record_property("console_drawn_milliseconds", round(drawn))
    # Coupons are rare: an evaluation without any has no AUC and no calibration, and the line has a gap there.
    eight_points = re.compile("^([ML][^ML]+){8,}$")
    for title in ("Log loss", "AUC", "Calibration"):
        expect(chart(page, title).locator("path.line")).to_have_attribute(
            "d", eight_points, timeout=PATIENCE_MS
        )
    assert 0.5 < float(tile(page, "AUC")) <= 1
    assert 0 < float(tile(page, "Log loss")) < 1
    expect(page.locator("#tiles")).to_contain_text("0 refused", timeout=PATIENCE_MS)
    expect(page.locator("#tables")).to_contain_text("first start")
    expect(page.locator("#tables")).to_contain_text(".safetensors", timeout=PATIENCE_MS)
    expect(page.locator("#tables")).to_contain_text("✓ ready", timeout=PATIENCE_MS)
    expect(page.locator("#problems li")).to_have_count(0, timeout=PATIENCE_MS)


@pytest.mark.usefixtures("fed")
def test_an_event_is_scored_with_its_reasons_as_bars(page: Page, url: str) -> None:
    page.goto(url)
    page.click("#newest")
    expect(page.locator("#event")).to_have_value(re.compile('"household_id"'), timeout=PATIENCE_MS)
    page.locator("#event").press("Control+Enter")
    expect(page.locator(".prediction strong")).to_have_text(re.compile(r"^\d+\.\d\d%$"), timeout=PATIENCE_MS)
    shares = [float(text.replace("−", "-")) for text in page.locator(".bars .value").all_text_contents()]
    log_odds = page.locator(".facts dt", has_text="log-odds").first.locator("xpath=following-sibling::dd[1]")
    assert sum(shares) == pytest.approx(float(log_odds.inner_text().replace("−", "-")), abs=0.002)
    widths = [float(bar.get_attribute("width") or "") for bar in page.locator(".bars rect").all()]
    assert widths == pytest.approx([abs(share) * widths[0] / abs(shares[0]) for share in shares], abs=0.5)
    page.fill("#event", '{"price": "much"')
    page.click("#score [type=submit]")
    expect(page.locator("#answer")).to_contain_text("invalid_json", timeout=PATIENCE_MS)


@pytest.mark.usefixtures("fed")
def test_the_curves_can_be_read_by_keyboard(page: Page, url: str) -> None:
    page.goto(url)
    loss = chart(page, "Log loss")
    expect(loss.locator(".readout")).to_have_text(re.compile("^newest"), timeout=PATIENCE_MS)
    now = loss.locator(".readout").inner_text()
    loss.locator("svg").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(loss.locator(".readout")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d · 0\.\d{4}$"))
    assert loss.locator(".readout").inner_text()[-6:] != now[-6:]
    # All curves are read at the same moment.
    expect(chart(page, "AUC").locator(".cursor line")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(loss.locator(".readout")).to_have_text(now)


@pytest.mark.usefixtures("fed")
def test_weights_that_are_stale_and_a_service_that_is_gone_are_told(
    page: Page, stack: Stack, url: str, picture: Callable[[Page, str], None]
) -> None:
    learner = stack._processes["learner"]
    page.goto(url)
    learner.send_signal(signal.SIGSTOP)
    try:
        expect(page.locator("#problems")).to_contain_text("lost touch with the feed", timeout=PATIENCE_MS)
        expect(page.locator("#problems")).to_contain_text("does not answer", timeout=PATIENCE_MS)
        expect(page.locator("#problems")).to_contain_text("docs/runbooks/TargetDown.md")
        picture(page, "console-stale.png")
    finally:
        learner.send_signal(signal.SIGCONT)
    expect(page.locator("#problems li")).to_have_count(0, timeout=PATIENCE_MS)


def test_a_console_that_is_gone_leaves_a_page_that_says_so(browser: Browser, stack: Stack) -> None:
    kafka = {"bootstrap.servers": stack.running.bootstrap}
    with closing(browser.new_context()) as context:
        page = context.new_page()
        with served(of_running(stack.running, kafka), "127.0.0.1", 0) as url:
            page.goto(url)
            expect(page.locator("#contact")).to_contain_text("live", timeout=PATIENCE_MS)
        expect(page.locator("#contact")).to_contain_text("no contact since", timeout=PATIENCE_MS)
        expect(page.locator("body")).to_have_class("lost")


HARM = """<img src=x onerror="document.title='harmed'"><script>document.title='harmed'</script>"""


@pytest.fixture
def harmful() -> Iterator[str]:
    """A console of a model whose variants, people, segments, features and events are all called HARM."""
    log = MemoryLog()
    for topic in ("m.journal", "m.evaluations", "m.drift", "events"):
        log.ensure_topic(topic, 1)
    writer = JournalWriter(log, "m.journal")
    writer.append(Begin(journal=0))
    begun = {"fingerprint": HARM, "seed": None, "topic_id": "", "events": {0: 0}, "why": HARM}
    writer.append(Variant(variant=HARM, **begun))
    writer.append(Decision(kind="serve", variant=HARM, who=HARM, why=HARM))
    alarm = Alarm("drift", HARM, HARM, 1, 50, 0, 0.1, 7.0, 0.4, 0.5)
    closed = Drawn(seed=5, every=50).evaluations(3)
    with log.writer() as records:
        records.send("m.drift", alarm.record(Whose("m", HARM)), key=b"k", partition=0)
        for each in closed:
            key = f"{HARM.replace('/', '')}//{each.index}".encode()
            records.send("m.evaluations", orjson.dumps(said(each)), key=key, partition=0)
        records.send("events", orjson.dumps({"household": HARM}), partition=0)
    watch = Watch(Watched(("m", HARM), ("127.0.0.1:1",)), log)
    console = Console(watch, cast(PredictorClient, Harmful()), log, "events")
    with watch, ConsoleServer(console, "127.0.0.1", 0) as server:
        yield server.url


class Harmful:
    """A predictor whose features have names that mean harm."""

    def score(self, events: list[str], **_options: object) -> Scores:
        score = Score(0.5, 0.0, 0.1, {HARM: 1.0, "bias": -1.0}, None)
        return Scores((score,), HARM, HARM, HARM, 1, None, 0.1, True, None)


def test_what_people_wrote_is_shown_as_they_wrote_it(page: Page, harmful: str) -> None:
    page.goto(harmful)
    # The variant, its two decisions with who and why, and the drift with variant, statistic and segment.
    expect(page.locator("#tables td", has_text=HARM)).to_have_count(9, timeout=PATIENCE_MS)
    expect(page.locator("#model option").nth(1)).to_have_text(HARM)
    expect(page.locator(".marks text")).not_to_have_count(0, timeout=PATIENCE_MS)
    page.click("#newest")
    page.click("#score [type=submit]")
    expect(page.locator(".facts dd", has_text=HARM)).to_have_count(1, timeout=PATIENCE_MS)
    expect(page.locator(".bars title", has_text=HARM)).to_have_count(1)
    page.select_option("#model", HARM)
    expect(page.locator("#model-name")).to_have_text(HARM, timeout=PATIENCE_MS)
    expect(page.locator("main img, main script")).to_have_count(0)
    assert page.evaluate("document.title") == f"{HARM} – stream-ml"


# Every text that is seen, and how much it differs from what is behind it (WCAG 2.2, relative luminance).
CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const bright = (colour) => parts(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
  };
  return [...document.querySelectorAll("body *")]
    .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((each) => each.getClientRects().length && !(each instanceof HTMLOptionElement))
    .map((each) => {
      const style = getComputedStyle(each);
      const ink = each instanceof SVGElement ? style.fill : style.color;
      const [less, more] = [bright(ink), bright(behind(each))].sort((a, b) => a - b);
      return [`${each.tagName} ${each.textContent}`, (more + 0.05) / (less + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_in_dark(page: Page, harmful: str, scheme: str) -> None:
    page.emulate_media(color_scheme=cast(Any, scheme))
    page.goto(harmful)
    expect(page.locator(".marks text")).not_to_have_count(0, timeout=PATIENCE_MS)
    page.click("#newest")
    page.click("#score [type=submit]")
    expect(page.locator(".bars title")).not_to_have_count(0, timeout=PATIENCE_MS)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 19, 24)") == (scheme == "dark")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    # What WCAG asks of text of this size (AA).
    assert [each for each in contrasts if each[1] < 4.5] == []


def test_the_command_shows_what_runs_until_it_is_stopped(stack: Stack, tmp_path: Path) -> None:
    named = ["--directory", str(stack.directory), "--port", "0"]
    command = Process.python(["-m", "stream_ml", "console", *named], tmp_path / "console.log").start()
    command.wait_for_output("Ctrl-C stops", 60)
    found = re.search(r"http://127\.0\.0\.1:\d+", command.log.read_text())
    assert found is not None, command.tail()
    with urllib.request.urlopen(f"{found[0]}/api/state", timeout=60) as answer:
        assert orjson.loads(answer.read())["model"] == stack.running.model
    assert command.terminate() == 0, command.tail()
