"""Failures of Redis as errors of this project."""

import pytest
import redis

from landmarks.errors import UnavailableError
from landmarks.job_store.redis_client import redis_failures


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.OutOfMemoryError("command not allowed"),
        redis.exceptions.ReadOnlyError("you can't write against a replica"),
        redis.exceptions.ResponseError("LOADING the dataset"),
        redis.exceptions.ConnectionError("refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_transient_failures_of_redis_are_unavailable_errors(error: Exception) -> None:
    with pytest.raises(UnavailableError), redis_failures("redis:6379"):
        raise error
