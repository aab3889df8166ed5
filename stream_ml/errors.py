"""The errors of the service: what a caller can do about each is in its class."""

from __future__ import annotations


class StreamMlError(Exception):
    """Root of our errors; the message says what happened, the detail, and a hint."""


class ConfigError(StreamMlError):
    """A file, setting or argument is wrong; nothing was started. Commands exit with code 2."""


class InvalidRecord(StreamMlError):
    """A record cannot be read; it belongs in the dead-letter topic, the stream goes on."""


class RecoverableError(StreamMlError):
    """A peer is away or slow; the same call may succeed later."""


class CannotContinue(StreamMlError):
    """Going on would lose or mix something; says what differs and which command goes on."""
