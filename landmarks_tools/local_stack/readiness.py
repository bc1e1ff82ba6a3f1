"""Checks when each process of a stack is ready."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import grpc
import redis

from landmarkapi.encoder.v1.encoder_pb2 import GetModelRequest
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import LandmarksError, UnavailableError
from landmarks.probe import is_serving
from landmarks.rpc.channel import open_channel
from landmarks.settings import QdrantSettings
from landmarks.vector_store.client import address_of, connect
from landmarks.vector_store.errors import qdrant_failures
from landmarks_tools.local_stack.free_ports import listens
from landmarks_tools.local_stack.plan import Process, Role, StackPlan
from landmarks_tools.local_stack.qdrant_place import OWN

_PROBE_SECONDS = 2.0
_QDRANT_SECONDS = 10.0


def require_qdrant(settings: QdrantSettings) -> None:
    """Raise UnavailableError unless a Qdrant that the stack does not start answers."""
    patient = settings.model_copy(update={"qdrant_timeout_seconds": _QDRANT_SECONDS})
    try:
        with closing(connect(patient)) as client, qdrant_failures(address_of(settings)):
            client.get_collections()
    except UnavailableError as error:
        raise UnavailableError(
            f"{error}. Nothing was started. Is Qdrant running there, and is that its port for gRPC,"
            " which is 6334 by default (6333 is for REST)? Its key and TLS are"
            " LANDMARKS_QDRANT_API_KEY, LANDMARKS_QDRANT_TLS and LANDMARKS_QDRANT_TLS_CA."
            f" `landmarks up --qdrant {OWN}` starts the stack's own"
        ) from error


def is_ready(process: Process, plan: StackPlan) -> bool:
    """Return whether `process` answers and reports that it is ready."""
    if process.role in (Role.BROKER, Role.WORKER):
        return _is_ready_by_redis(process, plan)
    if not is_serving(process.address, process.model, _PROBE_SECONDS):
        return False
    return not process.page_port or listens(process.page_port)


def wait_until_ready(
    plan: StackPlan, failure: Callable[[str], str], waits: Callable[[Sequence[Process]], None]
) -> Iterator[Process]:
    """Yield each process as it becomes ready, until all are, however long that takes.

    `failure` returns why a process of a name will never be ready, empty if it may be; `waits` is
    called every second or so with those that are not ready yet. Raises LandmarksError with such a
    reason, and as soon as an encoder reports that it cannot load its model.
    """
    waiting = list(plan.processes)
    while waiting:
        ready = [process for process in waiting if is_ready(process, plan)]
        yield from ready
        waiting = [process for process in waiting if process not in ready]
        waits(waiting)
        for process in waiting:
            if reason := failure(process.name):
                raise LandmarksError(reason)
            if process.role == Role.ENCODER and (reason := _load_failure(process)):
                raise LandmarksError(f"{process.name} cannot serve its model: {reason}")
        time.sleep(0.2 if ready else 0.5)


def _load_failure(process: Process) -> str:
    """Return why an encoder could not load its model; empty while it may still load."""
    with open_channel(process.address) as channel:
        try:
            answer = EncoderServiceStub(channel).GetModel(
                GetModelRequest(model=process.model), timeout=_PROBE_SECONDS
            )
        except grpc.RpcError:
            return ""
    return answer.model.failure


def _is_ready_by_redis(process: Process, plan: StackPlan) -> bool:
    with redis.Redis.from_url(plan.redis_url, socket_timeout=_PROBE_SECONDS) as client:
        try:
            if process.role == Role.BROKER:
                return bool(client.ping())
            announced = client.get(f"landmarks:worker:{process.name}")
        except redis.RedisError:
            return False
    if not isinstance(announced, bytes):
        return False
    try:  # a killed worker's announcement outlives it by some seconds
        os.kill(json.loads(announced)["pid"], 0)
    except ProcessLookupError:
        return False
    return True
