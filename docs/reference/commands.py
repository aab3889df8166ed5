"""The reference of ``stream-ml``, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from docs.reference.markdown import head, page, prose, table
from stream_ml.cli import COMMANDS, cli

_INTRO = """
`stream-ml COMMAND --help` says the same. Errors go to standard error, with what happened and a hint; the exit
code is one of [the services'](../operations.md#exit-codes). `--json` is there for scripts.
"""


def text() -> str:
    """Return the page."""
    with click.Context(cli, info_name="stream-ml") as context:
        parts = [_command(name, *each) for name in COMMANDS for each in _leaves(name, context)]
        overview = table(
            ("command", "does"), [(f"[{name}](#{name})", does) for name, does in COMMANDS.items()]
        )
    return page(head("stream-ml: commands", "`stream_ml/cli`"), _INTRO, overview, *parts)


def _leaves(name: str, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield a command, or a group and its own commands."""
    assert isinstance(context.command, click.Group)
    command = context.command.get_command(context, name)
    assert command is not None
    inner = click.Context(command, parent=context, info_name=name)
    yield command, inner
    if isinstance(command, click.Group):
        for each in command.list_commands(inner):
            yield from _leaves(each, inner)


def _command(first: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    return page(
        ("## " if command.name == first else "### ") + context.command_path.removeprefix("stream-ml "),
        f"`{usage}`",
        prose((command.help or "").replace("\b", "")),
        _options(command.params),
    )


def _options(parameters: Sequence[click.Parameter]) -> str:
    options = [each for each in parameters if isinstance(each, click.Option)]
    rows = [(_written(option), _default(option.default), option.help or "") for option in options]
    return table(("option", "default", "meaning"), rows) if rows else ""


def _written(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(cli)).removesuffix(' RANGE')}"
    return f"`{names}{value}`"


def _default(value: Any) -> str:
    """Only what a person would type has a default to show."""
    known = isinstance(value, str | int | float | Path) and not isinstance(value, bool)
    return f"`{value}`" if known and value != "" else ""
