"""Run one schedule and print what happens: ``python -m tests.property.sharing SEED [BROKEN RULE]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tests.property.sharing.functions import Functions
from tests.property.sharing.learner import Learner
from tests.property.sharing.rules import Rules
from tests.property.sharing.schedule import Schedule, run
from tests.property.sharing.world import World


def told(kind: type, method: str) -> None:
    """Print every call of *method* and what it returns."""
    call: Callable[..., Any] = getattr(kind, method)

    def telling(self: Any, *args: Any, **named: Any) -> Any:
        result = call(self, *args, **named)
        shown = result[1] if kind is Functions else result
        print(
            f"{getattr(self, 'who', kind.__name__):>9} {method}",
            *(args[1:] if kind is Functions else args),
            *named.values(),
            "" if shown is None else f"-> {shown}",
        )
        return result

    setattr(kind, method, telling)


def main() -> int:
    for kind, methods in (
        (World, ("announce", "fail_over", "restart_from_disk", "restart_empty", "lose_a_feed_record")),
        (Schedule, ("rebalance", "calm")),
        (Learner, ("start", "kill", "take", "send")),
        (Functions, ("call",)),
    ):
        for method in methods:
            told(kind, method)
    rules = Rules().broken(sys.argv[2]) if len(sys.argv) > 2 else Rules()
    broken = run(int(sys.argv[1]), rules)
    print(broken or "every promise held")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
