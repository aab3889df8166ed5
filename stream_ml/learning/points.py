"""The named points of a batch's life: where tests end the process to see that nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Point(Enum):
    """
    Something was just done and what follows it was not.

    In the order of a writer's life. Between `LEARNED` and `LINE_READ_BACK` nothing of the step is visible; a
    step's outputs follow `LINE_READ_BACK` in the order of their names.
    """

    VARIANT_BEGUN = "the variant and the decision that it serves are in the journal"
    CHANGED_VARIANT_BEGUN = "the variant of a changed model file is in the journal, another one serves"
    CHALLENGER_BEGUN = "the variant of a challenger is in the journal"
    CLAIM_SENT = "the claim is on its way"
    CLAIMED = "the claim was read back"
    OUTPUTS_SENT_AGAIN = "the outputs since the snapshot were sent again"
    BATCH_TAKEN = "a batch was polled, nobody knows of it"
    STEP_LINE_SENT = "its step line is on its way"
    LEARNED = "its rows are updated"
    LINE_READ_BACK = "its line was read back with no higher claim before it"
    OUTPUTS_SENT = "its dead letters and evaluations are on their way"
    BREAKER_OPENED = "the decision that learning stops, because labels broke, is on its way"
    DELTA_CUT = "the rows of a delta were collected"
    DELTA_HALF_SENT = "the first chunk of a delta is on its way, the others are not"
    DELTA_SENT = "all chunks of a delta are on their way"
    IMAGE_BEGUN = "a snapshot has begun"
    IMAGE_SEALED = "all rows of a snapshot were taken; outputs of its steps may be unacknowledged"
    SNAPSHOT_STORED = "a snapshot has its name in the store, nobody announced it"
    SNAPSHOT_ANNOUNCED = "its line is on its way"
    SNAPSHOT_READ_BACK = "its line was read back; older snapshots are still there"
    SERVING_DECIDED = "the decision that a variant, which has caught up, serves is on its way"
    OFFSETS_COMMITTED = "offsets were committed, as advice"


Reached = Callable[[Point], None]


def go_on(point: Point) -> None:
    """Do nothing: what a real service does at every point."""
