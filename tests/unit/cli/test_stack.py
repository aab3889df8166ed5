import tomllib

from stream_ml.cli.stack import _toml


def test_settings_files_are_read_back_as_they_were_meant():
    settings = {
        "model_file": '/a b/"quoted" \\ ü.toml',
        "embedded_broker": True,
        "kafka": {"bootstrap.servers": "127.0.0.1:9", "fetch.wait.max.ms": 10},
        "models": ["a", "b"],
        "interval_seconds": 0.05,
    }
    assert tomllib.loads(_toml(settings)) == settings
