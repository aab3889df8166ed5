"""SASL and TLS as librdkafka's properties say them, for Faust's client, which is another one."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import faust
from faust.auth import Credentials

from stream_ml.errors import ConfigError

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_FOLLOWED = {
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
}
_OF_SECURITY = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.")
Properties = Mapping[str, str | int | float | bool]


def credentials(properties: Properties) -> Credentials | None:
    """
    Return what Faust lets itself in with; None where brokers ask for nothing.

    Raises:
        ConfigError: a property that Faust's client could not follow, or a file that cannot be read.
    """
    said = {name: str(value) for name, value in properties.items() if name.startswith(_OF_SECURITY)}
    for name in said:
        if name not in _FOLLOWED:
            raise _refused(name, f"known are {', '.join(sorted(_FOLLOWED))}")
    protocol = said.get("security.protocol", "plaintext").lower()
    if protocol not in _PROTOCOLS:
        raise ConfigError(f"kafka.security.protocol: {protocol!r} is none of {', '.join(_PROTOCOLS)}")
    context = _context(said) if protocol.endswith("ssl") else None
    if protocol.startswith("sasl"):
        return _sasl(said, context)
    return faust.SSLCredentials(context) if context else None


def _sasl(said: Mapping[str, str], context: ssl.SSLContext | None) -> Credentials:
    # As in librdkafka: both names, and of none GSSAPI.
    mechanism = said.get("sasl.mechanism", said.get("sasl.mechanisms", "GSSAPI")).upper()
    if mechanism not in _MECHANISMS:
        raise _refused("sasl.mechanism", f"{mechanism} is none of {', '.join(_MECHANISMS)}")
    return faust.SASLCredentials(
        mechanism=mechanism,
        username=said.get("sasl.username", ""),
        password=said.get("sasl.password", ""),
        ssl_context=context,
    )


def _context(said: Mapping[str, str]) -> ssl.SSLContext:
    place = said.get("ssl.ca.location", "")
    place = "" if place == "probe" else place  # librdkafka's word for those of the system
    try:
        context = ssl.create_default_context(
            cafile=None if not place or Path(place).is_dir() else place,
            capath=place if place and Path(place).is_dir() else None,
            cadata=said.get("ssl.ca.pem") or None,
        )
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        raise ConfigError(f"kafka.ssl.ca.location: no certificates: {error}") from error
    if said.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if said.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _add_own_certificate(context, said)
    return context


def _add_own_certificate(context: ssl.SSLContext, said: Mapping[str, str]) -> None:
    certificate = said.get("ssl.certificate.location")
    if not certificate:
        return
    try:
        # Without a password OpenSSL would ask for it on the terminal.
        password = said.get("ssl.key.password", "")
        context.load_cert_chain(certificate, said.get("ssl.key.location"), password)
    except (OSError, ValueError) as error:
        raise ConfigError(f"kafka.ssl.certificate.location: no certificate and key: {error}") from error


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"kafka.{name}: the drift monitor reads through Faust, which cannot be told it: {why}\n"
        "  hint: let it reach the brokers on a listener that asks for nothing else"
    )
