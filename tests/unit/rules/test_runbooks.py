"""Every alert has a page, in one shape; what it asks Prometheus exists, what it runs too."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml

from stream_ml.cli import cli
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings
from tests.alerts import ROOT, RUNBOOKS, alerts, rules
from tests.promql import recorded, selected_of_ours
from tests.servers.prometheus import promtool
from tests.unit.rules.exported import exported

PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "README.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADINGS = ["## See", "## Do", "## If nothing is done"]
SETTINGS = {
    name
    for kind in (LearnerSettings, PredictorSettings, DriftMonitorSettings, RetrainerSettings)
    for name in kind.model_fields
}
# Values of labels that pages explain, keys of a model file, what a client asks for, a service.
WORDS = {
    "drift_monitor",
    "max_rows",
    "max_weights_age",
    "no_events",
    "no_labels",
    "no_model_yet",
    "out_of_buffers",
    "stale_weights",
    "too_many_connections",
}
# What is run beside our own: tools that whoever runs a service has.
_TOOLS = {"curl", "redis-cli"}


def blocks(page: Path, kind: str) -> str:
    return "".join(text for found, text in _BLOCK.findall(page.read_text()) if found == kind)


def commands(text: str) -> set[str]:
    """Return every command of ours in a page: in its blocks, and between backticks."""
    lines = [*"".join(body for kind, body in _BLOCK.findall(text) if kind == "sh").splitlines()]
    return {line for line in (*lines, *re.findall(r"`([^`\n]+)`", text)) if line.startswith("stream-ml ")}


def refused(command: str) -> str:
    """Say what is wrong with a command line: a name or option that there is not."""
    words = command.split()[1:]
    with click.Context(cli) as context:
        found = cli.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]}"
        if isinstance(found, click.Group):
            found = found.get_command(context, words[1])
            if found is None:
                return f"no command {words[1]}"
    known = {option for parameter in found.params for option in parameter.opts}
    return ", ".join(word for word in words if word.startswith("--") and word not in known)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_it_means_how_to_see_it_what_to_do_and_what_else(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n\n")
    assert re.findall(r"^## .+$", text, flags=re.MULTILINE) == _HEADINGS
    before, see, do, nothing = re.split(r"^## .+$", text, flags=re.MULTILINE)
    assert len(before.split()) > 10
    assert [kind for kind, _ in _BLOCK.findall(see)] == ["promql", "sh"]
    assert re.search(r"^1\. \S", do, flags=re.MULTILINE)
    assert len(nothing.split()) > 3
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_runs_exists(page: Path) -> None:
    for command in commands(page.read_text()):
        assert refused(command) == "", command
    for line in blocks(page, "sh").splitlines():
        assert line.split()[0] in {*_TOOLS, "stream-ml"}, line
    for service in re.findall(r"python -m services\.(\w+)", page.read_text()):
        assert (ROOT / "services" / service / "__main__.py").exists()


def test_a_command_that_there_is_not_is_noticed() -> None:
    for right in ("stream-ml stop learner.toml --why x", "stream-ml snapshot copy x --from y"):
        assert refused(right) == ""
    assert refused("stream-ml halt learner.toml") == "no command halt"
    assert refused("stream-ml snapshot take") == "no command take"
    assert refused("stream-ml stop learner.toml --force") == "--force"


def test_what_pages_ask_prometheus_is_promql_over_what_is_exported(tmp_path: Path) -> None:
    made = {rule["record"] for rule in rules() if "record" in rule}
    asked = {page.stem: blocks(page, "promql").strip() for page in PAGES}
    for name, query in asked.items():
        assert {each.name for each in selected_of_ours(query)} <= exported().keys(), name
        assert recorded(query) <= made, name
    group = [{"record": f"asked:{name}", "expr": query} for name, query in asked.items()]
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": group}]}))
    done = promtool("check", "rules", tmp_path / "asked.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_metrics_and_settings_that_a_page_names_exist(page: Path) -> None:
    made = {rule["record"] for rule in rules() if "record" in rule}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported()}
    named = re.findall(r"`((?:\w+:)?stream_ml_\w+(?::\w+)?)`", page.read_text())
    assert set(named) <= exported().keys() | families | made
    for word in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page.read_text()):
        assert word in SETTINGS | WORDS or word.startswith("stream_ml_"), word


def test_words_that_are_no_settings_stand_in_a_page() -> None:
    texts = "".join(page.read_text() for page in PAGES)
    assert {word for word in WORDS if f"`{word}`" not in texts} == set()
    assert set() == WORDS & SETTINGS
