from pathlib import Path

from stream_ml.runtime import kafka_properties
from stream_ml.runtime.kafka_properties import from_environment


def test_a_variable_names_a_property_and_a_doubled_underscore_is_one_of_its_own() -> None:
    environment = {"STREAM_ML_KAFKA_SASL_USERNAME": "me", "STREAM_ML_KAFKA_LOG__LEVEL": "3", "HOME": "/"}
    assert from_environment(environment) == {"sasl.username": "me", "log_level": "3"}


def test_a_client_takes_the_file_that_a_variable_names_and_variables_win(tmp_path: Path) -> None:
    named, given = tmp_path / "named", tmp_path / "given"
    named.write_text("sasl.username=named\nsecurity.protocol=SASL_SSL\n")
    given.write_text("sasl.username=given\n")
    environment = {"STREAM_ML_KAFKA_FILE": str(named), "STREAM_ML_KAFKA_SASL_PASSWORD": "secret"}
    password = {"sasl.password": "secret"}
    assert kafka_properties.for_client(None, environment) == {
        "sasl.username": "named",
        "security.protocol": "SASL_SSL",
        **password,
    }
    assert kafka_properties.for_client(given, environment) == {"sasl.username": "given", **password}
    assert kafka_properties.for_client(None, {}) == {}
