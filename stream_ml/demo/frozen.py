"""What the model would be worth if it had stopped learning: the same rows, frozen after the first part."""

from __future__ import annotations

import numpy as np

from stream_ml._native import Learner, Plan, Replica
from stream_ml.demo.events import Basket
from stream_ml.local.figures import Figures

BASKETS_PER_CALL = 500


class FrozenModel:
    """Learns until *learned_events*, then only scores what follows."""

    def __init__(self, plan: bytes, learned_events: int) -> None:
        self._plan = Plan(plan)
        self._learner: Learner | None = Learner(self._plan)
        self._replica = Replica(self._plan)
        self._learned_events = learned_events
        self._seen = 0
        self._waiting: list[Basket] = []
        self.figures = Figures()

    def take(self, basket: Basket) -> None:
        """Learn or score the next basket of the stream."""
        self._waiting.append(basket)
        self._seen += len(basket.lines)
        ends_learning = self._learner is not None and self._seen >= self._learned_events
        if len(self._waiting) >= BASKETS_PER_CALL or ends_learning:
            self.finish()
        if ends_learning:
            self._freeze()

    def finish(self) -> None:
        """Work off what waits."""
        waiting, self._waiting = self._waiting, []
        if self._learner is not None:
            times = [int(basket.bought_at * 1000) for basket in waiting]
            self._learner.learn([(0, [basket.record for basket in waiting], times)])
        elif waiting:
            scores = self._replica.score([line for basket in waiting for line in basket.lines])
            labels = np.array([label for basket in waiting for label in basket.labels], dtype=np.float64)
            self.figures += Figures.of_scores(np.array([score["log_odds"] for score in scores]), labels)

    def _freeze(self) -> None:
        assert self._learner is not None
        cut = self._learner.cut()
        self._replica.apply(cut.rows, cut.removed, cut.score_state, 0, 0.0)
        self._learner = None
