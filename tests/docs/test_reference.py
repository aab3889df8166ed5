"""The pages that are made of code are what the code makes, and nothing is missing in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import thriftpy2
from thriftpy2.thrift import TType

from docs.reference import alerts, predictor
from docs.reference.markdown import prose, table
from docs.reference.pages import PAGES
from stream_ml.cli import COMMANDS, cli
from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.model_file import LEARNER_KEYS, TOP_KEYS
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings
from tests.alerts import alerts as rules_that_ring
from tests.alerts import rules
from tests.docs.pages import DOCS, ROOT

REFERENCE = DOCS / "reference"
ALERTS = rules_that_ring()
IDL = thriftpy2.load(str(predictor.IDL), module_name="reference_thrift")
RECORDS = {record.name: record for record in predictor.records(predictor.IDL.read_text())}
CALLS = {call.name: call for call in predictor.calls(predictor.IDL.read_text())}


@pytest.mark.parametrize(("path", "text"), PAGES.items(), ids=lambda each: getattr(each, "name", ""))
def test_a_page_is_what_the_code_makes(path: Path, text: Callable[[], str]) -> None:
    assert path.read_text() == text(), "python -m docs.reference writes it"


def test_every_page_of_the_folder_is_made() -> None:
    assert set(REFERENCE.glob("*.md")) <= set(PAGES)


def test_every_key_and_function_of_the_model_file_is_there() -> None:
    page = (REFERENCE / "model-file.md").read_text()
    for name in (*TOP_KEYS, *LEARNER_KEYS):
        assert f"| `{name}` |" in page or f"## `[{name}]`" in page, name
    for function in FUNCTIONS.values():
        assert f"`{function.signature}`" in page.replace("\\|", "|")
        assert function.examples, function.name


@pytest.mark.parametrize(
    "kind", [LearnerSettings, PredictorSettings, DriftMonitorSettings, RetrainerSettings]
)
def test_every_setting_is_there(kind: Any) -> None:
    page = (REFERENCE / "settings.md").read_text()
    assert [name for name in kind.model_fields if page.count(f"\n| `{name}` |") < 1] == []


def test_every_command_and_option_is_there() -> None:
    page = (REFERENCE / "commands.md").read_text()
    with click.Context(cli) as context:
        for name in COMMANDS:
            command = cli.get_command(context, name)
            assert command is not None
            for each in (command, *getattr(command, "commands", {}).values()):
                section = re.split(rf"^###? (?:{name} )?{each.name}$", page, flags=re.MULTILINE)[1]
                for option in (each for each in each.params if isinstance(each, click.Option)):
                    assert f"`{option.opts[0]}" in section.split("\n#")[0], option.opts


def test_every_struct_exception_and_field_of_the_idl_is_there() -> None:
    kinds = [each for each in vars(IDL).values() if isinstance(each, type) and hasattr(each, "thrift_spec")]
    assert {kind.__name__ for kind in kinds} == RECORDS.keys()
    for kind in kinds:
        record = RECORDS[kind.__name__]
        assert (record.kind == "exception") == issubclass(kind, Exception)
        assert fields_of(record.fields) == {
            number: (spec[1], spec[-1]) for number, spec in kind.thrift_spec.items()
        }
        given = {name: default for name, default in kind.default_spec if default is not None}
        assert {each.name: each.default for each in record.fields if each.default} == {
            name: str(default).lower() for name, default in given.items()
        }
        assert record.meaning
        assert all(each.meaning for each in record.fields)


def fields_of(fields: tuple[predictor.Field, ...]) -> dict[int, tuple[str, bool]]:
    return {each.id: (each.name, each.need == "required") for each in fields}


def test_every_call_of_the_idl_is_there_with_what_it_takes_gives_and_throws() -> None:
    service = IDL.Predictor
    assert set(service.thrift_services) == CALLS.keys()
    for name, call in CALLS.items():
        arguments = getattr(service, f"{name}_args").thrift_spec
        assert {each.id: each.name for each in call.arguments} == {
            n: spec[1] for n, spec in arguments.items()
        }
        results = getattr(service, f"{name}_result").thrift_spec
        thrown = [spec[2] for number, spec in sorted(results.items()) if number]
        assert [kind.__name__ for kind in thrown] == list(call.throws)
        assert call.returns.startswith("list<") == (results[0][0] == TType.LIST)
        assert call.meaning


def test_every_objective_is_there_with_its_figure_and_those_that_judge_by_it() -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "objective" in rule.get("record", "")}
    assert {name: figure for name, figure, _ in alerts.objectives()} == recorded
    page = (REFERENCE / "objectives.md").read_text()
    for name in recorded:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name.split(':')[-1]}` |")]
        judging = {rule["alert"] for rule in ALERTS if re.search(rf"{name}\b", rule["expr"])}
        assert set(re.findall(r"\[(\w+)\]", row)) == judging != set()


def test_every_alert_is_in_the_index_of_the_runbooks_with_what_it_means() -> None:
    page = (DOCS / "runbooks" / "README.md").read_text()
    for alert in {rule["alert"] for rule in ALERTS}:
        (row,) = re.findall(rf"^\| \[{alert}\]\({alert}\.md\) \| ([\w, ]+) \| (.+) \|$", page, re.MULTILINE)
        assert set(row[0].split(", ")) == {
            rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == alert
        }
        assert len(row[1].split()) > 3, alert


def test_comments_become_paragraphs_and_cells_hold_bars() -> None:
    assert prose("\n * One\n * line.\n *\n * Another.\n ") == "One line.\n\nAnother."
    assert table(("a", "b"), [("x|y", "")]) == "| a | b |\n|---|---|\n| x\\|y | |"


def test_the_objectives_of_the_operators_page_are_those_that_are_judged() -> None:
    figures = {name.split(":")[-1]: float(figure) for name, figure, _ in alerts.objectives()}
    section = (DOCS / "operations.md").read_text().split("## Objectives")[1].split("\n## ")[0]
    assert f"{100 * (1 - figures['call_errors_ratio']):g} % of a month's calls" in section
    assert f"{100 * (1 - figures['slow_calls_ratio']):g} % of a month's calls" in section
    assert f"older than {figures['weights_age_seconds']:g} s" in section
    assert f"{100 * (1 - figures['late_rows_ratio']):g} % of the rows" in section
    month_minutes = 30 * 24 * 60
    assert f"{figures['call_errors_ratio'] * month_minutes:.0f} minutes of 30 days" in section
    assert f"{figures['slow_calls_ratio'] * month_minutes / 60:.0f} hours of 30 days" in section
    burning = (ROOT / "helm/stream-ml/alerts/predictor.yaml").read_text()
    assert {
        float(rate) for rate in re.findall(r"> ([\d.]+) \* scalar\(max\(stream_ml:objective:call_", burning)
    } == {
        14.4,
        6,
        1,
    }
