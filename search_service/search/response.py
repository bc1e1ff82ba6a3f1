"""Composes the models' answers into the response: fusion, verdict, page of hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias, cast
from uuid import UUID

from google.protobuf.struct_pb2 import Struct

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.retrieval.calibration import GroupCalibration
from landmarks.retrieval.fusion import FusedHit, ModelHit, Ranking, fuse
from landmarks.retrieval.verdict import Neighbour, Verdict, VerdictKind, vote
from landmarks.rpc.status import duration, status_of
from landmarks.vector_store.queries import Hit
from search_service.search.model_search import ModelAnswer, ModelFailure, RankedHit
from search_service.search.query import FusionChoice, FusionMethod, SearchQuery

JsonValue: TypeAlias = str | float | bool | Mapping[str, "JsonValue"] | Sequence["JsonValue"] | None

_OUTCOMES = {
    VerdictKind.NO_HITS: pb.Verdict.OUTCOME_NO_HITS,
    VerdictKind.UNCALIBRATED: pb.Verdict.OUTCOME_UNCALIBRATED,
    VerdictKind.KNOWN: pb.Verdict.OUTCOME_KNOWN,
    VerdictKind.UNKNOWN: pb.Verdict.OUTCOME_UNKNOWN,
}
_METHODS = {
    FusionMethod.RECIPROCAL_RANK: pb.FUSION_METHOD_RECIPROCAL_RANK,
    FusionMethod.CALIBRATED_SCORE: pb.FUSION_METHOD_CALIBRATED_SCORE,
}


Payloads: TypeAlias = Mapping[str, Mapping[UUID, Mapping[str, object]]]


@dataclass(frozen=True)
class Composed:
    """The fused answer of all models, still without some payloads of its page's points.

    `found` has the hits of `answers` by model, in the same order, with their ids as texts: a UUID
    is only built for a point whose payload must be read.
    """

    query: SearchQuery
    answers: Sequence[ModelAnswer]
    failures: Sequence[ModelFailure]
    found: Mapping[str, Sequence[ModelHit]]
    landmarks: Mapping[str, str]
    method: FusionMethod
    fused: Sequence[FusedHit]
    group: GroupCalibration | None

    @property
    def page(self) -> slice:
        """The requested places of each ranking."""
        return slice(self.query.offset, self.query.end)

    @cached_property
    def known(self) -> Mapping[str, Mapping[str, object]]:
        """The payloads that came with the hits."""
        return {
            named.id: one.hit.payload
            for answer in self.answers
            if answer.full_payload
            for one, named in zip(answer.ranked, self.hits(answer), strict=True)
        }

    def hits(self, answer: ModelAnswer) -> Sequence[ModelHit]:
        """Return the hits of a model's answer."""
        return self.found[answer.collection.lineage.model]

    def missing(self) -> dict[str, set[UUID]]:
        """Return the page's points without a payload, by the collection to read them from."""
        missing: dict[str, set[UUID]] = {}
        seen = set(self.known)
        on_page = {hit.id for hit in self.fused[self.page]}
        for answer in self.answers:
            hits = self.hits(answer)
            ids = {hit.id for hit in hits[self.page]}
            ids |= on_page.intersection(hit.id for hit in hits)
            missing[answer.collection.lineage.name] = {UUID(one) for one in ids - seen}
            seen |= ids
        return missing


def compose(
    query: SearchQuery, answers: Sequence[ModelAnswer], failures: Sequence[ModelFailure]
) -> Composed:
    """Fuse the rankings.

    Raises InvalidInputError if fusion by calibrated score is requested but not possible.
    """
    if query.collapse_identical:
        answers = _of_one_copy(answers)
    found = {
        answer.collection.lineage.model: [
            ModelHit(str(one.hit.id), one.hit.score, one.rank) for one in answer.ranked
        ]
        for answer in answers
    }
    landmarks: dict[str, str] = {}
    for answer, scored in zip(answers, found.values(), strict=True):
        for one, named in zip(answer.ranked, scored, strict=True):
            landmarks.setdefault(named.id, _text(one.hit.payload, "landmark"))
    group = _group(answers)
    method, rankings = _rankings(query.fusion, found, group)
    return Composed(query, answers, failures, found, landmarks, method, fuse(rankings), group)


def _of_one_copy(answers: Sequence[ModelAnswer]) -> list[ModelAnswer]:
    """Make every ranking show the same one of several identical photos, as fusion joins by id.

    Copies do not have equal scores to the last bit, so models may choose different ones.
    """
    shown: dict[object, Hit] = {}
    # Hits with their full payload come first: they need no further read.
    for answer in sorted(answers, key=lambda one: not one.full_payload):
        for one in answer.ranked:
            shown.setdefault(one.hit.payload.get("sha256") or one.hit.id, one.hit)

    def same(one: RankedHit) -> RankedHit:
        kept = shown[one.hit.payload.get("sha256") or one.hit.id]
        return replace(one, hit=replace(one.hit, id=kept.id, payload=kept.payload))

    return [replace(answer, ranked=[same(one) for one in answer.ranked]) for answer in answers]


def search_response(composed: Composed, payloads: Payloads) -> pb.SearchResponse:
    """Return the requested page of each ranking and of the fused one, and the verdict.

    The verdict is of the nearest photos, whatever the page and the fusion. `payloads` are those
    that were missing, by collection; a point deleted since it was found keeps its place without
    one.
    """
    found, shown, page = composed.found, composed.landmarks, composed.page
    known = dict(composed.known)
    for some in payloads.values():
        known.update((str(id_), payload) for id_, payload in some.items())
    points: dict[str, pb.Point] = {}

    def point(id_: str) -> pb.Point:
        if id_ not in points:
            payload = known.get(id_)
            points[id_] = (
                pb.Point(id=id_, landmark=shown[id_])
                if payload is None
                else point_message(id_, payload)
            )
        return points[id_]

    group = composed.group
    return pb.SearchResponse(
        rankings=[_ranking(answer, page, found, shown, point) for answer in composed.answers],
        fused=[
            _fused_hit(hit, rank, point(hit.id))
            for rank, hit in enumerate(composed.fused[page], start=page.start + 1)
        ],
        verdict=_verdict(
            group.verdict(found, shown) if group else _uncalibrated(composed.fused, shown),
        ),
        partial=bool(composed.failures),
        failures=[
            pb.ModelFailure(model=failure.model, status=status_of(failure.error))
            for failure in composed.failures
        ],
        fusion_method=_METHODS[composed.method],
    )


def _group(answers: Sequence[ModelAnswer]) -> GroupCalibration | None:
    """Return the calibration that covers most of the models that answered."""
    digests = {one.collection.lineage.model: one.collection.lineage.digest for one in answers}
    groups = [
        group
        for one in answers
        if (calibration := one.calibration) and (group := calibration.group(digests))
    ]
    return max(groups, key=lambda group: len(group.models), default=None)


def _rankings(
    choice: FusionChoice, found: Mapping[str, Sequence[ModelHit]], group: GroupCalibration | None
) -> tuple[FusionMethod, dict[str, Ranking]]:
    """Return the method of fusion, and the rankings with their weights."""
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
            f"{', '.join(found)} cannot be fused by calibrated score: they have not been"
            " calibrated together; run `landmarks calibrate`, or fuse by reciprocal rank",
            field="fusion.method",
        )
    return method, {
        model: replace(ranking, weight=choice.weights.get(model, 1.0))
        for model, ranking in rankings.items()
    }


def _uncalibrated(fused: Sequence[FusedHit | ModelHit], shown: Mapping[str, str]) -> Verdict:
    result = vote([Neighbour(hit.id, shown[hit.id], hit.score) for hit in fused])
    return (
        Verdict(VerdictKind.NO_HITS)
        if result is None
        else Verdict(VerdictKind.UNCALIBRATED, result)
    )


def point_message(id_: UUID | str, payload: Mapping[str, object]) -> pb.Point:
    """Return a stored point as a message."""
    fields = Struct()
    # A payload comes from JSON, so it holds nothing else.
    fields.update(cast("Mapping[str, JsonValue]", payload))
    return pb.Point(
        id=str(id_),
        landmark=_text(payload, "landmark"),
        uri=_text(payload, "uri"),
        payload=fields,
    )


def _ranking(
    answer: ModelAnswer,
    page: slice,
    found: Mapping[str, Sequence[ModelHit]],
    shown: Mapping[str, str],
    point: Callable[[str], pb.Point],
) -> pb.ModelRanking:
    lineage = answer.collection.lineage
    hits = found[lineage.model]
    group = _group([answer])
    verdict = group.verdict(found, shown) if group else _uncalibrated(hits, shown)
    return pb.ModelRanking(
        model=lineage.model,
        collection=lineage.name,
        digest=lineage.digest,
        hits=[
            pb.Hit(point=point(hit.id), score=hit.score, rank=rank)
            for rank, hit in enumerate(hits[page], start=page.start + 1)
        ],
        verdict=_verdict(verdict),
        timings=pb.ModelTimings(
            encode=None if answer.encode_seconds is None else duration(answer.encode_seconds),
            query=duration(answer.query_seconds),
        ),
    )


def _fused_hit(hit: FusedHit, rank: int, point: pb.Point) -> pb.FusedHit:
    return pb.FusedHit(
        point=point,
        score=hit.score,
        rank=rank,
        standings=[
            pb.Standing(model=one.model, rank=one.rank, score=one.score) for one in hit.standings
        ],
    )


def _verdict(verdict: Verdict) -> pb.Verdict:
    result = verdict.vote
    return pb.Verdict(
        outcome=_OUTCOMES[verdict.outcome],
        landmark=result.landmark if result else "",
        vote_share=result.share if result else 0.0,
        evidence_point_ids=result.evidence if result else (),
        confidence=verdict.confidence,
        threshold=verdict.threshold,
    )


def _text(payload: Mapping[str, object], field: str) -> str:
    value = payload.get(field)
    return value if isinstance(value, str) else ""
