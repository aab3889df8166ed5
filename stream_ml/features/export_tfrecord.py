"""
TFRecord files of ``tf.train.Example``, without TensorFlow.

The framing is TensorFlow's (record_writer.cc): length, its masked CRC-32C, the message, its masked CRC-32C.
The message is protobuf (example.proto): a map from names to lists of floats or of int64.
"""

from __future__ import annotations

import struct

import numpy

from stream_ml.errors import ConfigError
from stream_ml.features.export import Example

_FLOATS, _INTEGERS = 2, 3  # fields of the message Feature
_LENGTH_DELIMITED = 2
_MASK = 0xA282EAD8


def tfrecord(example: Example) -> bytes:
    """
    Return the record of an example: ``label``, ``importance``, ``timestamp_us``, ``ids``, ``values``.

    An int64 holds the bits of the uint64 id. ``timestamp_us`` is left out where the event has none.
    """
    features = [
        _floats("importance", numpy.float32(example.importance).tobytes()),
        _floats("label", numpy.float32(example.label).tobytes()),
        _floats("values", example.values.astype("<f4").tobytes()),
        _integers("ids", example.ids.tolist()),
    ]
    if example.timestamp_us is not None:
        features.append(_integers("timestamp_us", [example.timestamp_us & 2**64 - 1]))
    return _framed(_message(1, b"".join(features)))


def _floats(name: str, packed: bytes) -> bytes:
    return _feature(name, _message(_FLOATS, _message(1, packed)))


def _integers(name: str, values: list[int]) -> bytes:
    return _feature(name, _message(_INTEGERS, _message(1, b"".join(map(_varint, values)))))


def _feature(name: str, feature: bytes) -> bytes:
    """An entry of the map: 1 is its key, 2 its value."""
    return _message(1, _message(1, name.encode()) + _message(2, feature))


def _message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | _LENGTH_DELIMITED]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _framed(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)


def _checksum(data: bytes) -> bytes:
    try:
        import google_crc32c
    except ModuleNotFoundError as error:
        raise ConfigError("TFRecord needs google-crc32c\n  hint: pip install 'stream-ml[export]'") from error
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 2**32 - 1)
