from landmarks.retrieval.calibration import GroupCalibration
from landmarks.retrieval.fusion import DEPTHS, ModelHit

GROUP = GroupCalibration(("m",), (10.0,), 0.0, (1.0, 1.0, 1.0, 0.0), 0.5)


def hits(count):
    return [ModelHit(f"p{place}", 1 - place / 1000, place) for place in range(1, count + 1)]


def test_a_deeper_ranking_does_not_change_the_verdict():
    found = hits(DEPTHS[1])
    # The first other landmark is beyond what is read for a short page.
    landmarks = {hit.id: "known" if hit.place <= DEPTHS[0] + 5 else "other" for hit in found}

    short = GROUP.verdict({"m": found[: DEPTHS[0]]}, landmarks)
    deep = GROUP.verdict({"m": found}, landmarks)

    assert deep == short
    assert short.vote is not None
    assert short.vote.margin > 0
