"""Rules, scrape configurations and dashboards against what the services really export."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from tests.deploy.conftest import LANDMARKS, RunningCompose
from tests.support.compose import compose_config
from tests.support.dockerfile import ROOT
from tests.support.processes import eventually
from tests.support.promtool import Selector, grouped_by, promtool, selectors
from tests.support.scrape import scrape

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
# What Prometheus gives every sample besides.
OF_PROMETHEUS = {"job", "instance", "pod"}
SEARCHED = "observed"


def panels() -> list[tuple[str, str]]:
    """Return what every panel asks: where, and the expression."""
    return [
        (f"{file.stem}: {panel['title']}", target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def rules() -> list[tuple[str, str]]:
    return [(rule["alert"], rule["expr"]) for rule in RULES]


@pytest.fixture(scope="module")
def exported(composed: RunningCompose) -> dict[str, dict[str, set[str]]]:
    """What every service exports after it has worked: by metric, each label's values."""
    with Landmarks("127.0.0.1:50050") as landmarks:
        *_, last = landmarks.watch(landmarks.index(str(composed.photos), gallery=SEARCHED).id)
        assert all(progress.stored == len(LANDMARKS) for progress in last.progress)
        with pytest.raises(LandmarksError):
            landmarks.search(photo=b"no photo", gallery=SEARCHED)
        photo = (composed.photos / LANDMARKS[0] / "one.jpg").read_bytes()
        port = int(composed.services["search"].environment["LANDMARKS_METRICS_PORT"])

        def recall_is_told() -> bool:  # a share of searches, chosen by chance, tells it
            landmarks.search(photo=photo, gallery=SEARCHED, models=["scratch"])
            return any(name == "landmarks_search_recall" for name, _ in scrape(port))

        eventually(recall_is_told, "recall is told", 120)
    found: dict[str, dict[str, set[str]]] = {}
    for service in composed.services.values():
        if port := service.environment.get("LANDMARKS_METRICS_PORT"):
            for name, labels in scrape(int(port)):
                values = found.setdefault(name, {})
                for label, value in labels:
                    values.setdefault(label, set()).add(value)
    return found


@pytest.mark.integration
@pytest.mark.parametrize(("where", "expression"), [*rules(), *panels()])
def test_a_rule_or_panel_reads_what_the_services_export(
    where: str, expression: str, exported: dict[str, dict[str, set[str]]]
) -> None:
    read = [selector for selector in selectors(expression) if selector.metric != "up"]
    for selector in read:
        assert selector.metric in exported, f"{where}: nobody exports {selector.metric}"
        wrong = missing(selector, exported[selector.metric])
        assert not wrong, f"{where}: {selector.metric} has no {wrong}"
    known = {label for selector in read for label in exported[selector.metric]}
    assert grouped_by(expression) <= known | OF_PROMETHEUS, where


def missing(selector: Selector, labels: dict[str, set[str]]) -> set[str]:
    """Return what a selector asks for that is not there: a label, or a service's or method's name.

    Codes and outcomes are of things that have not all happened.
    """
    wrong = {name for name, _, _ in selector.labels} - set(labels) - OF_PROMETHEUS
    for name, _, value in selector.labels:
        if name in ("grpc_service", "grpc_method") and value not in labels[name]:
            wrong.add(f"{name}={value}")
    return wrong


def test_the_alarms_are_those_that_the_documentation_names() -> None:
    assert {rule["alert"] for rule in RULES} == {
        "ServiceDown",
        "SearchErrors",
        "SearchSlow",
        "RecallLow",
        "EncoderQueueWaitHigh",
        "EncoderRefusing",
        "IndexDeadLetters",
        "IndexStalled",
    }
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in RULES)


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_prometheus_accepts_the_configuration_for_kubernetes(tmp_path: Path) -> None:
    """Debian's promtool knows no discovery of Kubernetes; all else of the file it checks."""
    config = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    for job in config["scrape_configs"]:
        del job["kubernetes_sd_configs"]
    config["rule_files"] = [str(PROMETHEUS / "rules.yml")]
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    promtool("check", "config", str(tmp_path / "config.yml"))


def test_each_alarm_rings_when_it_should_and_only_then() -> None:
    promtool("test", "rules", str(PROMETHEUS / "rules.test.yml"))


def test_prometheus_scrapes_every_service_of_the_compose_file_at_its_port() -> None:
    scraped = {
        name: discovery["port"]
        for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
        for discovery in job["dns_sd_configs"]
        for name in discovery["names"]
    }
    assert scraped.pop("qdrant") == 6333
    services = compose_config(profiles=["gpu"])["services"]
    assert scraped == {
        name.removesuffix("-gpu"): int(service["environment"]["LANDMARKS_METRICS_PORT"])
        for name, service in services.items()
        if "build" in service
    }


def test_grafana_finds_dashboards_and_their_data_where_they_are_mounted() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards/landmarks.yaml").read_text())[
        "providers"
    ]
    grafana = compose_config(profiles=["observability"])["services"]["grafana"]
    mounted = {mount["target"]: Path(mount["source"]) for mount in grafana["volumes"]}
    assert mounted["/etc/grafana/provisioning"] == provisioning
    assert mounted[provider["options"]["path"]] == DASHBOARDS[0].parent
    assert source["url"] == "http://prometheus:9090"
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) == 3
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in board["panels"]:
            assert all(t["datasource"]["uid"] == source["uid"] for t in panel["targets"])
