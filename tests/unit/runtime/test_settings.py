import logging
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stream_ml.errors import ConfigError
from stream_ml.features import model_file
from stream_ml.runtime import settings as settings_module
from stream_ml.runtime.bounds import bounds
from stream_ml.runtime.retrainer_settings import RetrainerSettings
from stream_ml.runtime.service_settings import ServiceSettings
from stream_ml.runtime.settings import LearnerSettings, PredictorSettings, load, log_effective


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "learner.toml"
    path.write_text(text)
    return path


def learner(tmp_path: Path, text: str, **environment: str) -> LearnerSettings:
    if "kafka" not in text:
        text += '\n[kafka]\n"bootstrap.servers" = "b:1"\n'
    return load(LearnerSettings, file_with(tmp_path, 'model_file = "m.toml"\n' + text), environment)


def test_a_file_is_typed_and_what_it_leaves_out_has_a_default(tmp_path: Path) -> None:
    settings = learner(tmp_path, "snapshot_interval_seconds = 5\n")
    assert settings.snapshot_interval_seconds == 5.0
    assert settings.model_file == Path("m.toml")
    assert settings.events_topic == "events"


def test_every_field_of_every_service_is_described() -> None:
    for kind in (LearnerSettings, PredictorSettings, RetrainerSettings):
        assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_an_unknown_key_names_the_file_and_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"learner\.toml.*'snapshot_intervall_seconds'.*'snapshot_interval_seconds'"
    ):
        learner(tmp_path, "snapshot_intervall_seconds = 5\n")


def test_a_missing_key_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model_file is missing: The model to learn"):
        load(LearnerSettings, file_with(tmp_path, ""), {})


def test_what_jobs_keep_lies_beside_what_challengers_do_whatever_a_job_is_called(tmp_path: Path) -> None:
    """A job's folder is removed with all that is in it."""
    text = 'learner_settings = ["l.toml"]\nscratch = "s"\n[kafka]\n"bootstrap.servers" = "b:1"\n'
    settings = load(RetrainerSettings, file_with(tmp_path, text), {})
    assert (settings.jobs_folder, settings.challengers_folder) == (Path("s/jobs"), Path("s/challengers"))


NUMBERS = [
    (kind, name)
    for kind in (LearnerSettings, PredictorSettings, RetrainerSettings)
    for name, field in kind.model_fields.items()
    if field.annotation in (int, float)
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_a_number_beyond_its_bounds_is_refused_with_them_their_reason_and_its_meaning(
    tmp_path: Path, kind: type[ServiceSettings], name: str
) -> None:
    field = kind.model_fields[name]
    said = re.fullmatch(r"at least ([\d.,]+) and at most ([\d.,]+) \(\w.+\w\)", bounds(field))
    assert said
    low, high = (tomllib.loads(f"end = {end.replace(',', '')}")["end"] for end in said.groups())
    assert low <= field.default <= high
    step = 1 if field.annotation is int else 0.0005
    for wrong in (low - step, high + step):
        with pytest.raises(ConfigError) as caught:
            load(kind, file_with(tmp_path, f"{name} = {wrong}"), {})
        refused = f"{name}: {wrong} is given, wanted is {said.group()}\n  hint: {field.description}"
        assert refused in str(caught.value)


def test_a_comparison_of_retraining_ends_after_it_begins(tmp_path: Path) -> None:
    text = 'learner_settings = ["l.toml"]\nmin_compared_events = 10\nmax_compared_events = 9\n'
    file = file_with(tmp_path, text + '[kafka]\n"bootstrap.servers" = "b:1"\n')
    with pytest.raises(ConfigError, match="max_compared_events is 9, below min_compared_events"):
        load(RetrainerSettings, file, {})


@pytest.mark.parametrize(
    "line",
    [
        "http_port = 70000",
        "batch_max_records = 0",
        "poll_wait_seconds = inf",
        "log_level = 'loud'",
        "kafka = 3",
    ],
)
def test_a_value_out_of_its_range_is_refused_with_its_key(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=rf"learner\.toml: {line.split()[0]}:"):
        learner(tmp_path, line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kafka_file = 5", r"kafka_file: .*path.*\n  hint: File of further librdkafka properties"),
        ("kafka_file = ['a']", r"kafka_file: .*path"),
        ("kafka_file = true", r"kafka_file: .*path"),
        ("kafka = 'b:9092'", r"kafka: .*dictionary\n  hint: librdkafka properties"),
        ("kafka = ['b:9092']", r"kafka: .*dictionary"),
        ("kafka_file = 'a'\nkafka = 3", r"kafka: .*dictionary"),
        (
            'kafka."bootstrap.servers" = ["b:1"]',
            r"kafka\.bootstrap\.servers: a text, a number, true or false",
        ),
    ],
)
@pytest.mark.parametrize("environment", [{}, {"STREAM_ML_KAFKA_SASL_USERNAME": "me"}])
def test_kafka_settings_of_the_wrong_type_are_refused_with_their_key(
    tmp_path: Path, line: str, says: str, environment: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"learner\.toml: " + says) as refused:
        learner(tmp_path, line, **environment)
    assert str(refused.value).count("learner.toml") == 1, "one message, not one a type"


@pytest.mark.parametrize("value", ['"abc"', "inf", "-1", "1.5", "true", '"१२"'])
def test_a_limit_of_the_client_that_is_no_whole_number_is_refused_with_its_key(
    tmp_path: Path, value: str
) -> None:
    text = f'[kafka]\n"bootstrap.servers" = "b:1"\n"message.max.bytes" = {value}\n'
    with pytest.raises(ConfigError, match=r"learner\.toml: .*kafka\.message\.max\.bytes"):
        learner(tmp_path, text)


@pytest.mark.parametrize("value", ['"2000000"', "2000000"])
def test_a_limit_of_the_client_may_be_text(tmp_path: Path, value: str) -> None:
    text = f'[kafka]\n"bootstrap.servers" = "b:1"\n"message.max.bytes" = {value}\n'
    assert learner(tmp_path, "message_max_bytes = 1_500_000\n" + text).message_max_bytes == 1_500_000


def test_a_file_of_properties_that_is_no_text_is_named(tmp_path: Path) -> None:
    properties = tmp_path / "client.properties"
    properties.write_bytes(b"\xff\xfe=\x00")
    with pytest.raises(ConfigError, match=r"client\.properties: no file of properties"):
        learner(tmp_path, f'kafka_file = "{properties}"')
    with pytest.raises(ConfigError, match="no file of properties"):
        learner(tmp_path, 'kafka_file = "a\\u0000b"')


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = learner(
        tmp_path, "http_port = 1\n", STREAM_ML_HTTP_PORT="2", STREAM_ML_EVENTS_TOPIC="clicks", HOME="/"
    )
    assert settings.http_port == 2
    assert settings.events_topic == "clicks"


def test_an_unknown_environment_variable_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"STREAM_ML_HTTP_PROT.*'http_port'"):
        learner(tmp_path, "", STREAM_ML_HTTP_PROT="2")


def test_variables_of_other_services_and_of_kubernetes_are_left_alone(tmp_path: Path) -> None:
    learner(
        tmp_path,
        "",
        STREAM_ML_MODELS='["m"]',
        STREAM_ML_PREDICTOR_SERVICE_HOST="10.0.0.1",
        STREAM_ML_FRONT_PORT="tcp://a",
    )


def test_librdkafka_properties_come_from_a_file_the_table_and_the_environment_in_rising_order(
    tmp_path: Path,
) -> None:
    properties = tmp_path / "client.properties"
    properties.write_text("# SASL\nsasl.mechanism = PLAIN\nsasl.username=file\nbootstrap.servers=file:1\n")
    settings = learner(
        tmp_path,
        f'kafka_file = "{properties}"\n[kafka]\n"bootstrap.servers" = "table:1"\n"sasl.username" = "table"\n',
        STREAM_ML_KAFKA_SASL_USERNAME="environment",
    )
    assert settings.kafka == {
        "sasl.mechanism": "PLAIN",
        "bootstrap.servers": "table:1",
        "sasl.username": "environment",
    }


def test_a_line_that_is_no_property_is_refused_with_its_number(tmp_path: Path) -> None:
    properties = tmp_path / "client.properties"
    properties.write_text("a=1\nnonsense\n")
    with pytest.raises(ConfigError, match=r"client\.properties:2"):
        learner(tmp_path, f'kafka_file = "{properties}"')


def test_kafka_without_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bootstrap\.servers"):
        learner(tmp_path, '[kafka]\n"client.id" = "x"\n')


@pytest.mark.parametrize("text", ["model_file = ", "\x00"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"learner\.toml: not TOML"):
        load(LearnerSettings, file_with(tmp_path, text), {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(LearnerSettings, tmp_path / "nowhere.toml", {})


def test_effective_settings_are_logged_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = learner(tmp_path, "", STREAM_ML_KAFKA_SASL_PASSWORD="hunter2")
    with caplog.at_level(logging.INFO):
        log_effective(settings)
    logged: dict[str, Any] = caplog.records[0].__dict__["settings"]
    assert logged["kafka"]["sasl.password"] == "***"
    assert logged["http_port"] == settings.http_port
    assert settings.kafka["sasl.password"] == "hunter2"


@pytest.mark.parametrize(
    ("store", "logged"),
    [
        ("s3://AKIA123:se/cr+et@bucket/models", "s3://***@bucket/models"),
        ("redis://:hunter2@r:6379/0", "redis://***@r:6379/0"),
        ("redis://u:hun@ter2@r:6379/0,redis://:q@s:1", "redis://***@r:6379/0,redis://***@s:1"),
        ("ftp://token@host/a", "ftp://***@host/a"),
        ("simplecache::s3://k:s@b/a?x=1&Secret_Key=q", "simplecache::s3://***@b/a?x=1&Secret_Key=***"),
        ("https://host/a?X-Amz-Signature=abc&region=eu", "https://host/a?X-Amz-Signature=***&region=eu"),
        ("s3://bucket/models@home", "s3://bucket/models@home"),
        ("/var/lib/a@b:c", "/var/lib/a@b:c"),
    ],
)
def test_secrets_in_the_url_of_a_store_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, store: str, logged: str
) -> None:
    with caplog.at_level(logging.INFO):
        log_effective(learner(tmp_path, f'snapshot_store = "{store}"\n'))
    assert caplog.records[0].__dict__["settings"]["snapshot_store"] == logged


def test_a_standby_waits_for_several_heartbeats(tmp_path: Path) -> None:
    text = 'model_file = "m.toml"\ntakeover_after_seconds = {}\nheartbeat_interval_seconds = 0.5\n'
    kafka = '[kafka]\n"bootstrap.servers" = "b:9092"\n'
    path = tmp_path / "learner.toml"
    path.write_text(text.format(1.4) + kafka)
    with pytest.raises(ConfigError, match=r"takeover_after_seconds is 1\.4") as caught:
        load(LearnerSettings, path, {})
    assert "hint: takeover_after_seconds = 1.5 or more, which is 3 heartbeats" in str(caught.value)
    path.write_text(text.format(1.5) + kafka)
    assert load(LearnerSettings, path, {}).takeover_after_seconds == 1.5


def test_records_that_the_client_would_refuse_are_refused_at_the_start(tmp_path: Path) -> None:
    path, text = tmp_path / "learner.toml", 'model_file = "m.toml"\nmessage_max_bytes = 1000001\n[kafka]\n'
    path.write_text(text + '"bootstrap.servers" = "k:9"\n')
    with pytest.raises(ConfigError, match=r"message_max_bytes is 1000001.*\n.*message\.max\.bytes"):
        load(LearnerSettings, path, {})
    path.write_text(text + '"bootstrap.servers" = "k:9"\n"message.max.bytes" = 2000000\n')
    assert load(LearnerSettings, path, {}).message_max_bytes == 1_000_001


def predictor(tmp_path: Path, text: str) -> PredictorSettings:
    return load(PredictorSettings, file_with(tmp_path, f'{text}\n[kafka]\n"bootstrap.servers" = "b:1"\n'), {})


@pytest.mark.parametrize("names", [[""], ["a", "b c"], ["a/b"], ["_a"], ["a" * 101], ["é"]])
def test_a_name_that_no_model_can_have_is_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"learner\.toml: models: '.*' can be no model's name\n  hint: "):
        predictor(tmp_path, f"models = {names}")


def test_models_are_named_as_in_their_files_and_once(tmp_path: Path) -> None:
    assert model_file.MODEL_NAME.pattern == settings_module.MODEL_NAME.pattern
    assert predictor(tmp_path, "models = ['a', 'b-2.c_d']").models == ["a", "b-2.c_d"]
    with pytest.raises(ConfigError, match="models: 'b' is named more than once"):
        predictor(tmp_path, "models = ['a', 'b', 'c', 'b']")


def test_the_largest_call_must_fit_into_what_all_may_hold(tmp_path: Path) -> None:
    frame = 4 << 20
    text = f"models = ['m']\nmax_frame_bytes = {frame}\nmax_buffered_bytes = "
    assert predictor(tmp_path, f"{text}{frame}").max_buffered_bytes == frame
    with pytest.raises(
        ConfigError,
        match=rf"max_buffered_bytes is {frame - 1}, but max_frame_bytes lets one call have {frame}",
    ):
        predictor(tmp_path, f"{text}{frame - 1}")
