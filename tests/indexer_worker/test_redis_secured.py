"""Redis behind TLS and a password, as redis-py and Celery reach it.

The Valkey of the wheel is built without TLS; a relay in front of it speaks TLS.
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
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.valkey import Valkey, running_valkey

pytestmark = pytest.mark.integration

PASSWORD = "p@ss/w:rd%"


@contextmanager
def tls_in_front_of(port: int, files: Files) -> Iterator[int]:
    """Serve mutual TLS in front of `port`; yield the port to connect to."""
    own = free_port()
    arguments = (str(own), str(port), str(files.certificate), str(files.key), str(files.ca))
    with running_module("tests.support.tls_relay", *arguments):
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


def broker(port: int, files: Files | None, scheme: str = "rediss") -> BrokerSettings:
    values: dict[str, object] = {
        "redis_url": f"{scheme}://127.0.0.1:{port}/0",
        "redis_password": PASSWORD,
    }
    if files is not None:
        values |= {"tls_ca": files.ca, "tls_certificate": files.certificate, "tls_key": files.key}
    return BrokerSettings.load(values)


def job_store(settings: BrokerSettings) -> JobStore:
    return JobStore(connect_redis(settings.broker_url), settings.redis_url)


def test_jobs_and_celery_reach_redis_over_mutual_tls_with_the_password(
    guarded: Valkey, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    with tls_in_front_of(guarded.port, authority.issue("redis")) as port:
        settings = broker(port, authority.issue("worker"))
        assert list(job_store(settings).active()) == []
        with TaskSender(celery_app(settings.broker_url)) as sender:
            sender.send(TaskMessage("anything", {}, INDEX_QUEUE))
        assert job_store(settings).queue_length(INDEX_QUEUE) == 1


@pytest.mark.slow
def test_a_client_without_tls_or_of_another_authority_is_refused(
    guarded: Valkey, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    own, stranger = authority.issue("worker"), other.issue("stranger")
    with tls_in_front_of(guarded.port, authority.issue("redis")) as port:
        for settings in (
            broker(port, own, scheme="redis"),
            broker(port, None),
            broker(port, stranger),
            broker(port, Files(stranger.certificate, stranger.key, own.ca)),
        ):
            with pytest.raises(UnavailableError):
                job_store(settings).active()
            with (
                TaskSender(celery_app(settings.broker_url)) as sender,
                pytest.raises(UnavailableError),
            ):
                sender.send(TaskMessage("anything", {}, INDEX_QUEUE))


def test_errors_do_not_reveal_the_password(guarded: Valkey) -> None:
    settings = broker(guarded.port, None)
    with pytest.raises(UnavailableError) as failed:
        job_store(settings).active()
    assert f"127.0.0.1:{guarded.port}" in str(failed.value)
    assert "p@ss" not in str(failed.value)
    assert "p%40ss" not in str(failed.value)
