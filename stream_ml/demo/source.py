"""The stream and the frozen model, in a process of their own: neither slows the client that is timed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection

from stream_ml.demo.events import Basket, baskets
from stream_ml.demo.frozen import FrozenModel
from stream_ml.errors import RecoverableError
from stream_ml.local.figures import Figures

BASKETS_PER_MESSAGE = 100


class Source:
    """
    Iterate over it once for the baskets; then ``frozen`` holds what the frozen model was worth.

    Raises (while iterating):
        RecoverableError: the process ended early; its own words are on standard error.
    """

    def __init__(self, events: int, plan: bytes, frozen_after: int) -> None:
        """
        Start the process.

        Args:
            events: about so many in all.
            plan: of the frozen model.
            frozen_after: events that the frozen model learns; it is judged on the rest.
        """
        context = multiprocessing.get_context("spawn")
        self._messages, sending = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_produce, args=(sending, events, plan, frozen_after), daemon=True
        )
        self._process.start()
        sending.close()
        self.frozen = Figures()

    def __iter__(self) -> Iterator[Basket]:
        while True:
            try:
                message = self._messages.recv()
            except EOFError:
                raise RecoverableError("the process that reads the demo's data ended early") from None
            if isinstance(message, Figures):
                self.frozen = message
                self._process.join()
                return
            yield from message


def _produce(messages: Connection, events: int, plan: bytes, frozen_after: int) -> None:
    frozen = FrozenModel(plan, frozen_after)
    waiting: list[Basket] = []
    for basket in baskets(events):
        frozen.take(basket)
        waiting.append(basket)
        if len(waiting) == BASKETS_PER_MESSAGE:
            messages.send(waiting)
            waiting = []
    messages.send(waiting)
    frozen.finish()
    messages.send(frozen.figures)
