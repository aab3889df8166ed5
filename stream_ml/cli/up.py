"""`stream-ml up`: learner and predictor of one model, in one command."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

import click

from stream_ml.cli.console import of_running
from stream_ml.console.wiring import DEFAULT_PORT, missing, served
from stream_ml.local.running import DIRECTORY, EMBEDDED_SNAPSHOT_SECONDS
from stream_ml.local.stack import Stack
from stream_ml.runtime import kafka_properties
from stream_ml.runtime.lifecycle import interrupt_on_signals


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--bootstrap", help="A Kafka, host:port; without it an embedded broker, which forgets when it stops."
)
@click.option("--topic", default="events", show_default=True, help="The topic with the events.")
@click.option("--create", metavar="PARTITIONS", type=click.IntRange(min=1), help="Create the topic.")
@click.option(
    "--port",
    default=7590,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The predictor's Thrift port; 0 picks one.",
)
@click.option(
    "--directory",
    default=DIRECTORY,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Snapshots, logs and addresses of this run.",
)
@click.option(
    "--console-port",
    type=click.IntRange(0, 65535),
    help=f"Of the page to look at; 0 picks one. Default: {DEFAULT_PORT}, or another if that is taken.",
)
@click.option("--no-console", is_flag=True, help="Serve no page.")
def up(
    model: Path,
    bootstrap: str | None,
    topic: str,
    create: int | None,
    port: int,
    directory: Path,
    console_port: int | None,
    no_console: bool,
) -> None:
    """
    Learn MODEL and serve it, until Ctrl-C.

    `stream-ml send` and `stream-ml score` find the service by the directory.
    """
    learner = {} if bootstrap else {"snapshot_interval_seconds": EMBEDDED_SNAPSHOT_SECONDS}
    stack = Stack(
        model, directory, bootstrap=bootstrap, topic=topic, create=create, thrift_port=port, learner=learner
    )
    interrupt_on_signals()
    try:
        with stack, ExitStack() as resources:
            page = "none" if no_console else _console(stack, resources, console_port)
            _greet(stack, page)
            while True:
                time.sleep(0.5)
                stack.check()
    except KeyboardInterrupt:
        click.echo("stopped")


def _console(stack: Stack, resources: ExitStack, port: int | None) -> str:
    """Serve the page as long as *resources* are open; return where it is, or why there is none."""
    if (lacking := missing()) is not None and port is None:
        return lacking
    kafka = kafka_properties.for_client(None, os.environ) | {"bootstrap.servers": stack.running.bootstrap}
    places = of_running(stack.running, kafka)
    return resources.enter_context(served(places, "127.0.0.1", port))


def _greet(stack: Stack, page: str) -> None:
    running = stack.running
    broker = "embedded broker (forgets when it stops)" if running.embedded else "Kafka"
    click.echo(f"{running.model} is up")
    click.echo(f"  events      {running.topic} at {running.bootstrap}, {broker}")
    click.echo(f"  predictor   {running.predictor} (Thrift, framed binary)")
    click.echo(f"  metrics     http://{running.learner_http}/metrics http://{running.predictor_http}/metrics")
    click.echo(f"  console     {page}")
    click.echo(f"  logs        {stack.directory}/learner.log {stack.directory}/predictor.log")
    click.echo("next: stream-ml send FILE, stream-ml score FILE; Ctrl-C stops", color=True)
