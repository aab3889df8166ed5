"""What a snapshot holds of the shards beside their rows: versions, fences, blobs, as bytes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import orjson

from stream_ml.sharing.rows import Reserved
from stream_ml.weights.shards import Answer, Fence, Image


class Images(NamedTuple):
    """By shard, and the reserved rows of the first."""

    shards: list[Image]
    reserved: Reserved


def encode(answers: Sequence[Answer], reserved: Reserved) -> bytes:
    """Return the bytes of what each shard said, in their order, and of the reserved rows."""
    return orjson.dumps(
        {
            "reserved": reserved.values.tolist(),
            "shards": [
                {
                    "version": each.version,
                    "fences": {str(partition): list(fence) for partition, fence in each.fences.items()},
                    "blobs": {
                        str(partition): b64encode(blob).decode() for partition, blob in each.blobs.items()
                    },
                }
                for each in answers
            ],
        }
    )


def decode(data: bytes) -> Images:
    """Return what `encode` was given."""
    told = orjson.loads(data)
    shards = [
        Image(
            each["version"],
            {int(partition): Fence(*fence) for partition, fence in each["fences"].items()},
            {int(partition): b64decode(blob) for partition, blob in each["blobs"].items()},
        )
        for each in told["shards"]
    ]
    return Images(shards, Reserved(np.array(told["reserved"], np.float32)))
