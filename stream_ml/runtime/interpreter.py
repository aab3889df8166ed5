"""How the interpreter serves a process of few threads that handle thousands of records at a time."""

from __future__ import annotations

import gc
import sys

# Objects more than before until the interpreter looks among them for cycles: those of several polls.
OBJECTS_BETWEEN_LOOKS = 200_000
# How long a thread that wants to run lets another go on. The native code holds no lock while it learns; the
# shorter this is, the sooner it goes on with the next batch beside a thread that is unpacking records.
SWITCH_SECONDS = 0.0005


def suit_batches() -> None:
    """
    Look for cycles among objects seldom, and change threads often.

    A poll's thousands of records are in no cycle and gone with the poll; by default the interpreter looks at
    them all after every 700 objects. What is there already (modules) is not looked at again. Both together:
    a tenth more events a second from a backlog (`loadtest ingest`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, 10, 10)
    sys.setswitchinterval(SWITCH_SECONDS)
