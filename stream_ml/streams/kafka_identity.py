"""Whether a topic is still the one that a reader began with: the client reads on in a new one of the name."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka import KafkaError, KafkaException

CHECK_EVERY_SECONDS = 1.0
ANSWERED_WITHIN_SECONDS = 5.0


class Identity:
    """Asks the broker for the topic's id now and then, without waiting for the answer."""

    def __init__(self, topic: str, topic_id: str, describe: Callable[[str], Future[Any]]) -> None:
        self._topic, self._id, self._describe = topic, topic_id, describe
        self._asked: Future[Any] | None = None
        self._ask_at = time.monotonic() + CHECK_EVERY_SECONDS

    def change(self, *, may_ask: bool = True) -> str:
        """
        Return what has happened to the topic, once that is known; "" as long as it is the same.

        Args:
            may_ask: not while brokers are away: the client may abort the process over a request that is lost
                with its broker (librdkafka, issue 4605).
        """
        if self._asked is None:
            if may_ask and time.monotonic() >= self._ask_at:
                self._asked = self._describe(self._topic)
            return ""
        if not self._asked.done():
            return ""
        answer, self._asked = self._asked, None
        self._ask_at = time.monotonic() + CHECK_EVERY_SECONDS
        return self._judge(answer)

    def now(self) -> str:
        """As `change`, of a broker that has just answered: waits for that answer, a few seconds at most."""
        try:
            answer = self._asked or self._describe(self._topic)
            wait([answer], ANSWERED_WITHIN_SECONDS)
            return self._judge(answer) if answer.done() else ""
        except KafkaException:  # not even asked: what is known already has to do
            return ""

    def _judge(self, answer: Future[Any]) -> str:
        try:
            found = str(answer.result().topic_id)
        except KafkaException as error:
            deleted = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            return f"the topic (id {self._id}) was deleted" if deleted else ""  # away: asked again
        return "" if found == self._id else f"the topic was recreated (id {found}, was {self._id})"
