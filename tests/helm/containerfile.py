"""helm/Containerfile as tests read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.helm.chart import ROOT

PATH = ROOT / "helm" / "Containerfile"


@dataclass
class Stage:
    """One FROM, with what follows it."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, kind: str) -> list[str]:
        return [rest for each, rest in self.instructions if each == kind]


def read() -> tuple[dict[str, str], dict[str, Stage]]:
    """Return the arguments before the first stage, and the stages by name."""
    lines = [line for line in PATH.read_text().splitlines() if line and not line.startswith("#")]
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        kind, _, rest = line.partition(" ")
        assert kind in {"ARG", "FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT"}, line
        if kind == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif kind == "FROM":
            base, _, name = rest.partition(" AS ")
            stages[name] = Stage(re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base))
        else:
            stages[list(stages)[-1]].instructions.append((kind, rest))
    return arguments, stages


ARGUMENTS, STAGES = read()


def ancestry(name: str) -> list[Stage]:
    """Return the stage *name* and those it is made on."""
    found = [STAGES[name]]
    while found[-1].base in STAGES:
        found.append(STAGES[found[-1].base])
    return found
