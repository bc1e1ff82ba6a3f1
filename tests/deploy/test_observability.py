"""Rules, scrape configurations and dashboards; test_wiring.py has what the services export."""

import json
from pathlib import Path

import pytest
import yaml

from tests.support.compose import compose_config, target_of
from tests.support.dockerfile import ROOT
from tests.support.promtool import DASHBOARDS, PROMETHEUS, RULES, promtool


def test_the_alarms_are_those_that_the_documentation_names() -> None:
    assert {rule["alert"] for rule in RULES} == {
        "ServiceDown",
        "SearchErrors",
        "SearchSlow",
        "CopiesDiffer",
        "RecallLow",
        "EncoderQueueWaitHigh",
        "EncoderRefusing",
        "IndexDeadLetters",
        "IndexStalled",
        "CollectionLayoutUnsafe",
    }
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in RULES)


@pytest.mark.needs(program="promtool")
def test_prometheus_accepts_its_configuration_and_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


@pytest.mark.needs(program="promtool")
def test_prometheus_accepts_the_configuration_for_kubernetes(tmp_path: Path) -> None:
    """Debian's promtool knows no discovery of Kubernetes; all else of the file it checks."""
    config = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    for job in config["scrape_configs"]:
        del job["kubernetes_sd_configs"]
    config["rule_files"] = [str(PROMETHEUS / "rules.yml")]
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    promtool("check", "config", str(tmp_path / "config.yml"))


@pytest.mark.needs(program="promtool")
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
        if target_of(service)
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
