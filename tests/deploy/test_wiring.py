"""docker-compose.yml, run as processes with exactly what it says; see tests/support/wiring.py."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import REGISTRY

import indexer_worker.metrics  # noqa: F401 - registers its metrics
from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from landmarks.settings import Settings
from tests.support.compose import compose_config, environment_of
from tests.support.photos import drawn_photo
from tests.support.processes import eventually
from tests.support.promtool import Selector, grouped_by, panels, rules, selectors
from tests.support.scrape import scrape
from tests.support.wiring import Wired, is_healthy, running, wired

pytestmark = [pytest.mark.integration, pytest.mark.slow]
# Where the file publishes the front door.
SERVER, PAGE = "127.0.0.1:50050", "http://127.0.0.1:8080"
# What Prometheus gives every sample besides.
OF_PROMETHEUS = {"job", "instance", "pod"}
SEARCHED = "observed"
LANDMARKS = ("Atomium", "Soreq", "Belém")


@dataclass(frozen=True)
class RunningCompose:
    """What runs, and the photos that its workers see."""

    services: dict[str, Wired]
    photos: Path


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCompose]:
    folder = tmp_path_factory.mktemp("compose")
    photos = folder / "photos"
    for seed, landmark in enumerate(LANDMARKS):
        (photos / landmark).mkdir(parents=True)
        drawn_photo(seed=seed).save(photos / landmark / "one.jpg", quality=92)
    config = compose_config(environment={"PHOTOS": str(photos)})
    services = wired(config, folder, Settings.load().cache_dir)
    with running(services, folder):
        yield RunningCompose(services, photos)


def test_every_service_of_the_file_is_healthy_by_its_own_check(composed: RunningCompose) -> None:
    assert len(composed.services) == 9
    assert {name for name, service in composed.services.items() if not is_healthy(service)} == set()


def test_what_is_indexed_through_the_front_door_is_found_by_every_model(
    composed: RunningCompose,
) -> None:
    with Landmarks(SERVER) as landmarks:
        job = landmarks.index(str(composed.photos), gallery="wired")
        *_, last = landmarks.watch(job.id)
        encoders = json.loads(
            environment_of(compose_config()["services"]["search"])["LANDMARKS_ENCODERS"]
        )
        assert {p.model: p.stored for p in last.progress} == dict.fromkeys(encoders, 3)
        for landmark in LANDMARKS:
            photo = (composed.photos / landmark / "one.jpg").read_bytes()
            answer = landmarks.search(photo=photo, gallery="wired")
            assert not answer.partial
            first = {ranking.model: ranking.hits[0].point.landmark for ranking in answer.rankings}
            assert first == dict.fromkeys(encoders, landmark)


def test_the_page_is_served_where_it_is_published(composed: RunningCompose) -> None:
    with urlopen(PAGE, timeout=10) as answer:
        assert "<title>Landmarks</title>" in answer.read().decode()


def test_a_host_name_that_no_service_has_stays_as_it_is(tmp_path: Path) -> None:
    config = compose_config()
    config["services"]["search"]["environment"]["LANDMARKS_QDRANT_HOST"] = "qdramt"
    environment = wired(config, tmp_path, tmp_path)["search"].environment
    assert environment["LANDMARKS_QDRANT_HOST"] == "qdramt"
    assert environment["LANDMARKS_REDIS_URL"] == "redis://127.0.0.1:6379/0"
    assert "dns:///127.0.0.1:50052" in environment["LANDMARKS_ENCODERS"]
    assert environment["LANDMARKS_SEARCH_HOST"] == "0.0.0.0"


@pytest.fixture(scope="module")
def exported(composed: RunningCompose) -> dict[str, dict[str, set[str]]]:
    """What every service exports after it has worked: by metric, each label's values."""
    with Landmarks(SERVER) as landmarks:
        *_, last = landmarks.watch(landmarks.index(str(composed.photos), gallery=SEARCHED).id)
        assert all(progress.stored == len(LANDMARKS) for progress in last.progress)
        with pytest.raises(LandmarksError):
            landmarks.search(photo=b"no photo", gallery=SEARCHED)
        photo = (composed.photos / LANDMARKS[0] / "one.jpg").read_bytes()
        port = int(composed.services["search"].environment["LANDMARKS_METRICS_PORT"])

        def recall_is_exported() -> bool:  # measured on a random share of searches
            landmarks.search(photo=photo, gallery=SEARCHED, models=["scratch"])
            return any(name == "landmarks_search_recall" for name, _ in scrape(port))

        eventually(recall_is_exported, "recall is exported", 120)

        def layouts_are_exported() -> bool:  # looked at once in a while
            return any(name == "landmarks_collection_unsafe_layout" for name, _ in scrape(port))

        eventually(layouts_are_exported, "layouts are exported", 120)
    found: dict[str, dict[str, set[str]]] = {}
    for service in composed.services.values():
        if port := service.environment.get("LANDMARKS_METRICS_PORT"):
            for name, labels in scrape(int(port)):
                values = found.setdefault(name, {})
                for label, value in labels:
                    values.setdefault(label, set()).add(value)
    return found


# What is exported only where a collection has several copies.
ON_A_CLUSTER = {"landmarks_collection_differing_points"}


@pytest.mark.parametrize(("where", "expression"), [*rules(), *panels()])
def test_a_rule_or_panel_reads_what_the_services_export(
    where: str, expression: str, exported: dict[str, dict[str, set[str]]]
) -> None:
    read = [selector for selector in selectors(expression) if selector.metric != "up"]
    if ON_A_CLUSTER.intersection(selector.metric for selector in read):
        assert {selector.metric for selector in read} <= {one.name for one in REGISTRY.collect()}
        return
    for selector in read:
        assert selector.metric in exported, f"{where}: nobody exports {selector.metric}"
        wrong = missing(selector, exported[selector.metric])
        assert not wrong, f"{where}: {selector.metric} has no {wrong}"
    known = {label for selector in read for label in exported[selector.metric]}
    assert grouped_by(expression) <= known | OF_PROMETHEUS, where


def missing(selector: Selector, labels: dict[str, set[str]]) -> set[str]:
    """Return what a selector names that is not exported: a label, or a service's or method's name.

    Codes and outcomes are of things that have not all happened.
    """
    wrong = {name for name, _, _ in selector.labels} - set(labels) - OF_PROMETHEUS
    for name, _, value in selector.labels:
        if name in ("grpc_service", "grpc_method") and value not in labels[name]:
            wrong.add(f"{name}={value}")
    return wrong
