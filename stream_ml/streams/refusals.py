"""What each reason of a refusal means, and what mends it: for people."""

from __future__ import annotations

EXPLANATIONS = {
    "invalid_json": ("the line is no JSON object", "mend the producer: one object a line, UTF-8, no NaN"),
    "invalid_utf8": ("a text is not UTF-8", "mend the producer: encode as UTF-8, or with \\u escapes"),
    "too_deep": ("objects are nested too deeply", "send the fields that the model reads nearer to the top"),
    "too_large": ("the event, or a value in it, is too large", "leave out what the model does not read"),
    "wrong_type": (
        "a field holds another kind of value than the model file reads",
        "mend the producer, or read the field otherwise in the model file: text(x), default(x, …)",
    ),
    "out_of_range": (
        "a number is beyond what can be learned from",
        "mend the producer, or bound it in the model file: clip(x, low, high)",
    ),
    "no_label": (
        "the event has no label",
        'push it once its outcome is known, or say unlabelled = "skip" in the model file',
    ),
    "no_event_id": (
        "the event has no event_id, or an empty one",
        "mend the producer: repeats could not be told from new events",
    ),
    "no_timestamp": ("the event has no timestamp", "mend the producer"),
    "future_timestamp": (
        "the event's time lies beyond its record's by more than max_skew_seconds",
        "mend the producer's clock or the unit of its time (seconds since 1970, or ISO 8601)",
    ),
}


def explained(reason: str) -> tuple[str, str]:
    """Return what *reason* means and what mends it; also of one that only a later release knows."""
    return EXPLANATIONS.get(reason, ("a reason that this release does not know", "ask a newer stream-ml"))
