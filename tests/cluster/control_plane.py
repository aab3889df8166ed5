"""
A real Kubernetes API server with its controllers and simulated nodes; `make cluster` builds them.

etcd, API server, controllers and scheduler are those of a release. kwok stands for all kubelets: pods get
ready and Jobs end because ``stages.yaml`` says so. No container runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.cluster.api import TOKEN, Api, Refused
from tests.servers.kafka import certificate
from tests.servers.processes import Process, answers, free_port

BUILT = Path(__file__).parents[2] / ".cache/cluster/bin"
STAGES = Path(__file__).parent / "stages.yaml"
# The controllers ask often, so that tests need not wait for them.
SOON = ["--horizontal-pod-autoscaler-sync-period=1s", "--pvclaimbinder-sync-period=1s"]
NODES = ["--manage-all-nodes", "--node-lease-duration-seconds=40"]


class ControlPlane:
    """
    One control plane on ports of its own; nothing of it outlives ``stop``.

    Attributes:
        api: its API server.
        kubeconfig: of somebody who may do everything.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.kubeconfig = directory, directory / "kubeconfig"
        self._etcd_port, self._peer_port, port = free_port(), free_port(), free_port()
        certificate(directory)
        self._trusted, self._key = directory / "server.crt", directory / "server.key"
        self.api = Api(port, self._trusted)
        self._write_files(port)
        self._processes: list[Process] = []

    def start(self) -> ControlPlane:
        self._run("etcd", *self._etcd()).wait_until(lambda: answers(self._etcd_port), 30)
        self._run("kube-apiserver", *self._apiserver()).wait_until(self._is_ready, 60)
        who = [f"--kubeconfig={self.kubeconfig}"]
        alone = ["--leader-elect=false", "--secure-port=0"]
        signing = [f"--service-account-private-key-file={self._key}", f"--root-ca-file={self._trusted}"]
        self._run("kube-controller-manager", *who, *alone, *signing, *SOON)
        self._run("kube-scheduler", *who, *alone)
        self._run("kwok", *who, f"--config={STAGES}", *NODES)
        return self

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()  # the data are thrown away
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    def tool(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run helm or kubectl against it; neither finds any settings of the machine."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.directory),
            **{f"HELM_{each}_HOME": str(self.directory / "helm") for each in ("CACHE", "CONFIG", "DATA")},
        }
        command = [str(BUILT / name), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)

    def tail(self) -> str:
        """Return the last words of all its processes."""
        return "\n".join(f"== {each.command[0]}\n{each.tail(10)}" for each in self._processes)

    def _run(self, name: str, *arguments: str) -> Process:
        process = Process([str(BUILT / name), *arguments], self.directory / f"{name}.log").start()
        self._processes.append(process)
        return process

    def _is_ready(self) -> bool:
        try:
            return bool(self.api.ask("GET", "/readyz") == "ok")
        except (OSError, Refused):
            return False

    def _etcd(self) -> list[str]:
        url, peers = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        return [
            f"--data-dir={self.directory}/etcd",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.api.port}",
            f"--tls-cert-file={self._trusted}",
            f"--tls-private-key-file={self._key}",
            f"--token-auth-file={self.directory}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
        ]

    def _write_files(self, port: int) -> None:
        (self.directory / "tokens.csv").write_text(f'{TOKEN},tests,tests,"system:masters"\n')
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(self._trusted)}
        settings = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        self.kubeconfig.write_text(yaml.safe_dump(settings))
        self.kubeconfig.chmod(0o600)  # Helm warns of one that others may read
