"""`stream-ml console`: a page to look at, without Grafana."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from stream_ml.cli.broker import find_broker
from stream_ml.console.wiring import DEFAULT_PORT, Places, served
from stream_ml.errors import ConfigError
from stream_ml.local.running import DIRECTORY, Running
from stream_ml.runtime.lifecycle import interrupt_on_signals


@click.command()
@click.option("--model", "models", multiple=True, help="A model's name, may be repeated.")
@click.option(
    "--metrics", multiple=True, metavar="HOST:PORT", help="A service's operator port, may be repeated."
)
@click.option(
    "--predictor", multiple=True, metavar="HOST:PORT", help="A Thrift port to score at, may be repeated."
)
@click.option("--topic", default="", help="The events, to propose one in the box.")
@click.option("--bootstrap", help="Kafka, host:port; without it, what `stream-ml up` runs on.")
@click.option("--kafka-file", type=click.Path(path_type=Path), help="Client settings: name=value a line.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The page's address; it asks nobody who they are."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The page's port; 0 picks one. Default: {DEFAULT_PORT}, or another if that is taken.",
)
@click.option(
    "--directory",
    default=DIRECTORY,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Of `stream-ml up`.",
)
def console(
    models: tuple[str, ...],
    metrics: tuple[str, ...],
    predictor: tuple[str, ...],
    topic: str,
    bootstrap: str | None,
    kafka_file: Path | None,
    host: str,
    port: int | None,
    directory: Path,
) -> None:
    """
    Show models in a browser: how well, how fresh, how fast, what was decided; score an event.

    Without addresses it shows what `stream-ml up` runs, which serves such a page itself. It changes nothing.
    """
    kafka, running = find_broker(bootstrap, kafka_file, directory)
    named = Places(models, kafka, metrics, predictor, topic)
    places = named if running is None else of_running(running, kafka, named)
    if not places.models:
        raise ConfigError("no model is named\n  hint: --model NAME")
    interrupt_on_signals()
    try:
        with served(places, host, port) as url:
            click.echo(f"the console of {', '.join(places.models)}: {url}; Ctrl-C stops")
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("stopped")


def of_running(running: Running, kafka: dict[str, str], named: Places | None = None) -> Places:
    """Return where everything is of what `stream-ml up` runs, and what is *named* beside it."""
    named = named or Places((), kafka, (), ())
    return Places(
        models=(running.model, *named.models),
        kafka=kafka,
        services=(running.learner_http, running.predictor_http, *named.services),
        predictors=(running.predictor, *named.predictors),
        events_topic=named.events_topic or running.topic,
    )
