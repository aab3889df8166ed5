"""A service's life as its operating system sees it: signals, exit codes, the outermost loop."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from stream_ml.errors import CannotContinue, ConfigError, RecoverableError, StreamMlError

log = logging.getLogger(__name__)

# Exit codes. A supervisor should start a process again after 1 and 4; 2 and 3 need a person first.
STOPPED = 0  # asked to stop, stopped cleanly
FAILED = 1  # a fault of ours: the log has the traceback
CONFIG = 2  # a file, setting or argument is wrong; nothing was started
CANNOT_CONTINUE = 3  # going on would lose or mix something; the log says which command goes on
UNAVAILABLE = 4  # a peer stayed away, or another process took over


class Stop:
    """The wish that the process ends; set once, by a signal or by whoever owns the service."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Ask for the end."""
        self._event.set()

    def requested(self) -> bool:
        """Return whether the end was asked for."""
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Sleep until the end is asked for or the time is over; return whether it was asked for."""
        return self._event.wait(timeout_seconds)


def stop_on_signals(stop: Stop) -> None:
    """Let SIGTERM and SIGINT ask *stop*; a second one ends the process by the signal's default."""

    def handle(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", extra={"signal": signal.Signals(number).name})
        stop.request()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGINT raise ``KeyboardInterrupt``, though a shell (`&`) had the latter ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)


def stop_with_parent(stop: Stop) -> None:
    """Let the end of standard input, which the parent process holds, ask *stop*: it may be killed."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        stop.request()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def exit_code(error: StreamMlError) -> int:
    """Return the exit code that tells a supervisor what *error* asks of it."""
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, CannotContinue):
        return CANNOT_CONTINUE
    return UNAVAILABLE if isinstance(error, RecoverableError) else FAILED


def run(service: Callable[[Stop], None]) -> int:
    """Run *service* until it returns; log why it ended and return the process's exit code."""
    stop = Stop()
    stop_on_signals(stop)
    try:
        service(stop)
    except StreamMlError as error:
        log.error(str(error), extra={"error": type(error).__name__})
        return exit_code(error)
    except Exception:  # the outermost loop: whatever it is, it must reach the log
        log.exception("failed")
        return FAILED
    log.info("stopped")
    return STOPPED
