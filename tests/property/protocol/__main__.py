"""Run one schedule and print what happens: ``python -m tests.property.protocol SEED [BROKEN RULE]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.property.protocol.learner import Learner
from tests.property.protocol.predictor import Predictor
from tests.property.protocol.rules import Rules
from tests.property.protocol.schedule import Schedule, run
from tests.property.protocol.world import World


def told(kind: type, method: str) -> None:
    """Print every call of *method* and what it returns."""
    call: Callable[..., Any] = getattr(kind, method)

    def telling(self: Any, *args: Any, **named: Any) -> Any:
        result = call(self, *args, **named)
        print(
            f"{getattr(self, 'who', kind.__name__):>9} {method}",
            *args,
            *named.values(),
            "" if result is None else f"-> {result}",
        )
        return result

    setattr(kind, method, telling)


def main() -> int:
    for kind, methods in (
        (World, ("append", "lose_the_tail", "corrupt_a_snapshot", "rewrite_an_event", "lose_a_feed_record")),
        (Schedule, ("fault", "calm")),
        (Learner, ("start", "kill", "begin_writing", "replay", "send", "seal")),
        (Predictor, ("start", "load", "apply")),
    ):
        for method in methods:
            told(kind, method)
    rules = Rules().broken(sys.argv[2]) if len(sys.argv) > 2 else Rules()
    broken = run(int(sys.argv[1]), rules)
    print(broken or "every promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
