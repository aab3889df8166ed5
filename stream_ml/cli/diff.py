"""`stream-ml diff`: what a changed model file would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from stream_ml.cli.stored import find_snapshot
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.features.differences import Difference, Differences, differences


@click.command()
@click.argument("old")
@click.argument("new")
@click.option("--model", help="Of a store, where it has several.")
@click.option("--variant", help="Of a store; default: the one that began last.")
@click.option("--json", "as_json", is_flag=True, help="Print one object for scripts.")
def diff(old: str, new: str, model: str | None, variant: str | None, as_json: bool) -> None:
    """
    Compare two model files, slot by slot.

    OLD and NEW are model files, or snapshots (a file, or the folder or URL of a store, of which the newest is
    taken): every snapshot holds the model file that it was learned with.
    """
    before, after = (_model_of(target, model, variant) for target in (old, new))
    found = differences(before, after)
    if as_json:
        click.echo(orjson.dumps(_described(before, after, found)).decode())
    else:
        _show(found)


def _model_of(target: str, model: str | None, variant: str | None) -> CompiledModel:
    path = Path(target)
    if path.is_file() and path.suffix != ".safetensors":
        return compile_model(path)
    if not path.exists() and "://" not in target:
        raise ConfigError(f"{target}: neither a model file nor a snapshot nor a store")
    store, name = find_snapshot(target, model, variant)
    with store.open(name) as snapshot:
        return compile_model(snapshot.parts().model.decode())


def _described(before: CompiledModel, after: CompiledModel, found: Differences) -> dict[str, Any]:
    return {
        "fingerprints": [before.fingerprint, after.fingerprint],
        "unchanged": found.unchanged,
        "slots": [_each(difference) for difference in found.slots],
        "keys": [_each(difference) for difference in found.keys],
        "settings": [_each(difference) for difference in found.settings],
        "warm": not found.obstacle,
        "obstacle": found.obstacle or None,
    }


def _each(difference: Difference) -> dict[str, Any]:
    return {
        "name": difference.name,
        "change": difference.change,
        "before": difference.before,
        "after": difference.after,
    }


def _show(found: Differences) -> None:
    if found.unchanged:
        click.echo(f"{len(found.unchanged)} unchanged: {', '.join(found.unchanged)}")
    for difference in found:
        click.echo(str(difference))
    if found.obstacle:
        click.echo(f"a learner does not go on with these rows: {found.obstacle}")
    elif next(iter(found), None) is None:
        click.echo("nothing differs")
    else:
        click.echo("a learner that is started with NEW begins a variant with the rows of OLD")
