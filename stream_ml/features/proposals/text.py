"""A proposal as a commented model file."""

from __future__ import annotations

import json
import re
from typing import Any

from stream_ml.features.proposals.inference import Proposal

# A comment further right is no longer read together with its line.
COMMENT_COLUMN = 56
LONGEST_LINE = 120


def proposal_text(proposal: Proposal, source: str) -> str:
    """Return the model file; *source* is where the sample came from, for its first line."""
    return (
        "\n".join([*_head(proposal, source), *_features(proposal), *_left_out(proposal), *_learner(proposal)])
        + "\n"
    )


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """Return the proposal as one object for scripts."""
    return {
        "name": proposal.name,
        "events": proposal.events,
        "seen": proposal.seen,
        "keys": {key: value for key, (value, _) in proposal.keys.items()},
        "loss": proposal.loss,
        "features": [
            {"name": f.slot, "expression": f.expression, "comment": f.comment} for f in proposal.features
        ],
        "left_out": [{"field": name, "reason": reason} for name, reason in proposal.left_out],
    }


def model_name(source: str) -> str:
    """Return a model's name made of a file's: ``data/Adult Income.csv.gz`` is adult-income."""
    stem = re.split(r"[/\\]", source)[-1].split(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60] or "model"


def _head(proposal: Proposal, source: str) -> list[str]:
    sample = f"{proposal.events:,} of {proposal.seen:,} events of {_one_line(source)}"
    lines = [
        f"# Proposed from {sample}. Change what you like;",
        "# `stream-ml check` shows what this file makes of an event, docs/features.md the language.",
        _line("name", proposal.name, "", 10),
    ]
    for key in ("event_id", "timestamp", "label", "unlabelled"):
        if key in proposal.keys:
            lines.append(_line(key, *proposal.keys[key], 10))
        elif key == "event_id":
            lines.append(
                '# event_id = "…"   # no field looks like one; it lets a repeated event be learned once'
            )
    return lines


def _features(proposal: Proposal) -> list[str]:
    features = proposal.features
    width = min(24, max(len(feature.slot) for feature in features))
    return ["", "[features]", *(_line(f.slot, f.expression, f.comment, width) for f in features)]


def _left_out(proposal: Proposal) -> list[str]:
    if not proposal.left_out:
        return []
    return [
        "",
        "# Left out:",
        *(f"#   {_one_line(name)}: {_one_line(reason)}" for name, reason in proposal.left_out),
    ]


def _learner(proposal: Proposal) -> list[str]:
    return [
        "",
        "[learner]",
        _line("loss", proposal.loss, "", 5),
        "alpha = 0.1    # step size; 0.02 to 0.5 are worth a try",
    ]


def _line(key: str, value: str, comment: str, width: int) -> str:
    # A key of other letters needs quotes.
    written = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
    line = f"{written:<{width}} = {_text(value)}"
    if not comment:
        return line
    beside = f"{line:<{COMMENT_COLUMN}} # {_one_line(comment)}"
    return beside if len(beside) <= LONGEST_LINE else f"# {_one_line(comment)}\n{line}"


def _text(value: str) -> str:
    """Return a TOML text; the literal kind where it spares escapes."""
    if '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    # JSON's escapes are TOML's; only DEL is allowed in the one and not in the other.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    """Return a comment's text: data may hold anything."""
    return "".join(character if character.isprintable() else "?" for character in text)
