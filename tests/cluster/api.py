"""The API server of the tests: what it refuses is raised, what it warns of is kept."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.servers.processes import wait_until

TOKEN = "of-the-tests"

Object = dict[str, Any]
ByName = dict[str, Object]


class Refused(Exception):
    """The API server did not do it; *code* is HTTP's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """The API server, asked by somebody who may do everything. What it warned of is in ``warnings``."""

    def __init__(self, port: int, trusted: Path) -> None:
        self.port = port
        self.warnings: list[str] = []
        self._trusted = trusted
        self._kinds: dict[str, dict[str, Object]] = {}

    def ask(
        self, method: str, path: str, given: Object | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """
        Return its answer.

        Raises:
            Refused: with what the server says.
        """
        connection = self._connection(30)
        try:
            answer = self._send(connection, method, path, given, query or {})
            told = answer.read()
        finally:
            connection.close()
        found = json.loads(told) if told[:1] == b"{" else told.decode()
        if answer.status >= 300:
            raise Refused(answer.status, found["message"] if isinstance(found, dict) else found)
        self.warnings += answer.headers.get_all("Warning", [])
        return found

    def create(self, new: Object, namespace: str = "", **query: str) -> Object:
        """Make *new*, in *namespace* if its kind is in one; what the server does not know is refused."""
        path = self.path_of(new, namespace)
        created: Object = self.ask("POST", path, new, {"fieldValidation": "Strict", **query})
        return created

    def all(self, path: str, **query: str) -> list[Object]:
        """Return all that is at *path*."""
        items: list[Object] = self.ask("GET", path, None, query)["items"]
        return items

    def path_of(self, one: Object, namespace: str) -> str:
        """Return where objects of the kind of *one* are."""
        version = one["apiVersion"]
        if version not in self._kinds:
            known = self.ask("GET", self._prefix(version))["resources"]
            self._kinds[version] = {each["kind"]: each for each in known if "/" not in each["name"]}
        kind = self._kinds[version][one["kind"]]
        where = f"/namespaces/{namespace}" if kind["namespaced"] else ""
        return f"{self._prefix(version)}{where}/{kind['name']}"

    def everything(self, namespace: str) -> Iterator[Object]:
        """Yield all that is in *namespace*, of any kind that can be listed."""
        groups = self.ask("GET", "/apis")["groups"]
        for version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
            for kind in self.ask("GET", self._prefix(version))["resources"]:
                if kind["namespaced"] and {"list", "delete"} <= {*kind["verbs"]}:
                    path = f"{self._prefix(version)}/namespaces/{namespace}/{kind['name']}"
                    yield from ({"kind": kind["kind"], **each} for each in self.all(path))

    @contextmanager
    def watching(self, path: str, **query: str) -> Iterator[list[ByName]]:
        """
        Keep what is at *path* after each change, by name: a list that begins with what is there, and grows.

        At the end it has what was there at the end.
        """
        seen: list[ByName] = []
        connection = self._connection(None)
        first = {"watch": "1", "sendInitialEvents": "true", "allowWatchBookmarks": "true"}
        first["resourceVersionMatch"] = "NotOlderThan"
        answer = self._send(connection, "GET", path, None, {**query, **first})
        reader = threading.Thread(target=_follow, args=(answer, seen), daemon=True)
        reader.start()
        try:
            wait_until(lambda: bool(seen))
            yield seen
            wait_until(lambda: _versions(seen[-1].values()) == _versions(self.all(path, **query)))
        finally:
            # The reader waits in another thread: what it reads from ends, not what it holds.
            with socket.socket(fileno=os.dup(connection.sock.fileno())) as held:
                held.shutdown(socket.SHUT_RDWR)
            reader.join(10)
            connection.close()

    def _connection(self, timeout_seconds: float | None) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self._trusted))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout_seconds, context=context)

    @staticmethod
    def _send(
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        given: Object | None,
        query: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        body = None if given is None else json.dumps(given)
        connection.request(method, f"{path}?{urlencode(query)}", body, headers)
        return connection.getresponse()

    @staticmethod
    def _prefix(version: str) -> str:
        return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _follow(answer: http.client.HTTPResponse, seen: list[ByName]) -> None:
    """Read events until the connection ends; the first state is that of the server's first bookmark."""
    there: ByName = {}
    told_all = False
    with suppress(http.client.HTTPException, OSError):
        for line in answer:
            event = json.loads(line)
            name = event["object"]["metadata"].get("name", "")
            if event["type"] == "BOOKMARK":
                told_all = True
            elif event["type"] == "DELETED":
                del there[name]
            else:
                there[name] = event["object"]
            if told_all:
                seen.append(dict(there))


def _versions(objects: Iterable[Object]) -> set[tuple[str, str]]:
    return {(each["metadata"]["name"], each["metadata"]["resourceVersion"]) for each in objects}
