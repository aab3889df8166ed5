"""
The retrainer service as it is, ended when it reaches a named point of a job.

``MOMENT:SIGNAL --settings SETTINGS`` (``none`` lives on).
"""

from __future__ import annotations

import sys

from services.retrainer.__main__ import main
from tests.system.doomed_retrainer import struck

if __name__ == "__main__":
    doom, *arguments = sys.argv[1:]
    sys.exit(main(arguments, struck(doom)))
