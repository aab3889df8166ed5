"""
Sending dead letters again after a fix, each once.

The topic of the dead letters remembers it, by two *marks* under the key of the letter: *begun*, before its
event is sent, says from which offset on of the origin's partition it may stand; *done*, once it is
acknowledged, that it stands there. The event itself carries the letter's key in a header. After a crash
between the two marks that header is looked for, from the offset that was marked: no letter is sent twice,
whenever the command ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stream_ml.errors import CannotContinue, InvalidRecord
from stream_ml.streams.dead_letters import FORMAT, DeadLetter, read_dead_letter
from stream_ml.streams.log import Log
from stream_ml.streams.paced import PacedSender
from stream_ml.streams.ranges import read_range

# Of a record of events: the key of the dead letter that it is sent for.
ORIGIN = "dead-letter"
_MARK, _FROM = "resend", "from"
_BEGUN, _DONE = b"begun", b"done"
_FLUSH_SECONDS = 60.0


@dataclass(slots=True)
class Refused:
    """
    One event that was refused, by one variant or several.

    Attributes:
        variants: that refused it.
        sent: whether it was sent again.
        begun_at: no such event stands before this offset of its partition; None if nobody tried to send it.
    """

    letter: DeadLetter
    variants: list[str] = field(default_factory=list)
    sent: bool = False
    begun_at: int | None = None


def read_refused(log: Log, topic: str) -> list[Refused]:
    """
    Return what the dead-letter *topic* holds now, in its order, each event once.

    Raises:
        RecoverableError: it cannot be read to its end.
        CannotContinue: it holds a record that is none of ours.
    """
    found: dict[tuple[str, bytes], Refused] = {}
    of_key: dict[bytes, Refused] = {}
    bounds = log.bounds(topic, 0)
    for fetch in read_range(log, topic, 0, bounds.first, bounds.next):
        assert fetch.keys is not None
        assert fetch.headers is not None
        for key, value, headers in zip(fetch.keys, fetch.values, fetch.headers, strict=True):
            if _MARK in headers:
                _take_mark(of_key, key, headers)
                continue
            letter = _letter(topic, key, value, headers)
            # A topic that was made anew begins its offsets anew: the origin alone does not name an event.
            refused = found.setdefault((letter.origin, letter.event), Refused(letter))
            if letter.variant not in refused.variants:
                refused.variants.append(letter.variant)
            of_key[letter.key()] = refused
    return list(found.values())


def _letter(topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> DeadLetter:
    try:
        return read_dead_letter(key, value, headers)
    except InvalidRecord as error:
        raise CannotContinue(f"{topic}: {error}") from error


def _take_mark(of_key: Mapping[bytes, Refused], key: bytes | None, headers: Mapping[str, bytes]) -> None:
    refused = of_key.get(key or b"")
    if refused is None:  # its letter is older than the topic's retention
        return
    if headers[_MARK] == _DONE:
        refused.sent = True
    else:
        refused.begun_at = int(headers[_FROM])


def settle(log: Log, topic: str, refused: Iterable[Refused]) -> int:
    """
    Find out what became of letters whose sending was begun and not marked as done; return how many were sent.

    Raises:
        CannotContinue: the range where they would be was trimmed.
    """
    open_by_partition: dict[tuple[str, int], dict[bytes, Refused]] = defaultdict(dict)
    for each in refused:
        if each.begun_at is not None and not each.sent:
            open_by_partition[each.letter.topic, each.letter.partition][each.letter.key()] = each
    for (events, partition), open_letters in open_by_partition.items():
        _look_for(log, events, partition, open_letters)
    settled = [each for letters in open_by_partition.values() for each in letters.values() if each.sent]
    _mark(log, topic, settled, {_MARK: _DONE})
    return len(settled)


def _look_for(log: Log, events: str, partition: int, wanted: Mapping[bytes, Refused]) -> None:
    first = min(each.begun_at for each in wanted.values() if each.begun_at is not None)
    bounds = log.bounds(events, partition)
    if first < bounds.first:
        raise CannotContinue(
            f"{events}[{partition}]: {len(wanted)} dead letters were being sent again from offset {first} on "
            f"when the command was ended; the topic now begins at {bounds.first}, so whether they were sent "
            "is not known\n  hint: send what is missing yourself, from `stream-ml dead-letters --json`"
        )
    for fetch in read_range(log, events, partition, first, bounds.next):
        for headers in fetch.headers or ():
            if (each := wanted.get(headers.get(ORIGIN, b""))) is not None:
                each.sent = True


def resend(
    log: Log, topic: str, letters: Sequence[tuple[Refused, bytes]], *, follow_group: str | None = None
) -> None:
    """
    Send *letters*, each with the event to send for it, to the topics and partitions they came from.

    `settle` comes first. Only one process may do this for one dead-letter *topic* at a time.

    Raises:
        Undeliverable, RecoverableError: what was sent is known by the marks; the same call may be made again.
    """
    refused = [each for each, _ in letters]
    _mark_begun(log, topic, refused)
    by_topic: dict[str, list[tuple[DeadLetter, bytes]]] = defaultdict(list)
    for each, event in letters:
        by_topic[each.letter.topic].append((each.letter, event))
    for events, of_topic in by_topic.items():
        with PacedSender(log, events, follow_group=follow_group) as sender:
            for letter, event in of_topic:
                sender.send(event, partition=letter.partition, headers={ORIGIN: letter.key()})
    _mark(log, topic, refused, {_MARK: _DONE})


def _mark_begun(log: Log, topic: str, refused: Iterable[Refused]) -> None:
    by_partition: dict[tuple[str, int], list[Refused]] = defaultdict(list)
    for each in refused:
        by_partition[each.letter.topic, each.letter.partition].append(each)
    for (events, partition), of_partition in by_partition.items():
        at = log.bounds(events, partition).next
        _mark(log, topic, of_partition, {_MARK: _BEGUN, _FROM: b"%d" % at})


def _mark(log: Log, topic: str, refused: Sequence[Refused], mark: Mapping[str, bytes]) -> None:
    if not refused:
        return
    with log.writer() as writer:
        for each in refused:
            writer.send(topic, None, key=each.letter.key(), partition=0, headers={"format": FORMAT, **mark})
        writer.flush(_FLUSH_SECONDS)
