"""docker-compose.yml, run as processes with exactly what it says; see tests/support/wiring.py."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from landmarks.client import Landmarks
from tests.deploy.conftest import LANDMARKS, RunningCompose
from tests.support.compose import compose_config, environment_of
from tests.support.wiring import is_healthy, wired

pytestmark = pytest.mark.integration
# Where the file publishes the front door.
SERVER, PAGE = "127.0.0.1:50050", "http://127.0.0.1:8080"


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
