"""What is wrong with a command that a page shows: a name, an option or a value that there is not."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from functools import cache
from typing import Any

import click

from loadtest.__main__ import main as loadtest
from stream_ml.cli import cli
from tests.docs.pages import ROOT

# What whoever reads the pages has, or is told to get.
TOOLS = frozenset(
    {
        *(
            ".",
            "bash",
            "cat",
            "cd",
            "cp",
            "curl",
            "diff",
            "echo",
            "export",
            "grep",
            "head",
            "kill",
            "ls",
            "mkdir",
        ),
        *("mv", "sed", "seq", "sleep", "sort", "tail", "test", "until", "wait", "xargs", "for", "do", "done"),
        *(
            "apt-get",
            "cargo",
            "helm",
            "jq",
            "kubectl",
            "maturin",
            "pip",
            "podman",
            "promtool",
            "redis-cli",
            "vw",
        ),
    }
)
# A word that a reader replaces.
_PLACEHOLDER = re.compile(r"…|\b[A-Z]{1,}[A-Z_0-9]*\b|<\w+>")
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def complaint(words: list[str], *, whole: bool = True) -> str:
    """Say what is wrong with a command; "" if nothing is. One in a sentence may lack arguments (*whole*)."""
    words = _without_variables(words)
    match words:
        case []:
            return ""
        case ["stream-ml", *rest] | ["python", "-m", "stream_ml", *rest]:
            return _of_click(cli, rest, whole)
        case ["python", "-m", "loadtest", *rest]:
            return _of_click(loadtest, rest, whole)
        case ["python", "-m", module, *rest]:
            return _of_module(module, rest)
        case ["python", *_]:
            return ""
        case ["make", *rest]:
            return _of_make(rest)
        case ["pip", "install", *rest]:
            return _of_pip(rest)
        case [tool, *_] if tool not in TOOLS:
            return f"{tool} is no command of ours and no tool that readers are told to have"
    return ""


def _without_variables(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return words


def _of_click(command: click.Command, words: list[str], whole: bool) -> str:
    with click.Context(command, info_name="") as context:
        while isinstance(command, click.Group):
            if not words or words[0].startswith("[") or words[0] in {"-h", "--help", "--version"}:
                return ""
            found = command.get_command(context, words[0])
            if found is None:
                return "" if _PLACEHOLDER.fullmatch(words[0]) else f"no command {words[0]}"
            command, words = found, words[1:]
        return _of_arguments(command, context, words, whole)


def _of_arguments(command: click.Command, above: click.Context, words: list[str], whole: bool) -> str:
    context = click.Context(command, parent=above)
    words = [word for word in words if word != "…" and not word.startswith("[")]
    try:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        if not whole and isinstance(error, click.BadOptionUsage | click.MissingParameter):
            return ""
        return error.format_message()
    if rest:
        return f"no argument {rest[0]}"
    complaints = (
        _of_value(parameter, given.get(parameter.name or ""), context) for parameter in command.params
    )
    missing = (_missing(parameter, given.get(parameter.name or "")) for parameter in command.params if whole)
    return next(filter(None, [*complaints, *missing]), "")


def _missing(parameter: click.Parameter, value: Any) -> str:
    lacks = parameter.required and not isinstance(value, str | list | tuple)
    return f"{parameter.name} is missing" if lacks else ""


def _of_value(parameter: click.Parameter, value: Any, context: click.Context) -> str:
    """Only kinds that need no file and no server to be judged."""
    if not isinstance(parameter.type, click.Choice | click.IntRange | click.FloatRange):
        return ""
    for each in value if isinstance(value, list | tuple) else [value]:
        if isinstance(each, str) and not _PLACEHOLDER.search(each):
            try:
                parameter.type.convert(each, parameter, context)
            except click.UsageError as error:
                return error.format_message()
    return ""


def _of_module(module: str, words: list[str]) -> str:
    if _PLACEHOLDER.search(module):
        return ""
    if importlib.util.find_spec(module) is None:
        return f"no module {module}"
    if not module.startswith("services."):
        return ""
    source = (ROOT / module.replace(".", "/") / "__main__.py").read_text()
    known = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', source))
    return ", ".join(word for word in words if word.startswith("--") and word not in known)


def _of_make(words: list[str]) -> str:
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for word in words:
        name, is_variable, value = word.partition("=")
        if is_variable:
            complaint = (
                _of_pytest(value.split("'")) if name == "ARGS" and words[0] in {"test", "soak"} else ""
            )
            if complaint:
                return complaint
        elif name not in targets:
            return f"no target {name}"
    return ""


def _of_pytest(parts: list[str]) -> str:
    """Files must be there, and each word of -k in the name of a test."""
    quoted = " ".join(parts)
    for path in re.findall(r"tests/\S+", quoted):
        if not (ROOT / path.split("::")[0]).exists():
            return f"no file {path}"
    chosen = re.search(r"-k (.+?)(?: --|$)", quoted)
    asked = re.findall(r"\w+", chosen[1]) if chosen else []
    unknown = [word for word in asked if word not in {"or", "and", "not"} and word not in _names_of_tests()]
    return f"no test is called {unknown[0]}" if unknown else ""


@cache
def _names_of_tests() -> str:
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent.name != "docs"]
    defined = (re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE) for path in tests)
    return " ".join([*(path.stem for path in tests), *(name for names in defined for name in names)])


def _of_pip(words: list[str]) -> str:
    for word in words:
        found = re.fullmatch(r"stream-ml(?:\[([\w,]+)\])?", word)
        extras = set(found[1].split(",")) if found and found[1] else set()
        if unknown := extras - _PROJECT["optional-dependencies"].keys():
            return f"no extra {', '.join(sorted(unknown))}"
    return ""
