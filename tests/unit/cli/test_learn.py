import pytest
from click.testing import CliRunner

from stream_ml.cli import learn as command


@pytest.mark.parametrize("options", [[], ["--accept-loss"]])
def test_the_service_gets_the_file_and_the_option_that_its_own_messages_name(tmp_path, monkeypatch, options):
    settings = tmp_path / "learner.toml"
    settings.touch()
    asked = []
    monkeypatch.setattr(command, "main", lambda arguments: asked.append(arguments) or 0)
    assert CliRunner().invoke(command.learn, [*options, str(settings)]).exit_code == 0
    assert asked == [["--settings", str(settings), *options]]
