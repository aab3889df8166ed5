"""What every consumer group promises, over memory, the embedded broker and a real Kafka broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stream_ml.streams.group import Group
from tests.contract.test_log import Rig, append, await_commits, numbered, rig  # noqa: F401
from tests.servers.processes import wait_until

PARTITIONS = 6


def settled(members: Sequence[Group], accepts: Callable[[list[frozenset[int]]], bool]) -> None:
    """Poll all members until what they have is accepted."""
    seen: list[frozenset[int]] = []

    def look() -> bool:
        seen[:] = [member.poll() for member in members]
        return accepts(seen)

    wait_until(look, 60, lambda: str(seen))


def all_dealt(dealt: list[frozenset[int]]) -> bool:
    whole = sorted(partition for each in dealt for partition in each)
    return whole == list(range(PARTITIONS)) and all(dealt)


def test_members_divide_the_partitions_and_one_that_leaves_hands_over_its_own(
    rig: Rig,  # noqa: F811
    topic_name: str,
) -> None:
    rig.log.ensure_topic(topic_name, PARTITIONS)
    first = rig.log.group(f"g-{topic_name}", topic_name)
    settled([first], all_dealt)
    second = rig.log.group(f"g-{topic_name}", topic_name)
    settled([first, second], all_dealt)
    first.close()
    settled([second], all_dealt)
    second.close()
    second.close()


def test_a_member_commits_what_it_has(rig: Rig, topic_name: str) -> None:  # noqa: F811
    rig.log.ensure_topic(topic_name, PARTITIONS)
    append(rig.log, topic_name, numbered(10), 2)
    name = f"g-{topic_name}"
    member = rig.log.group(name, topic_name)
    settled([member], all_dealt)
    member.commit({2: 7})
    await_commits(rig.log, name, topic_name, {2: 7})
    member.close()
