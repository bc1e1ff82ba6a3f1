"""Choosing among the targets of a model."""

import pytest

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.encoders.directory import (
    ServedModel,
    choose_target,
    newer_than,
    served_model,
    served_revisions,
)
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


def test_an_encoder_serves_its_earlier_revision_and_nothing_is_made_again_by_that() -> None:
    new = pb.Model(name="m", dimension=4, digest="new", ready=True)
    old = pb.Model(name="m", dimension=4, digest="old", ready=True, superseded_by="new")
    both = served_revisions(pb.GetModelResponse(model=new, earlier=[old]), "host")
    assert choose_target("m", None, both, []).digest == "new"
    assert choose_target("m", "old", both, []).digest == "old"
    assert [one.digest for one in newer_than("old", both)] == ["new"]
    # Nor by an encoder of the release before, which knows of nothing newer.
    assert newer_than("new", [served("old"), *both]) == []
