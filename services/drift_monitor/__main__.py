"""The drift monitor: evaluations in, warnings and drifts out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from services.drift_monitor.app import DriftMonitor, rules_of
from services.drift_monitor.credentials import credentials
from stream_ml.runtime import lifecycle, logging, metrics
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.http import OperatorServer
from stream_ml.runtime.settings import load, log_effective
from stream_ml.streams.kafka import KafkaLog


def serve(settings: DriftMonitorSettings, stop: lifecycle.Stop) -> None:
    """Build the parts, watch until *stop*."""
    log_effective(settings)
    metrics.begin("drift_monitor", [settings.model])
    rules, access = rules_of(settings), credentials(settings.kafka)
    monitor: DriftMonitor | None = None

    def ready() -> str | None:
        return monitor.waits if monitor else "no broker answered yet"

    with ExitStack() as resources:
        http = OperatorServer(settings.http_host, settings.http_port, ready=ready)
        resources.callback(http.close)
        log = KafkaLog(
            {name: str(value) for name, value in settings.kafka.items()},
            unavailable_after_seconds=settings.broker_timeout_seconds,
            stopping=stop.requested,
        )
        resources.callback(log.close)
        if log.connect():
            writer = resources.enter_context(log.writer())
            monitor = DriftMonitor(settings, rules, log, writer, access)
            monitor.run(stop)


def main(arguments: Sequence[str]) -> int:
    """Run the service with command-line *arguments*; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.drift_monitor", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML file; STREAM_ML_… variables override it")
    given = parser.parse_args(arguments)
    logging.configure("drift_monitor")

    def service(stop: lifecycle.Stop) -> None:
        settings = load(DriftMonitorSettings, given.settings, os.environ)
        logging.configure("drift_monitor", settings.log_level, settings.log_format)
        serve(settings, stop)

    return lifecycle.run(service)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Python would wait for the threads that Faust left, and they for brokers.
    os._exit(code)
