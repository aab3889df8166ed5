from stream_ml.runtime.kafka_properties import from_environment


def test_a_variable_names_a_property_and_a_doubled_underscore_is_one_of_its_own() -> None:
    environment = {"STREAM_ML_KAFKA_SASL_USERNAME": "me", "STREAM_ML_KAFKA_LOG__LEVEL": "3", "HOME": "/"}
    assert from_environment(environment) == {"sasl.username": "me", "log_level": "3"}
