"""The images as their file describes them; none is built here, for want of a container engine."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib

import pytest

from tests.helm.chart import ROOT, objects, pods
from tests.helm.containerfile import ARGUMENTS, STAGES, ancestry

IMAGES = ("service", "cuda")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CRATE = tomllib.loads((ROOT / PROJECT["tool"]["maturin"]["manifest-path"]).read_text())


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def test_what_is_built_without_a_target_is_the_image_of_the_services() -> None:
    assert list(STAGES)[-1] == "service"
    assert set(IMAGES) <= STAGES.keys()


def test_stages_are_made_on_stages_or_on_images_of_a_registry_with_a_version() -> None:
    names = list(STAGES)
    for at, (name, stage) in enumerate(STAGES.items()):
        known = names[:at]
        assert stage.base in known or re.fullmatch(r"docker\.io/[\w/]+:[\w.-]*\d[\w.-]*", stage.base), name
        for copied in stage.all("COPY"):
            if copied.startswith("--from="):
                assert copied.removeprefix("--from=").split()[0] in known


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / "helm" / "Containerfile.dockerignore").read_text().splitlines()
    for stage in STAGES.values():
        for copied in stage.all("COPY"):
            if not copied.startswith("--from="):
                for source in copied.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert not [pattern for pattern in ignored if fnmatch.fnmatch(source, pattern)]


def test_all_that_the_wheel_is_made_of_is_there() -> None:
    copied = {source for each in STAGES["wheel"].all("COPY") for source in each.split()}
    needed = {*PROJECT["tool"]["maturin"]["python-packages"], PROJECT["project"]["readme"], "pyproject.toml"}
    needed |= {each["path"].split("/")[0] for each in PROJECT["tool"]["maturin"]["include"]}
    assert needed <= copied


def test_the_wheel_is_built_once_from_what_is_locked() -> None:
    builds = [run for stage in STAGES.values() for run in stage.all("RUN") if "maturin build" in run]
    assert builds == ["maturin build --release --locked --out /wheels"]
    assert version(ARGUMENTS["RUST"]) >= version(CRATE["package"]["rust-version"])
    assert version(ARGUMENTS["PYTHON"]) >= version(PROJECT["project"]["requires-python"])


def test_what_is_installed_is_constrained_and_never_compiled_and_its_extras_are_there() -> None:
    installs = [run for stage in STAGES.values() for run in stage.all("RUN") if "pip install" in run]
    assert len(installs) == 3
    for run in installs:
        assert "--constraint" in run
        assert "maturin" in run or "--only-binary :all:" in run
        for extras in re.findall(r"whl\)\[([\w,]+)\]", run):
            assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()
    (gpu,) = [run for run in installs if "gpu" in run]
    # The same generation of CUDA as its bindings.
    (bindings,) = re.findall(r"^cuda-bindings==(\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"numba-cuda[cu{bindings}]" in gpu


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_without_rights_as_who_the_chart_says(image: str) -> None:
    users = [user for stage in ancestry(image) for user in stage.all("USER")]
    groups = {
        f"{pod['spec']['securityContext']['runAsUser']}:{pod['spec']['securityContext']['runAsGroup']}"
        for _, pod in pods(objects("gpu"))
    }
    assert {*users} == groups


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_nothing_that_builds(image: str) -> None:
    for stage in ancestry(image):
        assert not [run for run in stage.all("RUN") if "apt-get" in run or "pip" in run]
        copied = stage.all("COPY")
        assert all(each.endswith("/opt/stream-ml /opt/stream-ml") for each in copied)


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_starts_is_what_the_chart_gives_arguments_to(image: str) -> None:
    entries = [entry for stage in ancestry(image) for entry in stage.all("ENTRYPOINT")]
    assert entries == ['["/opt/stream-ml/bin/python"]']
    for _, pod in pods(objects("gpu")):
        (container,) = pod["spec"]["containers"]
        assert "command" not in container
        assert container["args"][0] in ("-m", "-c")


def test_every_command_is_one_that_a_shell_can_read() -> None:
    for stage in STAGES.values():
        for run in stage.all("RUN"):
            assert subprocess.run(["sh", "-n", "-c", run], check=False).returncode == 0, run
