"""The command line as a whole: which commands there are, what they explain, how they end."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from stream_ml import cli
from stream_ml.errors import CannotContinue, ConfigError, RecoverableError, StreamMlError
from stream_ml.runtime.lifecycle import exit_code

ERRORS = [ConfigError("no such file"), CannotContinue("offset 3 is gone"), RecoverableError("no broker")]


def test_the_help_lists_every_command_in_a_newcomers_order() -> None:
    shown = CliRunner().invoke(cli.cli, ["--help"])
    assert shown.exit_code == 0
    lines = shown.output.partition("Commands:")[2].split("\n")
    assert [line.split()[0] for line in lines if line.strip()] == list(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    shown = CliRunner().invoke(cli.cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"Usage: cli {name} ")
    assert len(shown.output.splitlines()) > 4


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_option_of_a_command_says_what_it_is(name: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_an_unknown_command_is_a_usage_error() -> None:
    shown = CliRunner().invoke(cli.cli, ["lern"])
    assert shown.exit_code == 2
    assert "No such command 'lern'" in shown.output


def test_no_command_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, stream_ml.cli as cli\n"
        "print([name for name in cli.COMMANDS if f'stream_ml.cli.{name}' in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_one_message_and_the_exit_code_of_a_service(
    error: StreamMlError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(prog_name: str) -> None:
        raise error

    monkeypatch.setattr(cli, "cli", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == exit_code(error) != 0
    assert capsys.readouterr().err == f"error: {error}\n"
