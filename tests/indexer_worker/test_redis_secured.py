"""Redis behind TLS and a password, as redis-py and Celery reach it.

The Valkey of the wheel is built without TLS; a relay before it speaks TLS in its stead.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from landmarks.errors import UnavailableError
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.store import JobStore
from landmarks.job_store.task_messages import INDEX_QUEUE, TaskMessage
from landmarks.settings import BrokerSettings
from tests.support.certificates import Authority, Files
from tests.support.processes import eventually, free_port, running_module
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.integration

PASSWORD = "p@ss/w:rd%"


@contextmanager
def tls_before(port: int, files: Files) -> Iterator[int]:
    """Speak mutual TLS before `port`, and give the port for that."""
    own = free_port()
    told = (str(own), str(port), str(files.certificate), str(files.key), str(files.ca))
    with running_module("tests.support.tls_relay", *told):
        eventually(lambda: accepts(own), "the relay listens")
        yield own


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Valkey]:
    with running_valkey(tmp_path, PASSWORD) as server:
        yield server


def settings(port: int, files: Files | None, scheme: str = "rediss") -> BrokerSettings:
    told: dict[str, object] = {
        "redis_url": f"{scheme}://127.0.0.1:{port}/0",
        "redis_password": PASSWORD,
    }
    if files is not None:
        told |= {"tls_ca": files.ca, "tls_certificate": files.certificate, "tls_key": files.key}
    return BrokerSettings.load(told)


def jobs_by(told: BrokerSettings) -> JobStore:
    return JobStore(connect_redis(told.broker_url), told.redis_url)


def test_jobs_and_celery_reach_redis_over_mutual_tls_with_the_password(
    guarded: Valkey, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    with tls_before(guarded.port, authority.issue("redis")) as port:
        told = settings(port, authority.issue("worker"))
        assert list(jobs_by(told).active()) == []
        with TaskSender(celery_app(told.broker_url)) as sender:
            sender.send(TaskMessage("anything", {}, INDEX_QUEUE))
        assert jobs_by(told).queue_length(INDEX_QUEUE) == 1


def test_without_tls_or_of_another_authority_nothing_is_reached(
    guarded: Valkey, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    own, stranger = authority.issue("worker"), other.issue("stranger")
    with tls_before(guarded.port, authority.issue("redis")) as port:
        for told in (
            settings(port, own, scheme="redis"),
            settings(port, None),
            settings(port, stranger),
            settings(port, Files(stranger.certificate, stranger.key, own.ca)),
        ):
            with pytest.raises(UnavailableError):
                jobs_by(told).active()
            with (
                TaskSender(celery_app(told.broker_url)) as sender,
                pytest.raises(UnavailableError),
            ):
                sender.send(TaskMessage("anything", {}, INDEX_QUEUE))


def test_what_an_error_tells_has_no_password_in_it(guarded: Valkey) -> None:
    told = settings(guarded.port, None)
    with pytest.raises(UnavailableError) as failed:
        jobs_by(told).active()
    assert f"127.0.0.1:{guarded.port}" in str(failed.value)
    assert "p@ss" not in str(failed.value)
    assert "p%40ss" not in str(failed.value)
