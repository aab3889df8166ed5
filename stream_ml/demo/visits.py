"""Visits to a shop: what sells follows from the page, until one day it is the other way round."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import orjson

PAGES, COUNTRIES = 24, 8
# Log-odds: of a sale at all, and how far pages and countries are apart.
BASE, PAGE_WORTH, COUNTRY_WORTH = -0.8, 1.2, 0.5


@dataclass(frozen=True, slots=True)
class Visit:
    """One event, and the label in it."""

    event: bytes
    bought: bool


class Visits:
    """
    An endless stream, the same for the same *seed*.

    Attributes:
        changed: whether the pages that sold well now sell badly, and the other way round; visitors come as
            before. May be set between two visits.
    """

    def __init__(self, seed: int = 1) -> None:
        self.changed = False
        self._chance = random.Random(seed)
        # As far above the mean as below it, so that the change leaves the label rate nearly what it is.
        self._pages = [PAGE_WORTH * (-1) ** page * (1 + page // 2 % 3) / 2 for page in range(PAGES)]
        self._countries = [COUNTRY_WORTH * (-1) ** country for country in range(COUNTRIES)]
        self._number = 0

    def next(self) -> Visit:
        """Return the next one."""
        page, country = self._chance.randrange(PAGES), self._chance.randrange(COUNTRIES)
        bought = self._chance.random() < self.rate(page, country)
        event = {
            "id": f"e{self._number}",
            "page": f"p{page}",
            "country": f"c{country}",
            "bought": int(bought),
        }
        self._number += 1
        return Visit(orjson.dumps(event), bought)

    def rate(self, page: int, country: int) -> float:
        """Return how likely a visitor from *country* buys on *page* now."""
        worth = -self._pages[page] if self.changed else self._pages[page]
        return 1 / (1 + math.exp(-(BASE + worth + self._countries[country])))
