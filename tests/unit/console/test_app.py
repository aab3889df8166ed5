"""What the console answers, without a socket: the page, its figures, a score, and to whom it says no."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from stream_ml.console import app as module
from stream_ml.console.app import MOST_BYTES, PAGE, Console
from stream_ml.console.guard import HEADERS
from stream_ml.console.watch import Watch, Watched
from stream_ml.runtime.clock import ManualClock
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import EventError, NoModelYet, Score, Scores, UnknownModel
from stream_ml.streams.memory import MemoryLog

OWN = ["testserver"]
HOSTILE = '</script><img src=x onerror="alert(1)">'


class Predictors:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Score | Exception = Score(0.25, -1.0986, 0.1, {HOSTILE: -1.0, "bias": -0.0986}, None)
        self.asked: list[tuple[list[str], dict[str, Any]]] = []

    def score(self, events: list[str], **options: Any) -> Scores:
        self.asked.append((events, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Scores((self.answer,), "m", "v1", "f" * 32, 7, None, 0.5, False, None)


@pytest.fixture
def predictors() -> Predictors:
    return Predictors()


@pytest.fixture
def client(predictors: Predictors) -> Iterator[TestClient]:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    with log.writer() as writer:
        writer.send("events", b'{"id": 1}', partition=0)
    watch = Watch(Watched(("m", HOSTILE), ()), log, ManualClock())
    watch.look()
    watch.follow()
    console = Console(watch, cast(PredictorClient, predictors), log, "events")
    with TestClient(console.app(OWN)) as client:
        yield client


def score(client: TestClient, body: Any, **headers: str) -> Any:
    return client.post("/api/score", json=body, headers=headers)


def test_the_page_and_all_that_it_names_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    named = set(re.findall(r'(?:src|href)="(/[^"#]+)"', page.text))
    for script in PAGE.glob("*.js"):
        named |= {f"/static/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text())}
    assert len(named) >= 9
    assert {path: client.get(path).status_code for path in named} == dict.fromkeys(named, 200)


def test_the_page_asks_nobody_else_and_runs_nothing_inline() -> None:
    for file in PAGE.iterdir():
        text = file.read_text().replace("http://www.w3.org/", "")
        assert re.findall(r"https?://", text) == [], file
    page = (PAGE / "console.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page) == []
    scripts = "".join(script.read_text() for script in PAGE.glob("*.js"))
    # What people wrote could become elements only by one of these.
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.html\(|eval\(", scripts) == []
    )


@pytest.mark.parametrize("path", ["/", "/static/console.js", "/static/d3.js", "/api/state", "/nowhere"])
def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient, path: str) -> None:
    assert {name: client.get(path).headers[name] for name in HEADERS} == HEADERS


def test_of_the_package_with_the_plotting_library_only_the_script_is_there(client: TestClient) -> None:
    assert client.get("/static/d3.js").text.startswith("// https://d3js.org v5")
    assert client.get("/static/../app.py").status_code == 404
    assert client.get("/static/%2e%2e/app.py").status_code == 404


def test_the_state_is_of_the_model_that_is_asked_for(client: TestClient) -> None:
    assert client.get("/api/state").json()["model"] == "m"
    said = client.get("/api/state", params={"model": HOSTILE})
    assert said.json()["model"] == HOSTILE
    assert said.headers["content-type"] == "application/json"
    assert client.get("/api/state", params={"model": "other"}).status_code == 404


def test_a_score_comes_with_its_reasons(client: TestClient, predictors: Predictors) -> None:
    said = score(client, {"model": "m", "event": '{"id": 1}'}).json()
    assert (said["prediction"], said["step"], said["variant"]) == (0.25, 7, "v1")
    assert said["contributions"] == [[HOSTILE, -1.0], ["bias", -0.0986]]
    assert predictors.asked == [(['{"id": 1}'], {"model": "m", "uncertainty": True, "contributions": True})]


@pytest.mark.parametrize(
    ("answer", "what", "hint"),
    [
        (NoModelYet("nothing learned"), "nothing learned", "stream-ml send"),
        (UnknownModel("no such model", ("n",)), "no such model", ""),
        (
            Score(None, None, None, None, EventError("wrong_type", "field price")),
            "wrong_type: field price",
            "",
        ),
    ],
)
def test_where_there_is_no_score_it_says_why(
    client: TestClient, predictors: Predictors, answer: Any, what: str, hint: str
) -> None:
    predictors.answer = answer
    said = score(client, {"model": "m", "event": "{}"})
    assert said.status_code == 200
    assert said.json()["error"] == what
    assert hint in said.json()["hint"]


def test_what_is_asked_wrongly_is_refused(client: TestClient, predictors: Predictors) -> None:
    for body in ({}, [], 1, {"model": "m"}, "x"):
        assert score(client, body).status_code == 400, body
    assert score(client, {"model": "other", "event": "{}"}).status_code == 404
    json = {"content-type": "application/json"}
    assert client.post("/api/score", content=b"\xff{", headers=json).status_code == 400
    assert client.post("/api/score", content=b" " * (MOST_BYTES + 1), headers=json).status_code == 413
    assert client.get("/api/score").status_code == 405
    assert client.post("/api/state", json={}).status_code == 405
    assert predictors.asked == []


def test_a_page_of_somebody_else_cannot_post(client: TestClient, predictors: Predictors) -> None:
    body = '{"model": "m", "event": "{}"}'
    for form in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert client.post("/api/score", content=body, headers={"content-type": form}).status_code == 415
    for site in ("cross-site", "same-site"):
        assert score(client, {"model": "m", "event": "{}"}, **{"sec-fetch-site": site}).status_code == 403
    assert predictors.asked == []
    assert (
        score(client, {"model": "m", "event": "{}"}, **{"sec-fetch-site": "same-origin"}).status_code == 200
    )


def test_a_page_of_somebody_else_may_lead_here_and_ask_nothing(client: TestClient) -> None:
    for site in ("cross-site", "same-site"):
        said = {"sec-fetch-site": site}
        assert client.get("/", headers=said).status_code == 200
        assert client.get("/api/event", headers=said).status_code == 403
        assert client.get("/api/state", headers=said).status_code == 403
    for site in ("same-origin", "none"):
        assert client.get("/api/event", headers={"sec-fetch-site": site}).status_code == 200


def test_a_name_that_is_not_ours_is_not_answered(client: TestClient) -> None:
    for host in ("evil.example", "testserver.evil.example", ""):
        answer = client.get("/api/state", headers={"host": host})
        assert answer.status_code == 400, host
        assert "m" not in answer.text.split()
        assert answer.headers["content-security-policy"]


def test_the_newest_event_is_proposed(client: TestClient) -> None:
    assert client.get("/api/event").json() == {"event": '{"id": 1}'}


def test_without_predictors_or_a_topic_the_rest_is_there() -> None:
    log = MemoryLog()
    watch = Watch(Watched(("m",), ()), log, ManualClock())
    with TestClient(Console(watch, None, log, "").app(OWN)) as client:
        assert client.get("/api/event").json() == {"event": None}
        assert score(client, {"model": "m", "event": "{}"}).status_code == 404
        assert client.get("/api/state").json()["variants"] == []


def test_the_plotting_library_is_found_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.d3().is_file()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(module.ConfigError, match=r"stream-ml\[console\]"):
        module.d3()
