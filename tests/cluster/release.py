"""A release of the chart in a namespace of its own, as Helm and its user see it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.cluster.api import Api, ByName, Object
from tests.cluster.control_plane import ControlPlane
from tests.helm.chart import CHART

NAME = "shop"
INSTANCE = f"app.kubernetes.io/instance={NAME}"


class Release:
    """
    Helm's release ``shop`` of the chart at *chart*.

    What Helm says beside its answer (warnings of the API server come so) is in ``warnings``.
    """

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path, chart: Path = CHART) -> None:
        self.plane, self.namespace, self.chart = plane, namespace, chart
        self.warnings: list[str] = []
        self._directory = directory

    @property
    def api(self) -> Api:
        return self.plane.api

    def install(self, files: Sequence[str], values: Mapping[str, Any] | None = None) -> None:
        """Install it with these values files of the chart and *values* over them; wait until all is ready."""
        self._put("install", files, values)

    def upgrade(
        self, files: Sequence[str], values: Mapping[str, Any] | None = None, seconds: int = 60
    ) -> None:
        self._put("upgrade", files, values, seconds)

    def helm(self, *arguments: str | Path) -> str:
        """
        Run Helm in the release's namespace; return what it prints.

        Raises:
            CommandFailed: with what it says.
        """
        return self._run("helm", *arguments)

    def manifest(self) -> str:
        return self.helm("get", "manifest", NAME)

    def path(self, kind: str, name: str = "") -> str:
        """Return where objects of a kind (``pods``, ``apps/v1/deployments``) are, or the one of that name."""
        version, _, plural = kind.rpartition("/")
        prefix = f"/apis/{version}" if version else "/api/v1"
        return f"{prefix}/namespaces/{self.namespace}/{plural}{'/' * bool(name)}{name}"

    def get(self, kind: str, service: str) -> Object:
        """Return the object that is named as the service."""
        found: Object = self.api.ask("GET", self.path(kind, f"{NAME}-stream-ml-{service}"))
        return found

    def pods(self, service: str = "") -> list[Object]:
        """Return the pods of the service, or of all of them, that are not about to go."""
        found = self.api.all(self.path("pods"), labelSelector=self._selector(service))
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def watching_pods(self, service: str) -> AbstractContextManager[list[ByName]]:
        return self.api.watching(self.path("pods"), labelSelector=self._selector(service))

    def kubectl(self, *arguments: str) -> str:
        """
        Run kubectl in the release's namespace; return what it prints.

        Raises:
            CommandFailed: with what it says.
        """
        return self._run("kubectl", *arguments)

    def told(self) -> str:
        """Return what the cluster says of pods that wait, and of what could not be made."""
        events = self.api.all(self.path("events"), fieldSelector="type!=Normal")
        told = {f"{each['involvedObject']['name']}: {each['message']}": None for each in events}
        return "\n".join([*told][-20:])

    @staticmethod
    def _selector(service: str) -> str:
        return INSTANCE + (f",app.kubernetes.io/component={service}" if service else "")

    def _run(self, tool: str, *arguments: str | Path) -> str:
        ended = self.plane.tool(tool, "--namespace", self.namespace, *arguments)
        if ended.returncode:
            raise CommandFailed(f"{tool} {arguments[0]}: {ended.stderr}\n{self.told()}")
        self.warnings += ended.stderr.splitlines()
        return ended.stdout

    def _put(
        self, how: str, files: Sequence[str], values: Mapping[str, Any] | None, seconds: int = 60
    ) -> None:
        own = self._directory / f"{self.namespace}.json"
        own.write_text(json.dumps(values or {}))
        given = [argument for name in files for argument in ("--values", self.chart / name)]
        waiting = ["--wait", "--wait-for-jobs", f"--timeout={seconds}s"]
        self.helm(how, NAME, self.chart, *given, "--values", own, *waiting)


class CommandFailed(Exception):
    """A command ended with an error; the message has what it and the cluster say."""


def is_ready(pod: Object) -> bool:
    """Whether it gets requests: ready, and not about to go."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def component(pod: Object) -> str:
    """Return the service that a pod is of."""
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def ready(pods: Iterable[Object]) -> set[str]:
    """Return the names of those that get requests."""
    return {pod["metadata"]["name"] for pod in pods if is_ready(pod)}
