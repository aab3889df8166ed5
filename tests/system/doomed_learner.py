"""The learner service, killed the moment it reaches a named point: ``POINT:TIMES``, its own arguments."""

from __future__ import annotations

import os
import signal
import sys

from services.learner.__main__ import main
from stream_ml.learning.points import Point


def killed_at(point: Point, times: int) -> int:
    left = times

    def reached(at: Point) -> None:
        nonlocal left
        left -= at is point
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    return main(sys.argv[2:], reached)


if __name__ == "__main__":
    name, _, times = sys.argv[1].partition(":")
    sys.exit(killed_at(Point[name], int(times)))
