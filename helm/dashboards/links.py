"""Which dashboards there are, and how one leads to another."""

from __future__ import annotations

from helm.dashboards.panels import board_link

HEALTHY = ("stream-ml-healthy", "Is it healthy")
LEARNING = ("stream-ml-learning", "Learning")
SERVING = ("stream-ml-serving", "Serving")
DRIFT = ("stream-ml-drift-and-retraining", "Drift and retraining")
KAFKA_AND_REDIS = ("stream-ml-kafka-and-redis", "Kafka and Redis")

TO_LEARNING, TO_SERVING = board_link(*LEARNING), board_link(*SERVING)
TO_DRIFT, TO_KAFKA_AND_REDIS = board_link(*DRIFT), board_link(*KAFKA_AND_REDIS)
