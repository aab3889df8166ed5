from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from services.drift_monitor.credentials import credentials
from stream_ml.errors import ConfigError

SASL = {"sasl.username": "u", "sasl.password": "p", "sasl.mechanism": "scram-sha-512"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate, and its key under the password `open`."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "client.crt", folder / "client.key"
    asked = "openssl req -x509 -newkey rsa:2048 -days 2 -subj /CN=localhost -passout pass:open"
    command = [*asked.split(), "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


def auth(**said: str | bool) -> dict[str, Any]:
    """What Faust gives its Kafka client, *said* with `_` for the dots of a property's name."""
    properties = {name.replace("_", "."): value for name, value in said.items()}
    return dict(credentials_to_aiokafka_auth(credentials(properties)))


def test_brokers_that_ask_for_nothing_get_nothing() -> None:
    assert credentials({"bootstrap.servers": "h:1", "client.id": "x", "ssl.ca.location": "/none"}) is None
    assert credentials({"security.protocol": "PLAINTEXT"}) is None


def test_a_user_and_a_mechanism_are_told() -> None:
    assert credentials_to_aiokafka_auth(credentials({"security.protocol": "SASL_PLAINTEXT", **SASL})) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
        "ssl_context": None,
    }
    assert auth(security_protocol="sasl_plaintext", sasl_mechanisms="PLAIN")["sasl_mechanism"] == "PLAIN"


def test_brokers_are_checked_by_the_systems_certificates_and_by_their_name() -> None:
    told = auth(security_protocol="ssl")
    assert told["security_protocol"] == "SSL"
    assert (told["ssl_context"].verify_mode, told["ssl_context"].check_hostname) == (ssl.CERT_REQUIRED, True)
    assert auth(security_protocol="ssl", ssl_ca_location="probe")["security_protocol"] == "SSL"


def test_brokers_are_checked_as_little_as_they_should_be() -> None:
    nameless = auth(security_protocol="ssl", ssl_endpoint_identification_algorithm="none")["ssl_context"]
    assert (nameless.verify_mode, nameless.check_hostname) == (ssl.CERT_REQUIRED, False)
    unchecked = auth(security_protocol="ssl", enable_ssl_certificate_verification=False)["ssl_context"]
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)


def test_certificates_come_from_a_file_a_folder_or_a_text(certificate: tuple[Path, Path]) -> None:
    made, _key = certificate
    told = credentials_to_aiokafka_auth(
        credentials({"security.protocol": "sasl_ssl", **SASL, "ssl.ca.location": str(made)})
    )
    assert told["security_protocol"] == "SASL_SSL"
    (ours,) = told["ssl_context"].get_ca_certs()
    assert ours["subject"] == ((("commonName", "localhost"),),)
    assert auth(security_protocol="ssl", ssl_ca_pem=made.read_text())["ssl_context"].get_ca_certs() == [ours]
    assert auth(security_protocol="ssl", ssl_ca_location=str(made.parent))["security_protocol"] == "SSL"


def test_the_clients_own_certificate_is_shown(certificate: tuple[Path, Path]) -> None:
    shown = {
        "security.protocol": "ssl",
        "ssl.certificate.location": str(certificate[0]),
        "ssl.key.location": str(certificate[1]),
    }
    assert credentials({**shown, "ssl.key.password": "open"})
    for wrong in ({"ssl.key.password": "shut"}, {}, {"ssl.key.location": "/none"}):
        with pytest.raises(ConfigError, match=r"ssl\.certificate\.location: no certificate and key"):
            credentials({**shown, **wrong})


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"sasl.kerberos.service.name": "kafka"}, "kafka.sasl.kerberos.service.name: .* known are"),
        ({"ssl.keystore.location": "x"}, "kafka.ssl.keystore.location: "),
        ({"enable.sasl.oauthbearer.unsecure.jwt": True}, "kafka.enable.sasl.oauthbearer"),
        ({"security.protocol": "tls"}, "'tls' is none of plaintext, ssl"),
        ({"security.protocol": "sasl_ssl"}, "GSSAPI is none of PLAIN"),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "OAUTHBEARER"}, "OAUTHBEARER is none of"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/none/at.all"}, "kafka.ssl.ca.location: no cert"),
        ({"security.protocol": "ssl", "ssl.ca.pem": "text"}, "no certificates"),
    ],
)
def test_what_faust_cannot_follow_is_refused_by_name(properties: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        credentials(properties)
