from __future__ import annotations

import pytest

from landmarks.retrieval.verdict import NEIGHBOURS, Neighbour, vote


def hits(*landmarks: str) -> list[Neighbour]:
    return [
        Neighbour(f"point-{place}", name, 1 - place / 10) for place, name in enumerate(landmarks)
    ]


def test_without_hits_there_is_no_verdict() -> None:
    assert vote([]) is None


def test_photos_that_nobody_has_labelled_cannot_vote() -> None:
    assert vote(hits("", "")) is None


def test_one_landmark_takes_all_votes() -> None:
    verdict = vote(hits("Atomium", "Atomium"))

    assert verdict.landmark == "Atomium"
    assert verdict.share == 1
    assert verdict.evidence == ("point-0", "point-1")


def test_nearer_photos_have_more_votes() -> None:
    verdict = vote(hits("small", "small", "large", "large"))

    assert verdict.landmark == "small"
    assert verdict.share == pytest.approx((4 + 3) / (4 + 3 + 2 + 1))


def test_a_landmark_with_few_photos_is_not_outvoted_by_far_ones_of_a_larger() -> None:
    assert vote(hits(*["small"] * 3, "", "", "", *["large"] * 4)).landmark == "small"


def test_unlabelled_photos_take_from_the_share() -> None:
    assert vote(hits("Atomium", "")).share == pytest.approx(2 / 3)


def test_a_tie_goes_to_the_nearer_photo() -> None:
    assert vote(hits("b", "a", "a")).landmark == "b"  # 3 votes against 2 + 1


def test_only_the_nearest_vote_and_only_those_for_the_winner_are_evidence() -> None:
    verdict = vote(hits("b", *["a"] * (NEIGHBOURS + 5)))

    assert verdict.landmark == "a"
    assert verdict.evidence == tuple(f"point-{place}" for place in range(1, NEIGHBOURS))


def test_the_margin_is_that_to_the_nearest_photo_of_another_landmark() -> None:
    found = vote(hits("", "a", "", "a", "b", "a"))

    assert found.best == pytest.approx(0.9)
    assert found.margin == pytest.approx(0.9 - 0.6)


def test_where_no_other_landmark_was_found_it_is_farther_than_all_that_was() -> None:
    assert vote(hits("a", "a", "")).margin == pytest.approx(1 - 0.8)
