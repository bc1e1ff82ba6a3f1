"""Errors keep their kind, their words and their hints over the wire."""

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from landmarks import errors
from landmarks.rpc.channel import MAX_MESSAGE_BYTES
from landmarks.rpc.status import error_from_status, status_of, too_large

KINDS = [
    errors.InvalidInputError("limit is 0; it must be 1 to 1000", field="limit"),
    errors.InvalidPhotoError("not an image: 12 bytes of text"),
    errors.UnauthenticatedError("no key"),
    errors.ForbiddenError("/etc is not below an allowed root"),
    errors.NotFoundError("no gallery 'x'"),
    errors.AlreadyExistsError("request_id is taken"),
    errors.LineageError("digest differs"),
    errors.OverloadedError("queue full", retry_after=2.5),
    errors.DeadlineError("too late"),
    errors.UnavailableError("Qdrant cannot be reached"),
    errors.UnsupportedError("shard_number"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_on_the_other_side(error: errors.LandmarksError) -> None:
    back = error_from_status(status_of(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_an_error_that_is_not_ours_does_not_leak_its_text() -> None:
    status = status_of(RuntimeError("password=secret"))
    assert status.code == Code.INTERNAL
    assert "secret" not in status.message
    assert "RuntimeError" in status.message


def test_every_kind_of_error_has_a_status() -> None:
    def kinds(base: type) -> set[type]:
        return {base, *(kind for child in base.__subclasses__() for kind in kinds(child))}

    for kind in kinds(errors.LandmarksError) - {errors.LandmarksError}:
        assert status_of(kind("why")).code not in (Code.OK, Code.INTERNAL, Code.UNKNOWN), kind


def test_an_unknown_failure_is_internal_and_keeps_its_text() -> None:
    status = status_of(errors.LandmarksError("INTERNAL: the shard broke"))
    assert (status.code, status.message) == (Code.INTERNAL, "INTERNAL: the shard broke")


def test_a_message_too_long_for_the_headers_keeps_its_two_ends() -> None:
    message = "start" + "x" * 10_000 + "end"
    status = status_of(errors.InvalidInputError(message, field="gallery"))
    assert len(status.SerializeToString()) < 2_000
    assert status.message.startswith("start")
    assert status.message.endswith("end")


OVER_CAP = "message larger than max (200000 vs. 1000)"


@pytest.mark.parametrize(
    ("code", "message", "what"),
    [
        ("RESOURCE_EXHAUSTED", f"CLIENT: Sent {OVER_CAP}", "request"),
        (
            "RESOURCE_EXHAUSTED",
            "x: SERVER: Received message larger than max (200000 vs. 1000)",
            "request",
        ),
        ("RESOURCE_EXHAUSTED", f"SERVER: Sent {OVER_CAP}", "answer"),
        (
            "RESOURCE_EXHAUSTED",
            "CLIENT: Received message larger than max (200000 vs. 1000)",
            "answer",
        ),
        (
            "OUT_OF_RANGE",
            "Error, decoded message length too large: found 200000 bytes, the limit is: 1000 bytes",
            "request",
        ),
        (
            "OUT_OF_RANGE",
            "Error, encoded message length too large: found 200000 bytes, the limit is: 1000 bytes",
            "answer",
        ),
    ],
)
def test_a_message_over_a_cap_says_which_of_the_two_it_is_and_the_limit(
    code: str, message: str, what: str
) -> None:
    error = too_large(Status(code=Code.Value(code), message=message))
    assert isinstance(error, errors.TooLargeError)
    assert str(error).startswith(f"the {what} is too large: it has 200,000 bytes")
    assert "1,000" in str(error)
    assert ("this program's own limit" in str(error)) == message.startswith("CLIENT")
    assert too_large(Status(code=Code.RESOURCE_EXHAUSTED, message="queue full")) is None


def test_a_compressed_answer_over_the_cap_is_too_large() -> None:
    refused = "Qdrant at q:6334: Decompressed message larger than max"
    error = too_large(Status(code=Code.RESOURCE_EXHAUSTED, message=refused))
    assert "the answer is too large: " in str(error)
    assert f"{MAX_MESSAGE_BYTES:,} bytes" in str(error)


def test_a_message_over_the_cap_of_our_servers_names_it_as_ours() -> None:
    refused = f"SERVER: Received message larger than max (70000000 vs. {MAX_MESSAGE_BYTES})"
    error = too_large(Status(code=Code.RESOURCE_EXHAUSTED, message=refused))
    assert "167,772,160 (this program's own limit, which no setting raises)" in str(error)
