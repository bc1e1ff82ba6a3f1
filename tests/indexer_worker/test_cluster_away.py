"""Jobs wait while nodes of Qdrant's cluster are away, and go on when they are back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from landmarks.job_store.records import JobState
from tests.support.indexing_rig import Rig, draw_photo
from tests.support.processes import eventually
from tests.support.scripted_qdrant import Failure, scripted_qdrant

pytestmark = pytest.mark.integration

# As three nodes of 1.18.3 gave them.
RECORDED: list[str] = json.loads(
    (
        Path(__file__).parents[1] / "landmarks/vector_store/internal_errors_of_a_cluster.json"
    ).read_text()
)
NO_MAJORITY = next(one for one in RECORDED if "consensus" in one)
NO_COPY = max(RECORDED, key=len)
# Every call that a job makes can meet it; these are the first of their kinds.
CREATION = ("Collections/ListAliases", "Collections/Create", "Points/CreateFieldIndex")
WRITING = ("Points/Get", "Points/UpdateBatch")


@pytest.mark.slow
@pytest.mark.parametrize("methods", [CREATION, WRITING])
def test_a_job_waits_for_nodes_that_are_away_and_stores_every_photo(
    own_rig: Rig, methods: tuple[str, ...]
) -> None:
    rig = own_rig
    for seed in range(8):
        draw_photo(rig.photos / "atomium" / f"{seed}.png", seed)
    with (
        rig.qdrant(),
        rig.encoder(),
        scripted_qdrant(rig.qdrant_port) as script,
        rig.worker(
            qdrant_port=str(script.port),
            outage_patience_seconds="0",
            lease_seconds="3",
            sweep_seconds="0.5",
        ),
    ):
        for method in methods:
            text = NO_MAJORITY if method == "Collections/Create" else NO_COPY
            script.failures[method] = Failure(text, times=4)
        job_id = rig.create("g", rig.photos)
        eventually(lambda: "waiting: " in rig.jobs.get(job_id).outcome, "it says what it waits for")
        assert "cluster" in rig.jobs.get(job_id).outcome
        job = rig.ended(job_id)
        assert job.state is JobState.SUCCEEDED, job.error
        assert not any(one.times for one in script.failures.values())
        (progress,) = job.progress
        assert (progress.listed, progress.stored, progress.dead) == (8, 8, 0)
        assert len(rig.payloads("g")) == 8
