"""The whole system with every lock on: mutual TLS, keys, passwords, and their rotation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from celery import Celery

from landmarkapi.indexing.v1 import indexing_pb2
from landmarks.client import Landmarks
from landmarks.errors import UnauthenticatedError, UnavailableError
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import INDEX_QUEUE, INDEX_TASK
from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from landmarks.security.tls import NO_TLS
from landmarks.settings import BrokerSettings
from landmarks.vector_store.client import connect
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.settings import VectorStoreSettings
from tests.support.certificates import Authority, served_serial
from tests.support.indexing_rig import MODEL
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.scrape import is_healthy
from tests.support.secured_stack import (
    PASSWORD,
    QDRANT_KEY,
    Secured,
    indexed,
    key_of,
    model_by,
    secured_running,
    stored_by,
)

pytestmark = pytest.mark.integration

GALLERY = "guarded"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_running(tmp_path_factory.mktemp("secured")) as running:
        yield running


def test_with_every_lock_on_photos_are_indexed_and_found_by_two_encoders_in_turn(
    secured: Secured,
) -> None:
    key = key_of(secured, "first", Permission.WRITE)
    before = secured.encoded()
    assert indexed(secured, GALLERY, key) == 48
    after = secured.encoded()
    shares = [after[n] - before[n] for n in range(2)]
    assert sum(shares) == 48
    assert min(shares) >= 12  # round robin, by chunks of four
    photo = (secured.folder / "photos/landmark 1/1.png").read_bytes()
    with secured.client(key) as client:
        best = client.search(photo=photo, gallery=GALLERY).fused[0]
    assert best.point.landmark == "landmark 1"


def test_both_workers_take_part(secured: Secured) -> None:
    key = key_of(secured, "second", Permission.WRITE)
    for attempt in range(5):
        indexed(secured, f"{GALLERY}-{attempt}", key)
        if all(stored_by(secured, number) for number in range(2)):
            return
    raise AssertionError("one of the workers never did anything")


@pytest.mark.slow
def test_no_encoder_answers_in_plaintext_or_to_who_has_no_certificate(secured: Secured) -> None:
    for target in secured.encoders:
        assert model_by(target, NO_TLS) == "UNAVAILABLE"
        assert model_by(target, secured.person) == "UNAVAILABLE"
        stranger = Authority(secured.folder / "strangers").issue("stranger").tls
        assert model_by(target, replace(stranger, ca=secured.authority.file)) == "UNAVAILABLE"
        expired = secured.authority.issue("expired", expired=True).tls
        assert model_by(target, expired) == "UNAVAILABLE"
        assert model_by(target, secured.certificates["worker-0"].tls) == MODEL


def test_the_front_door_wants_tls_and_a_key_that_can_be_rotated_and_no_certificate(
    secured: Secured,
) -> None:
    with Landmarks(secured.target) as plain, pytest.raises(UnavailableError):
        plain.models()
    with secured.client() as stranger, pytest.raises(UnauthenticatedError):
        stranger.models()
    with secured.client(key_of(secured, "reader", Permission.READ)) as known:
        assert [model.name for model in known.models()] == [MODEL]
        newer = known.on_behalf_of(key_of(secured, "reader-2", Permission.READ))
        for both in (known, newer):
            both.models()
        api_keys.revoke(secured.keys, "reader")
        with pytest.raises(UnauthenticatedError, match="revoked"):
            known.models()
        newer.models()


def test_certificates_of_all_parts_are_replaced_while_they_work(secured: Secured) -> None:
    key = key_of(secured, "rotating", Permission.WRITE)
    caller = secured.certificates["worker-0"]
    servers = {
        **{f"encoder-{number}": target for number, target in enumerate(secured.encoders)},
        "qdrant": f"127.0.0.1:{secured.qdrant_port}",
        "search": secured.target,
    }
    before = {name: served_serial(target, caller) for name, target in servers.items()}
    for name in secured.certificates:
        secured.authority.issue(name)
    for name, target in servers.items():
        shown = served_serial(target, caller)
        assert shown == secured.authority.serial(secured.certificates[name])
        assert shown != before[name]
    assert indexed(secured, f"{GALLERY}-rotated", key) == 48


def test_an_encoder_whose_certificate_has_expired_is_not_used_until_it_has_a_new_one(
    secured: Secured,
) -> None:
    key = key_of(secured, "expiring", Permission.WRITE)
    caller = secured.certificates["worker-0"].tls
    secured.authority.issue("encoder-1", expired=True)
    assert model_by(secured.encoders[1], caller) == "UNAVAILABLE"
    assert model_by(secured.encoders[0], caller) == MODEL
    assert indexed(secured, f"{GALLERY}-one", key) == 48  # by the other one, or what is connected
    secured.authority.issue("encoder-1")
    assert model_by(secured.encoders[1], caller) == MODEL


def test_the_engines_let_in_only_who_has_their_secrets(secured: Secured) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(secured.valkey.url).ping()
    jobs = JobStore(connect_redis(secured.valkey.url), secured.valkey.url)
    with pytest.raises(UnavailableError, match="LANDMARKS_REDIS_PASSWORD"):
        jobs.active()
    wrong = BrokerSettings(redis_url=secured.valkey.url, redis_password="wrong")
    with pytest.raises(UnavailableError, match="LANDMARKS_REDIS_PASSWORD"):
        JobStore(connect_redis(wrong.broker_url), wrong.redis_url).active()
    given = {
        "qdrant_port": secured.qdrant_port,
        "qdrant_tls": True,
        "tls_ca": secured.authority.file,
        **{
            name: value
            for name, value in secured.certificates["worker-0"].settings.items()
            if name in ("tls_certificate", "tls_key")
        },
    }
    for key in (None, "wrong"):
        settings = VectorStoreSettings.load({**given, "qdrant_api_key": key})
        with pytest.raises(UnavailableError, match="LANDMARKS_QDRANT_API_KEY"), qdrant_failures(""):
            connect(settings).get_collections()
    right = connect(VectorStoreSettings.load({**given, "qdrant_api_key": QDRANT_KEY}))
    assert right.get_collections().collections
    plain = VectorStoreSettings.load(
        {"qdrant_port": secured.qdrant_port, "qdrant_api_key": QDRANT_KEY}
    )
    with pytest.raises(UnavailableError), qdrant_failures(""):
        connect(plain).get_collections()


def test_a_job_can_be_enqueued_with_celery_alone_by_who_has_the_password(secured: Secured) -> None:
    settings = BrokerSettings(redis_url=secured.valkey.url, redis_password=PASSWORD)
    with Celery(broker=settings.broker_url) as sender:
        sender.send_task(
            INDEX_TASK,
            kwargs={
                "gallery": "by-celery",
                "source": str(secured.folder / "photos"),
                "models": [MODEL],
            },
            queue=INDEX_QUEUE,
        )
    key = key_of(secured, "watching", Permission.READ)

    def done() -> bool:
        with secured.client(key) as client:
            return any(
                job.state == indexing_pb2.JOB_STATE_SUCCEEDED for job in client.jobs("by-celery")
            )

    eventually(done, "the job has ended")


def test_no_part_writes_a_secret_to_its_log(secured: Secured) -> None:
    key = key_of(secured, "reader", Permission.READ)
    with secured.client(key) as client:
        client.models()
    for log in secured.logs:
        text = log.read_text()
        assert "setting_tls_ca" in text, log
        for secret in (PASSWORD, "p%40ss", QDRANT_KEY, key, "PRIVATE KEY"):
            assert secret not in text, log


def test_the_health_check_of_a_container_needs_no_certificate_and_no_secret(
    secured: Secured,
) -> None:
    assert is_healthy(secured.metrics_ports[0])
    assert is_healthy(secured.search_metrics_port)


def test_a_probe_by_hand_needs_the_settings_of_the_service_that_it_asks(secured: Secured) -> None:
    settings = secured.certificates["search"].settings
    given = {f"LANDMARKS_{one.upper()}": value for one, value in settings.items()}
    probe = [sys.executable, "-m", "landmarks.probe", secured.target]
    assert subprocess.run(probe, env={**os.environ, **given}).returncode == 0
    assert subprocess.run(probe, env=os.environ).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "given", "advice"),
    [
        ("encoder_service", {"encoder_host": "0.0.0.0"}, "LANDMARKS_TLS_CERTIFICATE"),
        ("search_service", {"search_host": "0.0.0.0"}, "landmarks keys create"),
        ("landmarks.edge_server", {"edge_host": "0.0.0.0"}, "LANDMARKS_QDRANT_API_KEY"),
    ],
)
def test_no_part_listens_to_the_network_without_a_lock_unless_it_is_told_to(
    module: str, given: dict[str, str], advice: str, tmp_path: Path
) -> None:
    ports = {"encoder_port": "0", "search_port": "0", "models": "scratch"}
    log = tmp_path / "log"
    more = {"edge_data_dir": str(tmp_path / "data"), "qdrant_port": str(free_port())}
    with running_module(module, log=log, **ports, **given, **more) as process:
        assert process.wait(60) == 2
    assert advice in log.read_text()
    assert "LANDMARKS_ALLOW_UNAUTHENTICATED" in log.read_text()
    with running_module(
        module, log=log, **ports, **given, **more, allow_unauthenticated="true"
    ) as process:
        eventually(lambda: "anybody who can reach this may call it" in log.read_text(), "a warning")
        assert process.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("module", ["search_service", "indexer_worker", "encoder_service"])
def test_a_certificate_that_cannot_be_used_is_told_at_the_start_in_words(
    module: str, tmp_path: Path
) -> None:
    files = Authority(tmp_path).issue("part")
    files.key.write_text("no key\n")
    log = tmp_path / "log"
    ports = {"encoder_port": "0", "search_port": "0", "models": "scratch"}
    with running_module(module, log=log, **ports, **files.settings) as process:
        assert process.wait(60) == 2
    said = log.read_text()
    assert "part.pem and" in said
    assert "are not a certificate and its key" in said
    assert "Traceback" not in said
