"""Worker processes are frozen in the middle of a job, and come back when all is over."""

import os
import random
import signal
import time
from contextlib import closing

import pytest

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.job_store.maps import MapStore
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.redis_client import connect_redis
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from search_service.indexing.collection_admin import CollectionAdmin
from tests.chaos.stack import GALLERY, LONG, MODELS, Stack
from tests.support.processes import eventually

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(3600)]

ROUNDS = 10 if LONG else 2
# What a worker needs to write all that it has in its hands.
AFTERMATH_SECONDS = 5


@pytest.mark.slow
def test_what_was_deleted_stays_deleted_when_a_frozen_worker_comes_back(stack: Stack):
    chance = random.Random(1)
    with (
        stack.up(),
        closing(VectorStore(VectorStoreSettings(qdrant_port=stack.qdrant_port))) as store,
    ):
        url = stack.valkey.url
        maps = MapStore(connect_redis(url), url)
        open_writes = OpenWrites(connect_redis(url), url)
        admin = CollectionAdmin(store, stack.jobs, maps, open_writes)
        for turn in range(ROUNDS):
            job_id = stack.start()
            eventually(lambda job_id=job_id: stack.progress(job_id) > 0, "the job has begun")
            time.sleep(chance.uniform(0, 1))
            worker = stack.workers[turn % 2].process
            assert worker is not None
            os.kill(worker.pid, signal.SIGSTOP)
            try:
                if turn % 3 == 2:
                    stack.jobs.cancel(job_id)
                else:
                    stack.ended(job_id)
                source = pb.SourcePoints(name=stack.photos.name)
                request = pb.DeletePointsRequest(gallery=GALLERY, source=source)
                answer = admin.delete_points(request)
                assert sum(one.points for one in answer.deleted) > 0
            finally:
                os.kill(worker.pid, signal.SIGCONT)
            time.sleep(AFTERMATH_SECONDS)
            for model in MODELS:
                live = store.collections.live(GALLERY, model)
                assert store.points.count(live.name) == 0, f"round {turn}"
        for one in stack.ended(stack.start()).progress:
            assert store.points.count(one.collection) == one.listed
