"""The metrics of a worker."""

import socket
import subprocess

import pytest

from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.scrape import is_healthy, scrape

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_photos_are_counted_by_outcome_and_failures_by_kind(own_rig: Rig) -> None:
    for number in range(5):
        draw_photo(own_rig.photos / "Atomium" / f"{number}.png", number)
    (own_rig.photos / "Atomium" / "no photo.png").write_bytes(b"#!/bin/sh")
    port = free_port()
    with own_rig.qdrant(), own_rig.encoder(), own_rig.worker(metrics_port=str(port)):
        own_rig.index("first", own_rig.photos)
        own_rig.index("first", own_rig.photos)
        own_rig.index("second", own_rig.photos / "nowhere")
        samples = scrape(port)
        assert is_healthy(port)

    def photos(outcome: str) -> float:
        labels = frozenset({("model", MODEL), ("outcome", outcome)})
        return samples["landmarks_indexer_photos_total", labels]

    counts = [photos(outcome) for outcome in ("stored", "unchanged", "dead", "duplicate")]
    assert counts == [5, 5, 2, 0]
    kinds = {dict(labels)["kind"] for name, labels in samples if name == "landmarks_failures_total"}
    assert kinds == {"NotFoundError"}


@pytest.mark.slow
def test_active_jobs_and_queue_lengths_are_exported(own_rig: Rig) -> None:
    for number in range(20):
        draw_photo(own_rig.photos / "Atomium" / f"{number}.png", number)
    port = free_port()
    waiting = ("landmarks_indexer_queue_length", frozenset({("model", MODEL)}))
    active = ("landmarks_indexer_active_jobs", frozenset())
    dead = ("landmarks_indexer_photos_total", frozenset({("model", MODEL), ("outcome", "dead")}))
    settings = {"metrics_port": str(port), "sweep_seconds": "0.1", "worker_concurrency": "1"}
    with own_rig.qdrant(), own_rig.encoder(seconds=0.5), own_rig.worker(**settings):
        assert scrape(port)[dead] == 0
        job = own_rig.create("some", own_rig.photos)
        # One of five chunks runs, and no other is in this worker's hands: autoscalers see all that
        # waits.
        eventually(lambda: (found := scrape(port))[active] == 1 and found[waiting] == 4, "waits")
        own_rig.ended(job)
        eventually(lambda: (found := scrape(port))[active] == found[waiting] == 0, "none waits")


def test_a_metrics_port_in_use_ends_the_worker_with_a_message(
    own_rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running_module("indexer_worker", **own_rig.settings(metrics_port=port)) as process:
            try:
                assert process.wait(60) == 2
            except subprocess.TimeoutExpired:
                pytest.fail("it went on without metrics")
    assert "LANDMARKS_METRICS_PORT" in capfd.readouterr().err
