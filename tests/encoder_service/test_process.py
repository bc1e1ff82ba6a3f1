"""The service as a process: start, end, and errors of configuration."""

import os
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from landmarkapi.encoder.v1 import encoder_pb2
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from tests.support.photos import drawn_photo, saved
from tests.support.ports import free_ports
from tests.support.processes import eventually
from tests.support.scrape import is_healthy, scrape

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


def test_it_serves_until_sigterm_and_exits_with_status_0():
    port, metrics = free_ports(2)
    process = started(LANDMARKS_ENCODER_PORT=str(port), LANDMARKS_METRICS_PORT=str(metrics))
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
        assert is_healthy(metrics)
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
def test_an_unusable_configuration_is_a_message_and_an_exit_code(settings, reason):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = started(**{"LANDMARKS_ENCODER_PORT": port, **settings})
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert reason in errors
    assert "Traceback" not in errors


def test_sigterm_finishes_accepted_requests_and_refuses_new_ones():
    port, metrics = free_ports(2)
    process = started(LANDMARKS_ENCODER_PORT=str(port), LANDMARKS_METRICS_PORT=str(metrics))
    photos = [saved(drawn_photo(1600, 1200, seed=seed), "PNG") for seed in range(2)]
    request = encoder_pb2.BatchEncodeRequest(photos=photos * 16)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            ask = health_pb2.HealthCheckRequest(service="scratch")
            said = health.Watch(ask, wait_for_ready=True, timeout=120)
            serving = health_pb2.HealthCheckResponse.SERVING
            assert any(answer.status == serving for answer in said)
            stub = EncoderServiceStub(channel)
            calls = [stub.BatchEncode.future(request, timeout=120) for _ in range(4)]
            queued = ("landmarks_encoder_queued_photos", frozenset({("model", "scratch")}))
            everything = 4 * len(request.photos)
            eventually(lambda: scrape(metrics).get(queued) == everything, "all to be accepted")
            process.send_signal(signal.SIGTERM)
            assert (
                next(answer.status for answer in said) == health_pb2.HealthCheckResponse.NOT_SERVING
            )
            with pytest.raises(grpc.RpcError) as refused:
                stub.Encode(encoder_pb2.EncodeRequest(photo=photos[0]), timeout=60)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
            for call in calls:
                outcomes = {one.WhichOneof("outcome") for one in call.result().results}
                assert outcomes == {"embedding"}
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
