"""Every command that a page shows exists, with its options, whether it can be run here or not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import orjson
import pytest
import yaml

from stream_ml.features import compile_model
from tests.docs.pages import blocks, inline_commands, lines_of, name_of, page_paths, simple_commands
from tests.docs.validity import complaint

PAGES = page_paths()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_block_exists_with_its_options(page: Path) -> None:
    for block in blocks(page):
        for line in lines_of(block) if block.kind == "sh" else ():
            for command in simple_commands(line):
                assert complaint(command) == "", f"{block.page}:{block.line}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    for command in inline_commands(page):
        for words in simple_commands(command):
            assert complaint(words, whole=False) == "", command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_stand_in_blocks_that_say_so(page: Path) -> None:
    for block in blocks(page):
        if block.kind not in {"sh", "console"}:
            first = block.text.split(" ", 1)[0]
            assert first not in {"stream-ml", "make", "$", "python"}, f"{block.page}:{block.line} is shell"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_of_data_can_be_read(page: Path) -> None:
    """A model file as a whole; of others that they are what they say."""
    for block in blocks(page):
        if block.kind == "toml" and "[features]" in block.text:
            compile_model(block.text)
        elif block.kind == "toml":
            tomllib.loads(block.text)
        elif block.kind == "yaml":
            yaml.safe_load(block.text)
        elif block.kind == "json":
            orjson.loads(block.text)


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("stream-ml stop learner.toml --why x", ""),
        ("stream-ml halt learner.toml", "no command halt"),
        ("stream-ml stop learner.toml --force", "No such option: --force"),
        ("stream-ml score", "events is missing"),
        ("stream-ml score a b", "no argument b"),
        ("stream-ml send a --format xml", "'xml' is not one of"),
        ("stream-ml snapshot take", "no command take"),
        ("STREAM_ML_X=1 stream-ml snapshot copy x --from y", ""),
        ("make tests", "no target tests"),
        ('make soak ARGS="-k killed"', ""),
        ('make soak ARGS="-k slaughtered"', "no test is called slaughtered"),
        ('make soak ARGS="tests/system/test_nothing.py"', "no file tests/system/test_nothing.py"),
        ("python -m loadtest learn --weights redis", ""),
        ("python -m loadtest learn --weights disk", "'disk' is not one of"),
        ("python -m loadtest run", "no command run"),
        ("python -m services.learner --settings x", ""),
        ("python -m services.learner --setting x", "--setting"),
        ("python -m services.teacher", "no module services.teacher"),
        ("pip install 'stream-ml[sql]'", ""),
        ("pip install 'stream-ml[sqlite]'", "no extra sqlite"),
        ("steam-ml up", "steam-ml is no command"),
        ("curl -s x | jq . | stream-ml sned -", "no command sned"),
    ],
)
def test_what_there_is_not_is_noticed(command: str, wrong: str) -> None:
    found = next(filter(None, map(complaint, simple_commands(command))), "")
    assert wrong in found
    assert bool(found) == bool(wrong), found
