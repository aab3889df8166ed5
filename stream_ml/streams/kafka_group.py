"""Membership of a Kafka consumer group; the records are read by readers that are assigned."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_ml.streams.kafka_errors import Background, logger, translate

# A member that is killed is missed after the first; one that hangs, after the second.
_MEMBER_DEFAULTS = {"session.timeout.ms": "10000", "max.poll.interval.ms": "300000"}
_MEMBER = {
    "partition.assignment.strategy": "cooperative-sticky",
    "auto.offset.reset": "latest",
    "enable.auto.commit": "false",
}
# Nothing is read here: little is fetched before a partition is paused.
_QUIET = {"queued.min.messages": "1", "queued.max.messages.kbytes": "1", "fetch.message.max.bytes": "1000"}


class KafkaGroup:
    """The port's group over a consumer that is subscribed and paused."""

    def __init__(self, settings: Mapping[str, str], group: str, topic: str) -> None:
        """
        Join *group*.

        Args:
            settings: of a consumer, as `reader_settings` gives them.
        """
        own = {name: settings[name] for name in _MEMBER_DEFAULTS if name in settings and name != _POLL}
        self._topic, self._mine = topic, set[int]()
        self._background = Background()
        self._consumer = Consumer(
            {
                **settings,
                **_QUIET,
                **_MEMBER_DEFAULTS,
                **own,
                **_MEMBER,
                "group.id": group,
                "error_cb": self._background,
            },
            logger=logger,
        )
        self._consumer.subscribe(
            [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def poll(self) -> frozenset[int]:
        message = self._consumer.poll(0)
        if message is not None and (error := message.error()) is not None:
            self._background(error)
        if self._background.refusal and self._background.last is not None:
            raise translate(self._background.last, f"joining the group for {self._topic}", self._background)
        return frozenset(self._mine)

    def commit(self, offsets: Mapping[int, int]) -> None:
        places = [
            TopicPartition(self._topic, partition, at)
            for partition, at in offsets.items()
            if partition in self._mine
        ]
        if places:
            try:
                self._consumer.commit(offsets=places, asynchronous=True)
            except KafkaException as error:
                logger.info("offsets, which are advice, were not committed: %s", error)

    def close(self) -> None:
        self._consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        # From the end: what is fetched before the pause is dropped.
        consumer.incremental_assign([TopicPartition(each.topic, each.partition, -1) for each in places])
        consumer.pause(places)
        self._mine |= {each.partition for each in places}

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._mine -= {each.partition for each in places}
        try:
            consumer.incremental_unassign(places)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise  # else they are gone already


_POLL = "max.poll.interval.ms"
