"""Leases whose time is measured by the clock of the worker that looks at them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from indexer_worker.leases import HeldLease, LeaseWatch, seconds_now
from landmarks.job_store.records import LeaseState
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.store import LeaseLostError
from landmarks.job_store.task_messages import LISTING


def lease(renewal: int, *, overdue: bool = False) -> LeaseState:
    return LeaseState("job/listing", f"{renewal}:15000:99999", overdue)


def test_a_lease_expires_when_it_is_not_renewed_whatever_the_clock_of_redis_says():
    watch = LeaseWatch()
    assert watch.expired([lease(1)], 100) == []
    assert watch.expired([lease(1)], 114) == []
    assert watch.expired([lease(2)], 116) == [], "it was renewed"
    assert watch.expired([lease(2)], 130) == []
    assert watch.expired([lease(2)], 131) == [lease(2)], "set back, Redis would say: in two hours"


def test_a_clock_of_redis_that_is_set_forward_takes_no_lease_from_who_renews_it():
    watch = LeaseWatch()
    for renewal, now in enumerate(range(0, 60, 5)):
        assert watch.expired([lease(renewal, overdue=True)], now) == []
    assert watch.expired([lease(11, overdue=True)], 63) == [lease(11, overdue=True)]


def test_who_did_not_look_for_long_takes_no_lease_that_was_renewed_meanwhile():
    watch = LeaseWatch()
    assert watch.expired([lease(1)], 0) == []
    assert watch.expired([lease(2)], 10_000) == []


@pytest.mark.integration
def test_a_worker_that_was_stopped_finds_out_that_its_lease_is_lost(rig, gallery):
    jobs = rig.jobs
    job = jobs.create(IndexSpec(gallery, "/none", ("colours",)))
    taken = jobs.begin(job.id, LISTING, 0.001)
    assert taken is not None
    held = HeldLease(taken, jobs, 0.001)
    held.confirm()
    jobs.cancel(job.id)
    with pytest.raises(LeaseLostError):  # no thread has renewed it and set a flag
        held.check()
    with pytest.raises(LeaseLostError):
        held.confirm()


def test_the_clock_goes_on_while_the_process_is_stopped():
    script = (
        "from indexer_worker.leases import seconds_now\n"
        "import sys\n"
        "print(seconds_now(), flush=True); sys.stdin.readline(); print(seconds_now(), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        first = float(process.stdout.readline())
        os.kill(process.pid, signal.SIGSTOP)
        before = seconds_now()
        time.sleep(0.5)
        passed = seconds_now() - before
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert float(process.stdout.readline()) - first >= passed
