"""Answers as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.grpc_status import duration, status_of
from search_service.asking import Answer, Failure
from search_service.fusion import Fused, Scored, fuse
from search_service.request import SearchQuery
from search_service.verdict import Neighbour, Outcome, Verdict, vote

JsonValue: TypeAlias = str | float | bool | Mapping[str, "JsonValue"] | Sequence["JsonValue"] | None

_OUTCOMES = {
    Outcome.NO_HITS: pb.Verdict.OUTCOME_NO_HITS,
    Outcome.UNCALIBRATED: pb.Verdict.OUTCOME_UNCALIBRATED,
}


def search_response(
    query: SearchQuery, answers: Sequence[Answer], failures: Sequence[Failure]
) -> pb.SearchResponse:
    """Return the page that was asked for of each ranking and of the fused one, and the verdict.

    The verdict is of the nearest photos, whichever page was asked for.
    """
    payloads: dict[str, Mapping[str, object]] = {}
    for answer in answers:
        for hit in answer.hits:
            payloads.setdefault(str(hit.id), hit.payload)
    fused = fuse(
        {
            answer.lineage.model: [Scored(str(hit.id), hit.score) for hit in answer.hits]
            for answer in answers
        }
    )
    page = slice(query.offset, query.end)
    return pb.SearchResponse(
        rankings=[_ranking(answer, page) for answer in answers],
        fused=[
            _fused_hit(hit, rank, payloads[hit.id])
            for rank, hit in enumerate(fused[page], start=query.offset + 1)
        ],
        verdict=_verdict(
            vote([Neighbour(hit.id, _text(payloads[hit.id], "landmark")) for hit in fused])
        ),
        partial=bool(failures),
        failures=[
            pb.ModelFailure(model=failure.model, status=status_of(failure.error))
            for failure in failures
        ],
    )


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


def _ranking(answer: Answer, page: slice) -> pb.ModelRanking:
    return pb.ModelRanking(
        model=answer.lineage.model,
        collection=answer.lineage.name,
        digest=answer.lineage.digest,
        hits=[
            pb.Hit(point=point_message(hit.id, hit.payload), score=hit.score, rank=rank)
            for rank, hit in enumerate(answer.hits[page], start=page.start + 1)
        ],
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
    return pb.Verdict(
        outcome=_OUTCOMES[verdict.outcome],
        landmark=verdict.landmark,
        vote_share=verdict.vote_share,
        evidence_point_ids=verdict.evidence,
    )


def _text(payload: Mapping[str, object], field: str) -> str:
    value = payload.get(field)
    return value if isinstance(value, str) else ""
