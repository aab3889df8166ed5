"""``stream-ml dead-letters``: refused events: list them, say why, send them again after a fix."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import click
import orjson

from stream_ml._native import Plan
from stream_ml.cli.broker import find_broker
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.learning.outputs import dead_letters_topic
from stream_ml.local.running import DIRECTORY, Running
from stream_ml.streams.events_from_files import read_events
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.refusals import EXPLANATIONS, explained
from stream_ml.streams.resending import Refused, read_refused, resend, settle

SHOWN_OF_A_REASON = 3
SHOWN_BYTES = 200


@click.command("dead-letters")
@click.option("--model", help="The model's name; default: the one that `stream-ml up` runs.")
@click.option(
    "--check",
    "model_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A mended model file: what would it make of each now?",
)
@click.option("--reason", multiple=True, help=f"Only this reason: {', '.join(sorted(EXPLANATIONS))}.")
@click.option("--variant", help="Only what this variant refused.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many.")
@click.option("--resend", "sending", is_flag=True, help="Send them again to where they came from, each once.")
@click.option(
    "--mended",
    metavar="FILE",
    help="What --json printed, with `event` mended; with --resend only these are sent, as they stand there.",
)
@click.option("--bootstrap", help="Kafka, host:port; without it, what `stream-ml up` runs on.")
@click.option("--kafka-file", type=click.Path(path_type=Path), help="Client settings: name=value a line.")
@click.option("--directory", default=DIRECTORY, type=click.Path(path_type=Path), help="Of `stream-ml up`.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one object a dead letter, or one of what was sent."
)
def dead_letters(
    model: str | None,
    model_file: Path | None,
    reason: tuple[str, ...],
    variant: str | None,
    limit: int | None,
    sending: bool,
    mended: str | None,
    bootstrap: str | None,
    kafka_file: Path | None,
    directory: Path,
    as_json: bool,
) -> None:
    """
    List the dead letters of a model, say what each means, and with --resend send them again after a fix.

    An event is sent once, however often this command is run or killed: the topic of the dead letters
    remembers. With --check, what would be refused again stays where it is.
    """
    if mended is not None and not sending:
        raise ConfigError("--mended says what is sent, and nothing is\n  hint: add --resend")
    _warn_of_unknown(reason)
    compiled = None if model_file is None else compile_model(model_file)
    plan = None if compiled is None else Plan(compiled.plan_bytes)
    settings, running = find_broker(bootstrap, kafka_file, directory)
    follow_group = running.group if running and running.embedded else None
    topic = dead_letters_topic(_name(model, running, compiled))
    with closing(KafkaLog(settings)) as log:
        if log.topic(topic) is None:
            raise ConfigError(f"there is no topic {topic}\n  hint: is --model the name in the model file?")
        found = islice(_chosen(read_refused(log, topic), reason, variant), limit)
        letters = [_Seen(each, plan) for each in found]
        if sending:
            report = _resend(log, topic, letters, mended, follow_group)
            _tell_sent(report, as_json=as_json)
        else:
            _list(letters, as_json=as_json)


def _name(model: str | None, running: Running | None, compiled: CompiledModel | None) -> str:
    name = model or (running.model if running else None) or (compiled.model_file.name if compiled else None)
    if name is None:
        raise ConfigError("no model is named\n  hint: --model NAME, or --check MODEL_FILE")
    return name


def _warn_of_unknown(reasons: tuple[str, ...]) -> None:
    """Say which *reasons* may be misspelt; a learner of a later release may still have written them."""
    for each in sorted(set(reasons) - EXPLANATIONS.keys()):
        near = difflib.get_close_matches(each, EXPLANATIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(EXPLANATIONS))}"
        click.echo(f"warning: this release knows no reason {each!r}\n  hint: {hint}", err=True)


def _chosen(found: Iterable[Refused], reasons: tuple[str, ...], variant: str | None) -> Iterator[Refused]:
    for each in found:
        if (not reasons or each.letter.reason in reasons) and (variant is None or variant in each.variants):
            yield each


class _Seen:
    """A dead letter, and what a mended model file says of it."""

    def __init__(self, refused: Refused, plan: Plan | None) -> None:
        self.refused, self.letter, self._plan = refused, refused.letter, plan
        self.now = self.judged(self.letter.event)

    def judged(self, event: bytes) -> tuple[str, str] | None:
        """Return reason and detail if *event* would be refused again; None if not, or if nobody asks."""
        if self._plan is None:
            return None
        refusals = self._plan.scan([event], [int(time.time() * 1000)]).refused
        return (refusals[0].reason, refusals[0].detail) if refusals else None

    def as_object(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        letter = self.letter
        meaning, mends = explained(letter.reason)
        judged = (
            {} if self._plan is None else {"now": "accepted" if self.now is None else ": ".join(self.now)}
        )
        return {
            "key": letter.key().decode(),
            "reason": letter.reason,
            "detail": letter.detail,
            "meaning": meaning,
            "mends": mends,
            "variants": self.refused.variants,
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "index": letter.index,
            "sent_again": self.refused.sent,
            "cut_from_bytes": letter.cut_from_bytes,
            **judged,
            "event": letter.event.decode(errors="replace"),
        }


def _list(letters: list[_Seen], *, as_json: bool) -> None:
    if as_json:
        for each in letters:
            click.echo(orjson.dumps(each.as_object()))
        return
    sent = sum(each.refused.sent for each in letters)
    click.echo(f"{len(letters):,} dead letters, {sent:,} of them sent again")
    for reason in dict.fromkeys(each.letter.reason for each in letters):
        _show([each for each in letters if each.letter.reason == reason])


def _show(letters: list[_Seen]) -> None:
    meaning, mends = explained(letters[0].letter.reason)
    click.echo(f"\n{letters[0].letter.reason}: {len(letters):,}: {meaning}\n  hint: {mends}")
    for each in letters[:SHOWN_OF_A_REASON]:
        letter = each.letter
        origin = f"{letter.topic}[{letter.partition}] offset {letter.offset}, event {letter.index}"
        click.echo(f"  {origin}: {letter.detail}")
        click.echo(f"    {letter.event[:SHOWN_BYTES].decode(errors='replace')}")
        if each.now is not None:
            click.echo(f"    refused by the mended model file too: {': '.join(each.now)}")
    if len(letters) > SHOWN_OF_A_REASON:
        click.echo(f"  … {len(letters) - SHOWN_OF_A_REASON:,} more; --json prints all of them")


def _resend(
    log: KafkaLog, topic: str, letters: list[_Seen], mended: str | None, follow_group: str | None
) -> dict[str, int]:
    """Send what can be sent; return how many were, and why the others were not."""
    events = None if mended is None else _mended(mended)
    wanted = [each for each in letters if events is None or each.letter.key() in events]
    if events is not None and len(wanted) < len(events):
        absent = len(events) - len(wanted)
        raise ConfigError(
            f"{mended}: {absent} of its keys are not among the dead letters asked for in {topic}"
        )
    settle(log, topic, [each.refused for each in wanted])
    report = {"sent": 0, "sent_before": 0, "still_refused": 0, "cut": 0}
    chosen = []
    for each in wanted:
        event = each.letter.event if events is None else events[each.letter.key()]
        if each.refused.sent:
            report["sent_before"] += 1
        elif events is None and each.letter.cut_from_bytes is not None:
            report["cut"] += 1
        elif each.judged(event) is not None:
            report["still_refused"] += 1
        else:
            chosen.append((each.refused, event))
    resend(log, topic, chosen, follow_group=follow_group)
    return report | {"sent": len(chosen)}


def _mended(file: str) -> dict[bytes, bytes]:
    events = {}
    for number, line in enumerate(read_events(file, "jsonl"), 1):
        try:
            said = orjson.loads(line) if isinstance(line, bytes) else line
            event = said["event"]
            # An object is as good as its text: jq makes one easily.
            # Line breaks that an editor put in would make several events of it; in JSON they are mere space.
            text = event.replace("\n", " ").encode() if isinstance(event, str) else orjson.dumps(event)
            events[said["key"].encode()] = text
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{file}:{number}: no object with a key and an event: {error}\n"
                "  hint: mend what `stream-ml dead-letters --json` prints"
            ) from error
    return events


def _tell_sent(report: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(report))
        return
    click.echo(f"{report['sent']:,} dead letters sent again")
    for name, said in (
        ("sent_before", "were sent before"),
        ("still_refused", "would be refused again by the model file"),
        ("cut", "are only the beginning of a larger event: mend them with --mended"),
    ):
        if report[name]:
            click.echo(f"{report[name]:,} {said}")
