"""
Dead letters: events that could not be learned, as they came, with where and why.

A dead letter is a record of ``<model>.dead-letters``: its value holds the event's own bytes, its headers
the rest, its key names the event, so that a repeat after a crash can be told from a second event.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stream_ml.errors import InvalidRecord

FORMAT = b"1"
# A detail may quote the event; a header is not for a whole one.
MAX_DETAIL_BYTES = 1000
# Of a record beside the event: detail, the model's name (100) in its headers, the topic's (249) in header
# and key; the rest is small.
ENVELOPE_BYTES = 4096
# Topics and variants have no slash in their names, so the key reads in one way.
_KEY = re.compile(r"(?P<variant>[^/]+)/(?P<topic>[^/]+)/(?P<partition>\d+)/(?P<offset>\d+)/(?P<index>\d+)")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    One refused event.

    Attributes:
        event: its bytes, as they came; the first of them where `cut_from_bytes` says of how many.
        reason: code, see the reasons in ``native/src/block.rs``.
        topic, partition, offset: of the record that held it.
        index: of the event within the record.
    """

    event: bytes
    reason: str
    detail: str
    model: str
    variant: str
    topic: str
    partition: int
    offset: int
    index: int
    cut_from_bytes: int | None = None

    def within(self, max_bytes: int) -> DeadLetter:
        """
        Return a dead letter whose record has at most *max_bytes*.

        A topic of events may take larger records than ours, and a record that is refused would end the
        learner at the same event again after every start. Where the whole event is, the rest says.
        """
        room = max_bytes - ENVELOPE_BYTES
        if len(self.event) <= room:
            return self
        return replace(self, event=self.event[:room], cut_from_bytes=len(self.event))

    def key(self) -> bytes:
        """Return the key of the record; equal for a repeat of the same refusal."""
        return f"{self.variant}/{self.origin}".encode()

    @property
    def origin(self) -> str:
        """Where the event stands, whichever variant refused it."""
        return f"{self.topic}/{self.partition}/{self.offset}/{self.index}"

    def headers(self) -> dict[str, bytes]:
        """Return the headers of the record; its value is ``event``."""
        cut = {} if self.cut_from_bytes is None else {"cut_from_bytes": b"%d" % self.cut_from_bytes}
        return {
            "format": FORMAT,
            "reason": self.reason.encode(),
            "detail": self.detail.encode()[:MAX_DETAIL_BYTES],
            "model": self.model.encode(),
            "variant": self.variant.encode(),
            "topic": self.topic.encode(),
            "partition": b"%d" % self.partition,
            "offset": b"%d" % self.offset,
            "index": b"%d" % self.index,
            **cut,
        }


def read_dead_letter(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> DeadLetter:
    """
    Return the dead letter that a record of the dead-letter topic holds.

    Raises:
        InvalidRecord: it is none, or of a format that this release does not know.
    """
    if headers.get("format") != FORMAT:
        raise InvalidRecord(
            f"not a dead letter of format {FORMAT.decode()}: format {headers.get('format')!r}"
        )
    said = _KEY.fullmatch((key or b"").decode(errors="replace"))
    if said is None or value is None:
        raise InvalidRecord(f"not a dead letter: key {key!r}")
    return DeadLetter(
        event=value,
        reason=_text(headers, "reason"),
        detail=_text(headers, "detail"),
        model=_text(headers, "model"),
        variant=said["variant"],
        topic=said["topic"],
        partition=int(said["partition"]),
        offset=int(said["offset"]),
        index=int(said["index"]),
        cut_from_bytes=int(headers["cut_from_bytes"]) if "cut_from_bytes" in headers else None,
    )


def _text(headers: Mapping[str, bytes], name: str) -> str:
    if name not in headers:
        raise InvalidRecord(f"not a dead letter: no header {name}")
    return headers[name].decode(errors="replace")
