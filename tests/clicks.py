"""A stream of clicks for the learner's tests: some are broken, some come twice."""

from __future__ import annotations

import json

MODEL = """
name = "clicks"
event_id = "id"
label = "label"

[features]
user = "user"
page = "page"
both = "cross(user, page)"
price = "log1p(price)"

[learner]
alpha = 0.3
l1 = 0.05
evaluate_every = 50
duplicate_window = 100
"""
EVALUATE_EVERY = 50


def identity(number: int) -> int:
    """Whose event *number* is: every 89th says again what came 30 before."""
    return number - 30 if number % 89 == 88 else number


def is_broken(number: int) -> bool:
    """Every 97th is broken."""
    return identity(number) % 97 == 96


def event(number: int) -> bytes:
    """Return event *number*."""
    number = identity(number)
    if is_broken(number):
        return b'{"id": "e%d", "label": ' % number
    fields = {
        "id": f"e{number}",
        "label": int(number * 7919 % 11 < 3),
        "user": f"u{number % 13}",
        "page": f"p{number * 31 % 101}",
        "price": number % 5 + 0.5,
    }
    return json.dumps(fields).encode()


def events(count: int, first: int = 0) -> list[bytes]:
    """Return *count* events from *first* on."""
    return [event(number) for number in range(first, first + count)]


def expected_counts(count: int) -> tuple[int, int, int]:
    """Return how many of the first *count* are learned, repeats and refused, all in one partition."""
    broken = sum(is_broken(number) for number in range(count))
    repeats = sum(identity(number) != number and not is_broken(number) for number in range(count))
    return count - broken - repeats, repeats, broken
