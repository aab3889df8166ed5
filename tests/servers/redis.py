"""Real Redis servers for tests: one alone, or a cluster of three masters and three replicas."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.servers.processes import Process, answers, free_port, wait_until

NODE_TIMEOUT_MILLISECONDS = 2000
MASTERS = 3


def require_redis() -> None:
    """Skip on a laptop without the server; fail where CI=true."""
    if shutil.which("redis-server") is not None:
        return
    missing = "redis-server is not installed (apt-get install redis-server)"
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Redis: {missing}")
    pytest.skip(missing)


class RedisServer:
    """One process on a port of its own; *settings* say whether its data survive ``kill`` and ``start``."""

    def __init__(self, directory: Path, settings: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory)]
        command += ["--save", "", "--maxmemory-policy", "noeviction", *settings]
        self.process = Process(command, directory / "redis.log")

    def start(self) -> RedisServer:
        # One with much on its disk answers long before it has loaded that.
        self.process.start().wait_until(self._has_loaded, 60)
        return self

    def _has_loaded(self) -> bool:
        if not answers(self.port):
            return False
        asked = ["redis-cli", "-p", str(self.port), "info", "persistence"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout
        return "loading:0" in told.splitlines()

    def kill(self) -> None:
        """SIGKILL, as when the machine fails."""
        self.process.kill()

    def stop(self) -> None:
        self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisCluster:
    """Masters with a replica each, as ``redis-cli --cluster create`` deals the slots."""

    def __init__(self, directory: Path) -> None:
        clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MILLISECONDS)]
        clustered += ["--appendonly", "yes"]
        # By default the bus has port + 10,000, where an outgoing connection of another test may already be.
        self.servers = [
            RedisServer(directory / str(number), [*clustered, "--cluster-port", str(free_port())])
            for number in range(2 * MASTERS)
        ]
        self.url = self.servers[0].url

    def start(self) -> RedisCluster:
        for server in self.servers:
            server.start()
        addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        wait_until(self.is_whole, 30)
        return self

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def is_whole(self) -> bool:
        """Whether all servers are there, know all slots, and replicas follow."""
        return all(map(self._whole, self.servers))

    def pair_of(self, key: str) -> tuple[RedisServer, RedisServer]:
        """Return the master that has *key* and its replica."""
        slot = int(self._ask(self.servers[0], "cluster", "keyslot", key))
        nodes = [line.split() for line in self._ask(self.servers[0], "cluster", "nodes").splitlines()]
        by_port = {str(server.port): server for server in self.servers}
        masters = {node[0]: by_port[_port(node[1])] for node in nodes if _has(node, slot)}
        ((id, master),) = masters.items()
        (replica,) = [by_port[_port(node[1])] for node in nodes if node[3] == id]
        return master, replica

    def promote_replicas(self) -> None:
        """Let every replica take over from its master, which then follows it; nothing is lost."""
        replicas = [
            server for server in self.servers if "role:slave" in self._ask(server, "info", "replication")
        ]
        for server in replicas:
            self._ask(server, "cluster", "failover")
        wait_until(lambda: not any("role:slave" in self._ask(s, "info", "replication") for s in replicas), 20)
        wait_until(lambda: all(map(self._whole, self.servers)), 20)

    def _follows(self, server: RedisServer) -> bool:
        return "role:slave" in self._ask(server, "info", "replication")

    def _whole(self, server: RedisServer) -> bool:
        """Whether this server knows all slots, and as a replica is linked to its master."""
        told = self._ask(server, "cluster", "info") + self._ask(server, "info", "replication")
        return "cluster_state:ok" in told and "master_link_status:down" not in told and self._replicated(told)

    def _replicated(self, told: str) -> bool:
        return "role:slave" in told or "connected_slaves:1" in told

    def _ask(self, server: RedisServer, *command: str) -> str:
        asked = ["redis-cli", "-p", str(server.port), *command]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout


def _port(address: str) -> str:
    """``127.0.0.1:7000@17000`` has the port 7000."""
    return address.partition("@")[0].rpartition(":")[2]


def _has(node: list[str], slot: int) -> bool:
    """Whether a line of ``CLUSTER NODES`` names the slot among the ranges at its end."""
    ranges = [part.split("-") for part in node[8:] if not part.startswith("[")]
    return any(int(part[0]) <= slot <= int(part[-1]) for part in ranges)
