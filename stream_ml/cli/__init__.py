"""``stream-ml``: the commands for people. Each name in COMMANDS is a module beside this one."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from stream_ml.errors import StreamMlError
from stream_ml.runtime.lifecycle import exit_code

# In the order in which a newcomer meets them; a module is imported only when its command is asked for.
COMMANDS = {
    "demo": "learn a year of shopping baskets and score them live",
    "demo-redis": "let several learners share a model in Redis, and kill one",
    "demo-drift": "let what visitors buy change; alarm, retraining, promotion",
    "hotels": "score hotel bookings, learn them months later: honest figures",
    "init": "write a model file from a sample of your own events",
    "check": "check a model file; show what it makes of an event",
    "up": "run learner and predictor, on an embedded broker or your Kafka",
    "send": "push events from a file",
    "backfill": "push the history, from files or a query, before going live",
    "score": "ask for scores",
    "console": "show models in a browser, and score an event",
    "topics": "make the topics of a model, and list them",
    "learn": "run a learner",
    "serve": "run a predictor",
    "inspect": "look into a snapshot",
    "export": "write examples or weights for other tools",
    "dead-letters": "list and explain refused events, send them again after a fix",
    "diff": "compare two model files, or snapshots, slot by slot",
    "skip": "give up events that cannot be learned",
    "status": "show variants, and who learns which partition, how far",
    "jobs": "list retrain jobs, ask for one, cancel one",
    "history": "show who decided what about a model, when and why",
    "retrain": "train challengers on a file, compare them with the model",
    "promote": "let a challenger serve",
    "rollback": "let the variant serve again that did before",
    "stop": "stop learning; scores go on",
    "resume": "learn again after a stop, in one of three ways",
    "snapshot": "move a model's rows between memory and Redis, or to other shards",
    "drift": "say where a file of events drifts, as the drift monitor would",
    "replay": "rebuild the weights from journal and events",
}


class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f"stream_ml.cli.{name.replace('-', '_')}"), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stream-ml")
def cli() -> None:
    """Online learning from Kafka: an event pushed now changes the next score an application gets."""


def main() -> None:
    """Run a command; an error ends it with the exit code that a service would end with."""
    try:
        cli(prog_name="stream-ml")
    except StreamMlError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(exit_code(error))
