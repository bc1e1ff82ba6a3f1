"""The connection to Redis, and its failures as errors of this project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from landmarks.errors import UnavailableError

# Of one command, whether redis-py or Celery sends it.
TIMEOUT_SECONDS = 5.0
_TRANSIENT_RESPONSES = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)


def connect_redis(url: str) -> redis.Redis:
    """Return a client that fails promptly; callers that can wait retry themselves."""
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # No retries: a script whose answer was lost has run, and some must not run twice. An idle
        # connection is checked before it is used.
        retry=Retry(NoBackoff(), 0),
        health_check_interval=1,
    )


@contextmanager
def redis_failures(address: str) -> Iterator[None]:
    """Turn failures of redis-py into UnavailableError; `address` is that of Redis."""
    try:
        yield
    except redis.exceptions.ResponseError as error:
        if not isinstance(error, _TRANSIENT_RESPONSES) and not str(error).startswith(
            ("LOADING", "MISCONF", "NOREPLICAS")
        ):
            raise
        raise UnavailableError(f"Redis at {address} cannot store anything now: {error}") from error
    except redis.exceptions.AuthenticationError as error:
        raise UnavailableError(
            f"Redis at {address} does not accept the password: {error}; set"
            " LANDMARKS_REDIS_PASSWORD to the password of Redis"
        ) from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise UnavailableError(
            f"Redis at {address} cannot be reached: {error}; start it, or set LANDMARKS_REDIS_URL"
            " to where it is"
        ) from error


def redis_address(url: str) -> str:
    """Return host:port of a Redis URL, without its password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
