"""A job can be followed from its caller to the encoder by one id, in logs as JSON."""

import json

import pytest

from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from landmarks.observability import request_id
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_one_request_id_leads_from_the_caller_through_celery_and_the_worker_to_the_encoder(
    own_rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    draw_photo(own_rig.photos / "Atomium" / "0.png", 1)
    lines: list[dict[str, object]] = []

    def logged(service: str) -> bool:
        """Return whether a service has logged a line with the id."""
        logs = capfd.readouterr().err.splitlines()
        lines.extend(json.loads(line) for line in logs if line.startswith("{"))
        return any(
            line["service"] == service and line.get("request_id") == "order-66" for line in lines
        )

    port = free_port()
    # The encoder does not serve this model, and logs the request for it.
    settings = {
        "encoders": json.dumps({"absent": [f"127.0.0.1:{own_rig.encoder_port}"]}),
        "log_format": "json",
        "outage_patience_seconds": "0",
    }
    encoder = ("tests.support.colour_encoder", str(own_rig.encoder_port), MODEL)
    with (
        own_rig.qdrant(),
        running_module(*encoder, log_format="json"),
        running_module(
            "search_service", **{**own_rig.settings(**settings), "search_port": str(port)}
        ),
        own_rig.worker(**settings),
        Landmarks(f"127.0.0.1:{port}") as client,
    ):
        eventually(lambda: answers(client), "the search service answers")
        with request_id.bound("order-66"):
            job = client.index(str(own_rig.photos), gallery="absent").id
        eventually(lambda: logged("indexer_worker"), "the worker has logged the id")
        eventually(lambda: logged("encoder"), "the encoder has logged the id")
    of_worker = [line for line in lines if line.get("job") == job]
    assert of_worker
    assert of_worker[0]["request_id"] == "order-66"


def answers(client: Landmarks) -> bool:
    try:
        list(client.jobs())
    except LandmarksError:
        return False
    return True
