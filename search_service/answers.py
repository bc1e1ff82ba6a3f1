"""Answers as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.grpc_status import duration, status_of
from ranking.calibration import Group
from ranking.fusion import Fused, Ranking, Scored, fuse
from ranking.verdict import Neighbour, Outcome, Verdict, vote
from search_service.asking import Answer, Failure
from search_service.query import FusionChoice, FusionMethod, SearchQuery

JsonValue: TypeAlias = str | float | bool | Mapping[str, "JsonValue"] | Sequence["JsonValue"] | None

_OUTCOMES = {
    Outcome.NO_HITS: pb.Verdict.OUTCOME_NO_HITS,
    Outcome.UNCALIBRATED: pb.Verdict.OUTCOME_UNCALIBRATED,
    Outcome.KNOWN: pb.Verdict.OUTCOME_KNOWN,
    Outcome.UNKNOWN: pb.Verdict.OUTCOME_UNKNOWN,
}
_METHODS = {
    FusionMethod.RECIPROCAL_RANK: pb.FUSION_METHOD_RECIPROCAL_RANK,
    FusionMethod.CALIBRATED_SCORE: pb.FUSION_METHOD_CALIBRATED_SCORE,
}


def search_response(
    query: SearchQuery, answers: Sequence[Answer], failures: Sequence[Failure]
) -> pb.SearchResponse:
    """Return the page that was asked for of each ranking and of the fused one, and the verdict.

    The verdict is of the nearest photos, whichever page was asked for, and however the rankings
    are fused. Raises InvalidInputError where fusing by calibrated score is asked for, and cannot
    be done.
    """
    found = {
        answer.live.lineage.model: [
            Scored(str(one.hit.id), one.hit.score, one.place) for one in answer.ranked
        ]
        for answer in answers
    }
    payloads: dict[str, Mapping[str, object]] = {}
    for answer in answers:
        for one in answer.ranked:
            payloads.setdefault(str(one.hit.id), one.hit.payload)
    shown = {id_: _text(payload, "landmark") for id_, payload in payloads.items()}
    group = _group(answers)
    method, rankings = _rankings(query.fusion, found, group)
    fused = fuse(rankings)
    page = slice(query.offset, query.end)
    return pb.SearchResponse(
        rankings=[_ranking(answer, page, found, shown) for answer in answers],
        fused=[
            _fused_hit(hit, rank, payloads[hit.id])
            for rank, hit in enumerate(fused[page], start=query.offset + 1)
        ],
        verdict=_verdict(
            group.verdict(found, shown) if group else _uncalibrated(fused, shown),
        ),
        partial=bool(failures),
        failures=[
            pb.ModelFailure(model=failure.model, status=status_of(failure.error))
            for failure in failures
        ],
        fusion_method=_METHODS[method],
    )


def _group(answers: Sequence[Answer]) -> Group | None:
    """Return the calibration of the models that answered, or of as many of them as there is."""
    digests = {one.live.lineage.model: one.live.lineage.digest for one in answers}
    groups = [
        group
        for one in answers
        if (calibration := one.calibration) and (group := calibration.group(digests))
    ]
    return max(groups, key=lambda group: len(group.models), default=None)


def _rankings(
    choice: FusionChoice, found: Mapping[str, Sequence[Scored]], group: Group | None
) -> tuple[FusionMethod, dict[str, Ranking]]:
    """Return how rankings are fused, and the rankings with what each counts."""
    able = group is not None and found.keys() == set(group.models)
    method = choice.method or (
        FusionMethod.CALIBRATED_SCORE if able else FusionMethod.RECIPROCAL_RANK
    )
    if method is FusionMethod.RECIPROCAL_RANK:
        rankings = {model: Ranking(hits) for model, hits in found.items()}
    elif group is not None and able:
        rankings = group.rankings(found)
    else:
        raise InvalidInputError(
            f"{', '.join(found)} cannot be fused by calibrated score, as they have not been"
            " calibrated together; do so with `landmarks calibrate`, or fuse by reciprocal rank",
            field="fusion.method",
        )
    return method, {
        model: replace(ranking, weight=choice.weights.get(model, 1.0))
        for model, ranking in rankings.items()
    }


def _uncalibrated(fused: Sequence[Fused], shown: Mapping[str, str]) -> Verdict:
    told = vote([Neighbour(hit.id, shown[hit.id], hit.score) for hit in fused])
    return Verdict(Outcome.NO_HITS) if told is None else Verdict(Outcome.UNCALIBRATED, told)


def point_message(id_: UUID | str, payload: Mapping[str, object]) -> pb.Point:
    """Return a stored point."""
    fields = Struct()
    # What a payload holds came as JSON, so it can only be this.
    fields.update(cast("Mapping[str, JsonValue]", payload))
    return pb.Point(
        id=str(id_),
        landmark=_text(payload, "landmark"),
        uri=_text(payload, "uri"),
        payload=fields,
    )


def _ranking(
    answer: Answer,
    page: slice,
    found: Mapping[str, Sequence[Scored]],
    shown: Mapping[str, str],
) -> pb.ModelRanking:
    lineage = answer.live.lineage
    hits = found[lineage.model]
    group = _group([answer])
    if group:
        verdict = group.verdict(found, shown)
    else:
        verdict = _uncalibrated(fuse({lineage.model: Ranking(hits)}), shown)
    return pb.ModelRanking(
        model=lineage.model,
        collection=lineage.name,
        digest=lineage.digest,
        hits=[
            pb.Hit(point=point_message(one.hit.id, one.hit.payload), score=one.hit.score, rank=rank)
            for rank, one in enumerate(answer.ranked[page], start=page.start + 1)
        ],
        verdict=_verdict(verdict),
        timings=pb.ModelTimings(
            encode=None if answer.encode_seconds is None else duration(answer.encode_seconds),
            query=duration(answer.query_seconds),
        ),
    )


def _fused_hit(hit: Fused, rank: int, payload: Mapping[str, object]) -> pb.FusedHit:
    return pb.FusedHit(
        point=point_message(hit.id, payload),
        score=hit.score,
        rank=rank,
        standings=[
            pb.Standing(model=one.model, rank=one.rank, score=one.score) for one in hit.standings
        ],
    )


def _verdict(verdict: Verdict) -> pb.Verdict:
    told = verdict.vote
    return pb.Verdict(
        outcome=_OUTCOMES[verdict.outcome],
        landmark=told.landmark if told else "",
        vote_share=told.share if told else 0.0,
        evidence_point_ids=told.evidence if told else (),
        confidence=verdict.confidence,
        threshold=verdict.threshold,
    )


def _text(payload: Mapping[str, object], field: str) -> str:
    value = payload.get(field)
    return value if isinstance(value, str) else ""
