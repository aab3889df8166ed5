from __future__ import annotations

import re
from pathlib import Path

from stream_ml.streams.refusals import EXPLANATIONS, explained

BLOCK = Path(__file__).parents[3] / "stream_ml/native/src/block.rs"


def test_every_reason_of_a_refusal_is_explained() -> None:
    assert set(re.findall(r'Reason::\w+ => "(\w+)"', BLOCK.read_text())) == set(EXPLANATIONS)


def test_a_reason_of_a_later_release_is_said_to_be_unknown() -> None:
    assert explained("of_the_future")[0] == "a reason that this release does not know"
