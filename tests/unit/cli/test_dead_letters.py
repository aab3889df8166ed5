"""`stream-ml dead-letters` refuses options that say nothing together, before anything is connected to."""

from click.testing import CliRunner

from stream_ml.cli import cli
from stream_ml.errors import ConfigError


def test_mended_events_are_for_sending() -> None:
    result = CliRunner().invoke(cli, ["dead-letters", "--bootstrap", "127.0.0.1:1", "--mended", "absent"])
    assert isinstance(result.exception, ConfigError)
    assert "hint: add --resend" in str(result.exception)
