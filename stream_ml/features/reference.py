"""The tables of ``docs/features.md``; run as a module, this prints them."""

from __future__ import annotations

from stream_ml.features.functions import FUNCTIONS
from stream_ml.features.settings import LEARNER
from stream_ml.features.signatures import Example


def functions_table() -> str:
    """Return the functions as the Markdown table of ``docs/features.md``."""
    lines = ["| function | meaning | example | event | feature |", "|---|---|---|---|---|"]
    for function in FUNCTIONS.values():
        head = f"`{function.signature}` | {function.doc.replace('|', chr(92) + '|')}"
        for example in function.examples:
            lines.append(f"| {head} | `{example.expression}` | `{example.event}` | {_shown(example)} |")
            head = "|"
    return "\n".join(lines)


def _shown(example: Example) -> str:
    if example.number is not None:
        return f"x = {example.number:g}"
    return ", ".join(f"`{text}`" for text in example.texts) or "none"


def settings_table() -> str:
    """Return the settings as the Markdown table of ``docs/features.md``."""
    lines = ["| key of `[learner]` | default | allowed | meaning |", "|---|---|---|---|"]
    for setting in LEARNER:
        default = "none" if setting.default is None else f"{setting.default}"
        reason = f" ({setting.why})" if setting.why else ""
        lines.append(f"| `{setting.name}` | `{default}` | {setting.bounds}{reason} | {setting.meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(functions_table(), settings_table(), sep="\n\n")
