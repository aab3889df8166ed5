"""What a snapshot holds of the shards beside their rows: versions, fences, blobs, as bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

import orjson

from stream_ml.weights.shards import Answer, Fence, Image


def encode(answers: Sequence[Answer]) -> bytes:
    """Return the bytes of what each shard said, in their order."""
    return orjson.dumps(
        [
            {
                "version": each.version,
                "fences": {str(partition): list(fence) for partition, fence in each.fences.items()},
                "blobs": {str(partition): b64encode(blob).decode() for partition, blob in each.blobs.items()},
            }
            for each in answers
        ]
    )


def decode(data: bytes) -> list[Image]:
    """Return the images, by shard."""
    return [
        Image(
            each["version"],
            {int(partition): Fence(*fence) for partition, fence in each["fences"].items()},
            {int(partition): b64decode(blob) for partition, blob in each["blobs"].items()},
        )
        for each in orjson.loads(data)
    ]
