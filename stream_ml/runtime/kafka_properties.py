"""librdkafka's properties from a file and from the environment; what they mean is the client's business."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stream_ml.errors import ConfigError

ENVIRONMENT_PREFIX = "STREAM_ML_KAFKA_"
# A setting of ours, no property: it names the file.
FILE_VARIABLE = "STREAM_ML_KAFKA_FILE"


def from_file(path: Path) -> dict[str, str]:
    """
    Return the properties of a file: ``name=value`` lines, ``#`` comments.

    Raises:
        ConfigError: it cannot be read, or a line is no property.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or a path that no file can have
        raise ConfigError(f"{path}: no file of properties: {error}; write name=value") from error
    properties = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ConfigError(f"{path}:{number}: not a property; write name=value")
            properties[name.strip()] = value.strip()
    return properties


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return the properties that variables name.

    ``STREAM_ML_KAFKA_SASL_USERNAME`` is ``sasl.username``; an underscore of the name itself is doubled.
    """
    return {
        _property(name.removeprefix(ENVIRONMENT_PREFIX)): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != FILE_VARIABLE
    }


def for_client(path: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return the properties of *path*, or of the file that the environment names, overridden by variables.

    Raises:
        ConfigError: as of `from_file`.
    """
    named = path or environment.get(FILE_VARIABLE)
    return (from_file(Path(named)) if named else {}) | from_environment(environment)


def _property(name: str) -> str:
    return "_".join(part.replace("_", ".") for part in name.lower().split("__"))
