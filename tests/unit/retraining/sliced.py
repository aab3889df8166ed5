"""A stream on which a challenger is better overall, and much worse in one segment."""

from __future__ import annotations

import numpy as np
import orjson

from stream_ml.retraining.jobs import Setting

SEGMENT = 'segment = "kind"\n'
MODEL = """
name = "m"
label = "y"
[features]
item = "item"
noise = "noise"
special = "special"
[learner]
alpha = 4.0
base_rate_events = 100
evaluate_every = 100
"""
# Without what only makes noise, and without what alone tells in the segment.
BLIND = Setting(name="blind", slots=("item",), warm=False)
# Only without the noise.
CLEAR = Setting(name="clear", slots=("item", "special"), warm=False)


def model_text(*, segmented: bool = True) -> str:
    return MODEL.replace("[features]", f"{SEGMENT if segmented else ''}[features]")


def events(count: int) -> list[bytes]:
    """
    Return events of the kinds web, shop ($), and one in 25 phone.

    Only there the label follows from what is special.
    """
    random = np.random.default_rng(17)
    kinds = random.choice(["web", "shop ($)", "phone"], count, p=[0.6, 0.36, 0.04])
    item, noise, special = (random.integers(0, most, count) for most in (20, 1_000, 10))
    usual = 1 / (1 + np.exp(2 - item % 5))
    chance = np.where(kinds == "phone", np.where(special < 5, 0.05, 0.95), usual)
    label = random.random(count) < chance
    columns = zip(
        kinds.tolist(), label.tolist(), item.tolist(), noise.tolist(), special.tolist(), strict=True
    )
    return [
        orjson.dumps(
            {"kind": kind, "y": int(y), "item": i, "noise": n, **({"special": s} if kind == "phone" else {})}
        )
        for kind, y, i, n, s in columns
    ]
