"""What a cluster of Qdrant reports as internal: nodes away, full disks, and real faults."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from landmarks.errors import DeadlineError, DiskFullError, LandmarksError, UnavailableError
from landmarks.vector_store.errors import qdrant_failures

# Every text that three nodes of 1.18.3 gave, with code INTERNAL, while one or two were killed.
RECORDED: list[str] = json.loads(
    (Path(__file__).parent / "internal_errors_of_a_cluster.json").read_text()
)
UNREACHABLE = (
    "Tonic status error: code: 'The service is currently unavailable', message: \"tcp connect"
    ' error", source: tonic::transport::Error(Transport, ConnectError)'
)
STOPPED = (
    "Timeout error: Deadline Exceeded: code: 'Deadline expired before operation could complete',"
    ' message: "Healthcheck timeout 2000ms exceeded"'
)
FULL = "No space left on device: WAL buffer size exceeds available disk space"
DAMAGED = 'Failed to count,  Failed to load local shard "./storage/collections/c/0": corrupted'


class Reported(grpc.RpcError, grpc.Call):
    """A failed call, as gRPC gives it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def initial_metadata(self) -> tuple[()]:
        return ()

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: object) -> bool:
        return False


def raised(
    details: str,
    code: grpc.StatusCode = grpc.StatusCode.INTERNAL,
    *,
    callers_deadline: bool = False,
) -> LandmarksError:
    with (
        pytest.raises(LandmarksError) as failed,
        qdrant_failures("a:1", callers_deadline=callers_deadline),
    ):
        raise Reported(code, details)
    return failed.value


@pytest.mark.parametrize("details", RECORDED)
def test_what_a_cluster_said_while_nodes_were_away_is_unavailability(details: str) -> None:
    assert type(raised(details)) is UnavailableError


@pytest.mark.parametrize(
    "details",
    [
        f"2 of 2 read operations failed:\n  Service internal error: {UNREACHABLE}\n  {STOPPED}",
        f"1 of 1 read operations failed:\n  {STOPPED}",
        "Tonic status error: code: 'Unknown error', message: \"transport error\"",
        "Internal error: code: 'Internal error', message: \"h2 protocol error: http2 error\"",
        "Operation cancelled: code: 'The operation was cancelled', message: \"h2 protocol error\"",
        "1 of 1 read operations failed:\n  Operation Cancelled: the process is ending",
        "1 of 1 read operations failed:\n  Shard temporarily unavailable: being restored",
        "1 of 1 read operations failed:\n  Precondition failed: it is not ready",
        "The replica set for shard 3 on peer 7 has no active replica",
        "Failed to apply operation to at least one `Active` replica. Consistency of this update is"
        f" not guaranteed. Please retry. Failed peer: 7, error: Service internal error: {DAMAGED}",
        "Some replica of shard 3 failed to apply operation and deactivation timed out after 30s."
        " Consistency of this update is not guaranteed. Please retry. Failed peer: 7, error: x",
        "Failed to apply operation UpsertPoints(…) after 3 attempts, all attempts were rejected",
        "Failed to propose operation: leader is not established within 10s",
        "Error occurred while waiting for consensus operation. Channel sender dropped (closed)",
        "Failed to wait for consensus commit on peer 7: the transport failed",
        "no address found for peer 7",
        # One copy is damaged, and the other, which could answer, is away.
        f"2 of 2 read operations failed:\n  Service internal error: {DAMAGED}\n"
        f"  Service internal error: {UNREACHABLE}",
    ],
)
def test_what_it_says_by_its_source_is_so_too(details: str) -> None:
    error = raised(f"Service internal error: {details}")
    assert type(error) is UnavailableError
    assert "cluster" in str(error)


@pytest.mark.parametrize(
    "details",
    [
        FULL,
        f"1 out of 6 shards failed to apply operation. First error captured: {FULL}",
        "4 out of 6 shards failed to apply operation. First error captured: Service internal error:"
        f" Internal error: code: 'Internal error', message: \"Service internal error: {FULL}\"",
    ],
)
def test_a_full_disk_stays_one_on_whichever_node_it_is(details: str) -> None:
    assert type(raised(f"Service internal error: {details}")) is DiskFullError


@pytest.mark.parametrize(
    "details",
    [
        "index out of bounds: the len is 3 but the index is 7",
        'task 51 panicked with message "called `Option::unwrap()` on a `None` value"',
        "Segment DB create panicked: x",
        "File IO error: Input/output error (os error 5)",
        DAMAGED,
        f"1 of 1 read operations failed:\n  Service internal error: {DAMAGED}",
        "1 out of 6 shards failed to apply operation. First error captured: Service internal error:"
        f" Internal error: code: 'Internal error', message: \"Service internal error: {DAMAGED}\"",
    ],
)
def test_a_real_fault_stays_one_on_whichever_node_it_is(details: str) -> None:
    assert type(raised(f"Service internal error: {details}")) is LandmarksError


def test_a_collection_that_another_node_does_not_know_yet_is_waited_for() -> None:
    at_a_peer = (
        "Not found: code: 'Some requested entity was not found', message: \"Not found: Collection"
        " `c` doesn't exist!\" not found"
    )
    assert type(raised(at_a_peer, grpc.StatusCode.NOT_FOUND)) is UnavailableError
    here = "Not found: Collection `c` doesn't exist!"
    assert type(raised(here, grpc.StatusCode.NOT_FOUND)) is not UnavailableError


def test_time_that_ran_out_is_the_callers_or_qdrants() -> None:
    late = grpc.StatusCode.DEADLINE_EXCEEDED
    assert type(raised("Deadline Exceeded", late, callers_deadline=True)) is DeadlineError
    assert type(raised("Deadline Exceeded", late)) is UnavailableError
    assert type(raised(f"Timeout: {STOPPED}", late, callers_deadline=True)) is UnavailableError
