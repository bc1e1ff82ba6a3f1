"""Choosing among the targets of a model."""

import pytest

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.encoders.directory import ServedModel, choose_target, served_model
from landmarks.errors import LineageError, UnavailableError


def served(digest: str) -> ServedModel:
    return served_model(
        pb.Model(name="m", dimension=4, digest=digest, ready=True), f"host-{digest}"
    )


def test_the_target_with_the_digest_is_chosen() -> None:
    assert choose_target("m", "new", [served("old"), served("new")], []).target == "host-new"
    assert choose_target("m", None, [served("old"), served("new")], []).target == "host-old"


def test_without_the_digest_anywhere_mixing_is_refused_but_a_silent_target_is_waited_for() -> None:
    with pytest.raises(LineageError, match="old"):
        choose_target("m", "new", [served("old")], [])
    with pytest.raises(UnavailableError, match="host-2 is away"):
        choose_target("m", "new", [served("old")], ["host-2 is away"])


@pytest.mark.parametrize("failure", ["", "its weights cannot be had"])
def test_an_encoder_that_is_not_ready_is_unavailable_and_no_encoder_of_another_digest(
    failure: str,
) -> None:
    with pytest.raises(UnavailableError, match=failure or "still loading"):
        served_model(pb.Model(name="m", failure=failure), "host")
