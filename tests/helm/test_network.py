"""Nobody reaches a pod, and no pod anybody, but those who are named."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import PROD, SERVICES, merged, objects, pods, render


def applies(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    excluded = [
        each for each in selector.get("matchExpressions", []) if labels[each["key"]] in each["values"]
    ]
    return not excluded and selector["matchLabels"].items() <= labels.items()


def rules(found: list[dict[str, Any]], labels: dict[str, str], way: str) -> list[dict[str, Any]]:
    policies = [each for each in found if each["kind"] == "NetworkPolicy" and applies(each, labels)]
    assert any(way.title() in each["spec"]["policyTypes"] for each in policies), "open to everybody"
    return [rule for each in policies for rule in each["spec"].get(way, [])]


@pytest.fixture(scope="module")
def labels() -> dict[str, dict[str, str]]:
    found = {}
    for _, pod in pods(objects("prod")):
        found[pod["metadata"]["labels"]["app.kubernetes.io/component"]] = pod["metadata"]["labels"]
    assert found.keys() == {*SERVICES, "topics", "test"}
    return found


def ports(of: list[dict[str, Any]]) -> set[Any]:
    return {port["port"] for rule in of for port in rule.get("ports", [])}


def test_whatever_the_release_has_is_closed_before_anything_is_opened() -> None:
    (closed,) = [each for each in objects("prod") if each["metadata"]["name"] == "shop-stream-ml-deny"]
    assert closed["spec"].keys() == {"podSelector", "policyTypes"}
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"]
    for _, pod in pods(objects("prod")):
        assert applies(closed, pod["metadata"]["labels"])


def test_every_rule_names_ports_or_peers(labels: dict[str, dict[str, str]]) -> None:
    for each in objects("prod"):
        if each["kind"] == "NetworkPolicy":
            for rule in (*each["spec"].get("ingress", []), *each["spec"].get("egress", [])):
                assert rule.get("ports") or rule.get("to") or rule.get("from"), each["metadata"]["name"]


def test_into_pods_come_scrapers_and_clients_only(labels: dict[str, dict[str, str]]) -> None:
    found = list(objects("prod"))
    for component, of in labels.items():
        wanted = {"http", "thrift"} if component == "predictor" else {"http"}
        into = rules(found, of, "ingress")
        assert ports(into) == wanted
        assert all(rule["from"] for rule in into), "from anywhere"
    clients = [r for r in rules(found, labels["predictor"], "ingress") if ports([r]) == {"thrift"}]
    peers = [peer for rule in clients for peer in rule["from"]]
    assert PROD["networkPolicy"]["clients"][0] in peers
    assert any(
        p.get("podSelector", {}).get("matchLabels", {}).items() <= labels["test"].items() for p in peers
    )


def test_out_of_pods_go_names_and_what_was_allowed_only(labels: dict[str, dict[str, str]]) -> None:
    found = list(objects("prod"))
    for component in (*SERVICES, "topics"):
        assert ports(rules(found, labels[component], "egress")) == {53, 9093, 443}
    to_predictor = [rule for rule in rules(found, labels["test"], "egress") if "to" in rule]
    assert ports(rules(found, labels["test"], "egress")) == {53}
    assert to_predictor[0]["to"][0]["podSelector"]["matchLabels"].items() <= labels["predictor"].items()


def test_without_names_the_namespace_may_ask(labels: dict[str, dict[str, str]]) -> None:
    found = render(merged(PROD, {"networkPolicy": {"clients": [], "scrapers": []}}))
    for rule in rules(found, labels["predictor"], "ingress"):
        assert all(peer.keys() == {"podSelector"} for peer in rule["from"])


def test_it_may_be_left_to_others() -> None:
    assert not [each for each in objects("scores only") if each["kind"] == "NetworkPolicy"]
