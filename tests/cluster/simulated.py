"""What a cluster has before a release comes: nodes, volumes, and the kinds of other projects."""

from __future__ import annotations

from typing import Any

from tests.cluster.api import Api, Object
from tests.cluster.control_plane import ControlPlane
from tests.helm.custom_resources import SPECS, VERSIONS
from tests.servers.processes import wait_until

GPU_NODE = "node-gpu"
WORKERS = ("node-a1", "node-a2", "node-b1", "node-b2")
NODES = (*WORKERS, GPU_NODE)
VOLUMES = 60


def furnish(plane: ControlPlane) -> None:
    """Make them, and wait until every node is ready."""
    api = plane.api
    for name in NODES:
        api.create(_node(name))
    api.create(_storage_class())
    for number in range(VOLUMES):
        api.create(_volume(number))
    for kind in SPECS:
        api.create(_definition(kind))
    wait_until(lambda: all(map(_is_ready, api.all("/api/v1/nodes"))), 30, plane.tail)


def cordon(api: Api, node: str, *, closed: bool) -> None:
    """Let no new pod come to *node*, or let them come again."""
    api.ask("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": closed}})


def _is_ready(node: Object) -> bool:
    """Whether it is ready, and what keeps pods from a node that is not has been taken away."""
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
    taints = [taint["key"] for taint in node["spec"].get("taints", ())]
    return conditions.get("Ready") == "True" and "node.kubernetes.io/not-ready" not in taints


def _node(name: str) -> Object:
    there = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{name[5]}"}
    spec: Object = {}
    if name == GPU_NODE:
        there["nvidia.com/gpu"] = "1"
        labels["nvidia.com/gpu.present"] = "true"
        spec["taints"] = [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": spec,
        "status": {"allocatable": there, "capacity": there},
    }


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "made", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
    }


def _volume(number: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"volume-{number}"},
        "spec": {
            "storageClassName": "made",
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "nfs": {"server": "nowhere", "path": f"/{number}"},
        },
    }


def _definition(kind: str) -> Object:
    """Return the definition of a kind of Prometheus's operator or of KEDA, as far as the chart uses it."""
    group, version = VERSIONS[kind].split("/")
    names = {"kind": kind, "singular": kind.lower(), "plural": f"{kind.lower()}s"}
    schema = {"type": "object", "properties": {"spec": _structural(SPECS[kind])}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _structural(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* as a definition may have it: what it does not name is not kept."""
    if not schema:
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    found = {key: value for key, value in schema.items() if value is not False}
    if "properties" in found:
        found["properties"] = {name: _structural(each) for name, each in found["properties"].items()}
    if "items" in found:
        found["items"] = _structural(found["items"])
    return found
