"""The service as a process: how it starts, ends, and says that it cannot."""

import os
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.processes import free_port

pytestmark = pytest.mark.integration


def started(**settings):
    environment = {
        **os.environ,
        "LANDMARKS_MODELS": "scratch",
        "LANDMARKS_THREADS": "1",
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "encoder_service"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_serves_until_sigterm_and_then_ends_well():
    port = free_port()
    process = started(LANDMARKS_ENCODER_PORT=str(port))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="scratch")
            for _ in range(600):
                assert process.poll() is None
                try:
                    if stub.Check(request, wait_for_ready=True, timeout=60).status == 1:
                        break
                except grpc.RpcError:
                    pass
                time.sleep(0.1)
            else:
                raise AssertionError("never ready")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "port is in use"),
        ({"LANDMARKS_MODELS": "vgg99"}, "vgg99"),
        ({"LANDMARKS_THREADS": "x"}, "LANDMARKS_THREADS"),
    ],
)
def test_what_cannot_work_is_a_message_and_an_exit_code(settings, reason):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = started(**{"LANDMARKS_ENCODER_PORT": port, **settings})
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert reason in errors
    assert "Traceback" not in errors
