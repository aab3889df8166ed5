"""``stream-ml check``: what a model file says, and what it makes of events."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_ml._native import Plan
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.streams.events_from_files import event_bytes, read_events

# Refused events that are shown one by one; the rest is counted.
SHOWN_REFUSALS = 5
# What learning asks of an event beside its features, and where ``explain`` tells it.
KEYS = {"label": "label", "event_id": "event_id", "timestamp": "timestamp_us"}


@dataclass
class Coverage:
    """
    What a model file makes of many events.

    Attributes:
        refusals: reason and detail, by number of the event from 1.
        slots: events in which a slot has a feature.
        values: the distinct feature ids of a slot.
        without: events without a label, an event id, a timestamp.
    """

    events: int = 0
    refusals: dict[int, tuple[str, str]] = field(default_factory=dict)
    slots: Counter[str] = field(default_factory=Counter)
    values: dict[str, set[str]] = field(default_factory=dict)
    without: Counter[str] = field(default_factory=Counter)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("event", required=False)
@click.option(
    "--events", "events_path", metavar="FILE", help="Check the events of a file (JSON lines, CSV, Parquet)."
)
@click.option(
    "--limit",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Events of FILE to look at.",
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "csv", "parquet"]), help="Of FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def check(
    model: Path,
    event: str | None,
    events_path: str | None,
    limit: int,
    file_format: str | None,
    as_json: bool,
) -> None:
    """
    Check the model file MODEL, and show what it makes of EVENT.

    EVENT is a file that holds one JSON object, the object itself, or - for standard input.

    Exit code 2: the model file is wrong; 1: an event is refused.
    """
    compiled = compile_model(model)
    plan = Plan(compiled.plan_bytes)
    report: dict[str, Any] = _model_report(compiled)
    if event is not None:
        report["event"] = explain(plan, _event_argument(event))
    if events_path is not None:
        records = (event_bytes(each) for each in islice(read_events(events_path, file_format), limit))
        report["events"] = _coverage_report(coverage(plan, records), compiled)
    if as_json:
        click.echo(orjson.dumps(report))
    else:
        _show(report)
    if "refused" in report.get("event", {}) or report.get("events", {}).get("refused"):
        sys.exit(1)


def explain(plan: Plan, event: bytes) -> dict[str, Any]:
    """Return the features of one event, or under ``refused`` its reason and detail."""
    try:
        explained = plan.explain(event)
    except ValueError as error:
        reason, detail = error.args
        return {"refused": {"reason": reason, "detail": detail}}
    features = [
        # Beyond 2**53 a number is not exact in every reader of JSON.
        {"slot": slot, "value": value, "id": f"{feature_id:016x}", "x": x}
        for slot, value, feature_id, x in explained["features"]
    ]
    return {**explained, "features": features}


def coverage(plan: Plan, events: Iterable[bytes]) -> Coverage:
    """Return what *plan* makes of *events*: which slots have features, which events are refused."""
    found = Coverage()
    for event in events:
        found.events += 1
        explained = explain(plan, event)
        if "refused" in explained:
            found.refusals[found.events] = (explained["refused"]["reason"], explained["refused"]["detail"])
            continue
        for feature in explained["features"]:
            found.values.setdefault(feature["slot"], set()).add(feature["id"])
        found.slots.update({feature["slot"] for feature in explained["features"]})
        found.without.update(name for name, key in KEYS.items() if explained[key] is None)
    return found


def _event_argument(event: str) -> bytes:
    if event.lstrip().startswith("{"):
        return _on_one_line(event.encode())
    if event == "-":
        return _on_one_line(sys.stdin.buffer.read())
    try:
        return _on_one_line(Path(event).read_bytes())
    except OSError as error:
        raise ConfigError(f"{event}: cannot be read: {error.strerror}") from error


def _on_one_line(event: bytes) -> bytes:
    """Return an object written over several lines as a producer pushes it; anything else as it is."""
    event = event.strip()
    if b"\n" not in event:
        return event
    try:
        return orjson.dumps(orjson.loads(event))
    except orjson.JSONDecodeError:
        # The core says what is wrong with it.
        return event


def _model_report(compiled: CompiledModel) -> dict[str, Any]:
    model_file = compiled.model_file
    return {
        "name": model_file.name,
        "fingerprint": compiled.fingerprint,
        "label": model_file.label.text,
        "slots": [
            {"name": slot.name, "kind": slot.kind, "seed": slot.seed, "expression": slot.expression}
            for slot in compiled.slots
        ],
    }


def _coverage_report(found: Coverage, compiled: CompiledModel) -> dict[str, Any]:
    reasons = Counter(reason for reason, _ in found.refusals.values())
    return {
        "events": found.events,
        "refused": dict(reasons),
        "refusals": [
            {"event": number, "reason": reason, "detail": detail}
            for number, (reason, detail) in islice(found.refusals.items(), SHOWN_REFUSALS)
        ],
        "without": {
            name: count
            for name, count in found.without.items()
            if getattr(compiled.model_file, name) is not None
        },
        "slots": {
            slot.name: {"events": found.slots[slot.name], "values": len(found.values.get(slot.name, ()))}
            for slot in compiled.slots
        },
    }


def _show(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(Text(f"{report['name']}  fingerprint {report['fingerprint']}  label {report['label']}"))
    counted = report.get("events", {}).get("slots")
    console.print(_slots_table(report["slots"], counted))
    for line in (*_event_lines(report.get("event")), *_events_lines(report.get("events"))):
        console.print(Text(line))


def _slots_table(slots: list[dict[str, str]], counted: dict[str, dict[str, int]] | None) -> Table:
    table = Table("feature", "kind", "expression", box=None, header_style="bold")
    if counted is not None:
        table.add_column("events", justify="right")
        table.add_column("values", justify="right")
    for slot in slots:
        counts = counted[slot["name"]].values() if counted is not None else ()
        cells = (slot["name"], slot["kind"], slot["expression"], *(f"{count:,}" for count in counts))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _event_lines(event: dict[str, Any] | None) -> Iterator[str]:
    if event is None:
        return
    yield ""
    if "refused" in event:
        yield f"refused: {event['refused']['reason']}: {event['refused']['detail']}"
        return
    told = {name: value for name, value in event.items() if name != "features" and value is not None}
    yield "  ".join(f"{name} {value}" for name, value in told.items())
    for feature in event["features"]:
        yield f"  {feature['id']}  {feature['slot']} = {feature['value'] or 'x'}  × {feature['x']:g}"


def _events_lines(events: dict[str, Any] | None) -> Iterator[str]:
    if events is None:
        return
    yield ""
    refused = sum(events["refused"].values())
    yield f"{events['events']:,} events, {refused:,} refused"
    for refusal in events["refusals"]:
        yield f"  event {refusal['event']}: {refusal['reason']}: {refusal['detail']}"
    for name, count in events["without"].items():
        yield f"  {count:,} have no {name}: scored, but not learned"
    for name, counts in events["slots"].items():
        if events["events"] > refused and not counts["events"]:
            yield f"  {name} has no feature in any of them: missing, misspelt, or always 0"
