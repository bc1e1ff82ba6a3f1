"""Secrets come from the environment or from files, and go nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import unquote

import pytest
from kombu import Connection
from redis.connection import parse_url

from indexer_worker.settings import IndexerSettings
from landmarks.edge_server.settings import EdgeSettings
from landmarks.errors import ConfigurationError
from landmarks.observability.logging import _described
from landmarks.security.tls import NO_TLS
from landmarks.settings import BrokerSettings, ClientSettings, QdrantSettings, Settings
from landmarks_tools.local_stack.settings import StackSettings

SECRET = "p@ss/w:rd%é"


def test_a_folder_of_secrets_is_read_and_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "landmarks_qdrant_api_key").write_text("from-the-file\n")
    (tmp_path / "landmarks_redis_password").write_text(SECRET)
    monkeypatch.setenv("LANDMARKS_SECRETS_DIR", str(tmp_path))
    settings = IndexerSettings.load()
    assert settings.qdrant_api_key is not None
    assert settings.qdrant_api_key.get_secret_value() == "from-the-file"
    monkeypatch.setenv("LANDMARKS_QDRANT_API_KEY", "from-the-environment")
    key = QdrantSettings.load().qdrant_api_key
    assert key is not None
    assert key.get_secret_value() == "from-the-environment"
    monkeypatch.setenv("LANDMARKS_QDRANT_API_KEY", "")
    assert QdrantSettings.load().qdrant_api_key is None


def test_a_missing_folder_of_secrets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDMARKS_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match=r"LANDMARKS_SECRETS_DIR.*nowhere"):
        Settings.load()


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://valkey:6379/0", "redis://:p%40ss%2Fw%3Ard%25%C3%A9@valkey:6379/0"),
        ("redis://app@[::1]:6379/1", "redis://app:p%40ss%2Fw%3Ard%25%C3%A9@[::1]:6379/1"),
    ],
)
def test_a_password_becomes_part_of_the_address_whatever_it_holds(url: str, whole: str) -> None:
    settings = BrokerSettings.load({"redis_url": url, "redis_password": SECRET})
    assert settings.broker_url == whole
    assert settings.redis_url == url


def test_an_address_and_a_setting_cannot_both_have_a_password() -> None:
    with pytest.raises(ConfigurationError, match="LANDMARKS_REDIS_URL has a password"):
        BrokerSettings.load({"redis_url": "redis://:a@valkey/0", "redis_password": "b"})


@pytest.mark.parametrize(
    "form",
    [
        "redis://:{}@valkey:6379/0",
        "redis://app:{}@valkey/0",
        "redis://valkey:6379/0?password={}",
        "redis://valkey?db=1&password={}&username=app",
        "rediss://:{}@valkey/0?ssl_check_hostname=false",
    ],
)
@pytest.mark.parametrize("secret", ["hush", "a@hush", "hush@b", "@@hush", "%40hush%3A"])
def test_a_password_in_the_address_of_redis_goes_to_redis_alone(form: str, secret: str) -> None:
    settings = BrokerSettings.load({"redis_url": form.format(secret)})
    shown = f"{settings!r} {_described(settings)} {settings.model_dump()}"
    assert "hush" not in shown
    assert "valkey" in settings.redis_url
    connected = parse_url(settings.broker_url)
    assert connected["password"] == unquote(secret)
    assert connected["host"] == "valkey"
    assert connected.get("username", "") == ("app" if "app" in form else "")
    # Celery's own reading of the same address.
    celery = Connection(settings.broker_url)
    assert (celery.hostname, celery.password) == ("valkey", unquote(secret))
    assert celery.virtual_host == str(connected["db"])


@pytest.mark.parametrize(
    "address",
    [
        "redis://:hush/b@valkey/0",
        "redis://:12/hush@valkey/0",
        "redis://:12?hush@valkey/0",
        "redis://:12#hush@valkey/0",
        "redis://:hush@valkey:port/0",
        "redis://:hush@valkey/0?password=other",
        "redis://:12?hush=1@valkey/0",
        "redis://[hush@valkey",
        "redis://:hush@valkey/0?socket_timeout=3",
        "hush@valkey:6379",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="LANDMARKS_REDIS_URL") as refused:
        BrokerSettings.load({"redis_url": address})
    texts = [str(refused.value), *traceback.format_exception(refused.value)]
    assert not [text for text in texts if "hush" in text]


def test_no_log_line_and_no_error_has_the_password_of_an_address() -> None:
    code = (
        "import logging, sys, structlog\n"
        "from landmarks.errors import NotFoundError\n"
        "from landmarks.observability.logging import configure_logging\n"
        "from search_service.settings import SearchSettings\n"
        "configure_logging(SearchSettings.load(), 'search')\n"
        "for address in sys.argv[1:]:\n"
        "    structlog.get_logger('x').warning('no answer', address=address, tried=[address])\n"
        "    logging.getLogger('kombu').error('cannot connect to %s: %s', address, 'refused')\n"
        "    try:\n"
        "        raise OSError('cannot reach ' + address)\n"
        "    except OSError:\n"
        "        structlog.get_logger('x').exception('failed')\n"
        "    print(NotFoundError('cannot open ' + address), file=sys.stderr)\n"
    )
    addresses = [
        "redis://:secret@h/0",
        "redis://:a@secret@h/0",
        "rediss://u:se%40cret@secret@h:6379/0",
        "redis://h/0?password=secret&db=1",
        "https://h/list.txt?x=1&X-Amz-Signature=secret",
        "https://u:secret@h/photos/a@b.jpg",
    ]
    for format_ in ("json", "console"):
        done = subprocess.run(
            [sys.executable, "-c", code, *addresses],
            env={
                **os.environ,
                "LANDMARKS_LOG_FORMAT": format_,
                "LANDMARKS_REDIS_URL": "redis://:a@secret@valkey/0",
                "LANDMARKS_OTLP_ENDPOINT": "",
                "LANDMARKS_SOURCE_ROOTS": '["https://u:a@secret@h/photos"]',
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert "secret" not in done.stderr
        assert "valkey" in done.stderr
        assert "photos/a@b.jpg" in done.stderr
        assert done.stderr.count("no answer") == len(addresses)


def test_no_secret_is_logged_or_in_an_error() -> None:
    code = (
        "import sys; sys.argv = ['']\n"
        "from landmarks.observability.logging import configure_logging\n"
        "from search_service.settings import SearchSettings\n"
        "configure_logging(SearchSettings.load(), 'search')\n"
    )
    secrets = {"LANDMARKS_QDRANT_API_KEY": "secret-1", "LANDMARKS_REDIS_PASSWORD": "secret-2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **secrets, "LANDMARKS_REDIS_URL": "redis://u@h/0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "setting_redis_password" in done.stderr
    assert "secret-" not in done.stderr
    assert "secret-1" not in repr(QdrantSettings.load({"qdrant_api_key": "secret-1"}))


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="_TLS_CERTIFICATE and LANDMARKS_TLS_KEY need"):
        Settings.load({"tls_certificate": "server.pem"})
    with pytest.raises(ConfigurationError, match="needs LANDMARKS_TLS_CA"):
        Settings.load({"tls_client_certificates": True})


def test_unset_and_empty_are_the_same_so_that_nothing_is_on_by_accident() -> None:
    given = {"tls_certificate": "", "tls_key": "", "tls_ca": "", "tls_client_certificates": ""}
    assert Settings.load(given).tls == NO_TLS
    assert ClientSettings.load({"api_key": ""}).key == ""
    assert Settings.load({"allow_unauthenticated": ""}).allow_unauthenticated is False
    assert QdrantSettings.load({"qdrant_tls": ""}).qdrant_tls is False


@pytest.mark.parametrize("settings", [Settings, StackSettings, EdgeSettings])
def test_an_empty_folder_is_the_default_one(
    settings: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = settings.load()
    for name in ("CACHE_DIR", "DATA_DIR", "EDGE_DATA_DIR"):
        monkeypatch.setenv(f"LANDMARKS_{name}", "")
    assert settings.load() == usual
