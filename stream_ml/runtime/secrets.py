"""What must not be told of settings: passwords, keys, and what URLs say of both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(r"password|secret|token|credential|key\.pem|private", re.IGNORECASE)
# What stands before a URL's last @ (a password may have a slash or an @); query parameters named as secrets.
_SECRETS_OF_URLS = (
    (re.compile(r"://(?:[^\s,]*:[^\s,]*|[^/@\s]+)@"), "://***@"),
    (
        re.compile(r"([?&][^=&\s]*(?:password|secret|token|credential|signature|key)[^=&\s]*=)[^&\s]+", re.I),
        r"\1***",
    ),
)


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with every secret replaced, at any depth."""
    return {key: "***" if SECRET.search(key) else _without_secrets(value) for key, value in values.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return url_without_secrets(value) if isinstance(value, str) else value


def url_without_secrets(text: str) -> str:
    """Return *text* without what its URLs say of users and passwords."""
    for pattern, instead in _SECRETS_OF_URLS:
        text = pattern.sub(instead, text)
    return text
