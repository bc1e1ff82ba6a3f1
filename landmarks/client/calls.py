"""The calls that both clients make: which method, with which request, for how long at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict
from uuid import uuid4

from landmarkapi.indexing.v1 import indexing_pb2 as ipb
from landmarkapi.search.v1 import search_pb2 as spb
from landmarks.client.retry import PAGE_SIZE, SEARCH_SECONDS, WATCH_SECONDS, Call
from landmarks.client.search_request import Search, Where, passing, search_request
from landmarks.errors import InvalidInputError, LandmarksError
from landmarks.rpc.status import error_from_status

_SEARCH = f"/{spb.DESCRIPTOR.services_by_name['SearchService'].full_name}/"
_INDEXING = f"/{ipb.DESCRIPTOR.services_by_name['IndexingService'].full_name}/"

ENDED = (ipb.JOB_STATE_SUCCEEDED, ipb.JOB_STATE_FAILED, ipb.JOB_STATE_CANCELLED)


class Index(TypedDict, total=False):
    """What an index job may be told beside its source and gallery.

    models: those to index with; all that there are, if absent.
    splits: with a manifest, only rows with one of these in the `split` column.
    source_name: stands for the source in the points' ids; its own name if absent.
    prune: points of this source and these splits whose photos are gone are deleted.
    dry_run: nothing is changed, and the job's counts tell what would be.
    verify: photos are read even where their size and time say that they have not changed.
    request_id: calling again with the same one returns the first call's job. Without one, the call
        gets one of its own, so that the channel's retries start no second job.
    """

    models: Sequence[str]
    splits: Sequence[str]
    source_name: str
    prune: bool
    dry_run: bool
    verify: bool
    request_id: str


class Count(TypedDict, total=False):
    """What a count may be told beside its gallery and field.

    model: in whose collection to count; the first that the gallery was indexed with, if absent.
    where, filter: which points count, as for a search.
    limit: most values to return; 100 if absent.
    """

    model: str
    where: Where | None
    filter: spb.Filter | None
    limit: int


class Deletion(TypedDict, total=False):
    """Which points to delete: one of `ids`, `filter` and `source`.

    models: in whose collections; all that the gallery was indexed with, if absent.
    path_prefix: of a source, only photos whose path begins with this.
    """

    models: Sequence[str]
    ids: Sequence[str]
    filter: spb.Filter | None
    source: str
    path_prefix: str


class Reindex(TypedDict, total=False):
    """How a collection that is built anew becomes the live one.

    queries: a labelled manifest; the new one is promoted only if its mAP@100 on it is not lower
        than that of the live one by more than `margin`.
    splits: only rows of the manifest with one of these in the `split` column.
    request_id: as for an index job.
    """

    queries: str
    splits: Sequence[str]
    margin: float
    request_id: str


def search(asked: Search, seconds: float) -> Call[spb.SearchResponse]:
    """Search."""
    return Call(_SEARCH + "Search", search_request(asked), spb.SearchResponse, seconds)


def batch_search(asked: Sequence[Search], seconds: float) -> Call[spb.BatchSearchResponse]:
    """Search for several at once."""
    request = spb.BatchSearchRequest(searches=map(search_request, asked))
    return Call(_SEARCH + "BatchSearch", request, spb.BatchSearchResponse, seconds)


def outcomes(answer: spb.BatchSearchResponse) -> list[spb.SearchResponse | LandmarksError]:
    """Return the answer, or the error, of each search of a batch."""
    return [
        error_from_status(one.error) if one.HasField("error") else one.response
        for one in answer.results
    ]


def count_values(gallery: str, field: str, asked: Count) -> Call[spb.CountValuesResponse]:
    """Count points by the values of a field."""
    request = spb.CountValuesRequest(
        gallery=gallery,
        field=field,
        model=asked.get("model", ""),
        filter=passing(asked.get("where"), asked.get("filter")),
        limit=asked.get("limit", 0),
    )
    return Call(_SEARCH + "CountValues", request, spb.CountValuesResponse)


def point(gallery: str, point_id: str) -> Call[spb.GetPointResponse]:
    """Read one point."""
    request = spb.GetPointRequest(gallery=gallery, point_id=point_id)
    return Call(_SEARCH + "GetPoint", request, spb.GetPointResponse)


def models() -> Call[spb.ListModelsResponse]:
    """List the models."""
    return Call(_SEARCH + "ListModels", spb.ListModelsRequest(), spb.ListModelsResponse)


def index(source: str, gallery: str, asked: Index) -> Call[ipb.CreateIndexJobResponse]:
    """Start an index job."""
    request = ipb.CreateIndexJobRequest(
        spec=ipb.IndexSpec(
            gallery=gallery,
            source=source,
            models=asked.get("models", ()),
            splits=asked.get("splits", ()),
            source_name=asked.get("source_name", ""),
            prune=asked.get("prune", False),
            dry_run=asked.get("dry_run", False),
            verify=asked.get("verify", False),
        ),
        request_id=_own_or_new(asked.get("request_id", "")),
    )
    return Call(_INDEXING + "CreateIndexJob", request, ipb.CreateIndexJobResponse, SEARCH_SECONDS)


def job(job_id: str) -> Call[ipb.GetIndexJobResponse]:
    """Read one job."""
    request = ipb.GetIndexJobRequest(id=job_id)
    return Call(_INDEXING + "GetIndexJob", request, ipb.GetIndexJobResponse)


def jobs(gallery: str, page_token: str) -> Call[ipb.ListIndexJobsResponse]:
    """List a page of jobs."""
    request = ipb.ListIndexJobsRequest(gallery=gallery, page_size=PAGE_SIZE, page_token=page_token)
    return Call(_INDEXING + "ListIndexJobs", request, ipb.ListIndexJobsResponse)


def watch(job_id: str) -> Call[ipb.WatchIndexJobResponse]:
    """Follow a job, for as long as a stream may last."""
    request = ipb.WatchIndexJobRequest(id=job_id)
    return Call(_INDEXING + "WatchIndexJob", request, ipb.WatchIndexJobResponse, WATCH_SECONDS)


def cancel(job_id: str) -> Call[ipb.CancelIndexJobResponse]:
    """End a job."""
    request = ipb.CancelIndexJobRequest(id=job_id)
    return Call(_INDEXING + "CancelIndexJob", request, ipb.CancelIndexJobResponse)


def resume(job_id: str) -> Call[ipb.ResumeIndexJobResponse]:
    """Let a job go on."""
    request = ipb.ResumeIndexJobRequest(id=job_id)
    return Call(_INDEXING + "ResumeIndexJob", request, ipb.ResumeIndexJobResponse)


def retry_dead_letters(job_id: str) -> Call[ipb.RetryDeadLettersResponse]:
    """Try the dead letters of a job again."""
    request = ipb.RetryDeadLettersRequest(job_id=job_id)
    return Call(_INDEXING + "RetryDeadLetters", request, ipb.RetryDeadLettersResponse)


def dead_letters(job_id: str, page_token: str) -> Call[ipb.ListDeadLettersResponse]:
    """List a page of a job's dead letters."""
    request = ipb.ListDeadLettersRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=page_token)
    return Call(_INDEXING + "ListDeadLetters", request, ipb.ListDeadLettersResponse)


def collections(gallery: str) -> Call[ipb.ListCollectionsResponse]:
    """List collections."""
    request = ipb.ListCollectionsRequest(gallery=gallery)
    return Call(_INDEXING + "ListCollections", request, ipb.ListCollectionsResponse)


def delete(gallery: str, asked: Deletion) -> Call[ipb.DeletePointsResponse]:
    """Delete points; raises InvalidInputError unless they are chosen in exactly one way."""
    ids, source = asked.get("ids", ()), asked.get("source", "")
    passed = asked.get("filter")
    request = ipb.DeletePointsRequest(gallery=gallery, models=asked.get("models", ()))
    if sum(map(bool, (ids, passed is not None, source))) != 1:
        raise InvalidInputError("give one of ids, filter and source", field="points")
    if ids:
        request.ids.ids.extend(ids)
    elif passed is not None:
        request.filter.CopyFrom(passed)
    else:
        request.source.name = source
        request.source.path_prefix = asked.get("path_prefix", "")
    return Call(_INDEXING + "DeletePoints", request, ipb.DeletePointsResponse, SEARCH_SECONDS)


def reindex(gallery: str, model: str, asked: Reindex) -> Call[ipb.ReindexCollectionResponse]:
    """Start a job that builds a collection anew."""
    request = ipb.ReindexCollectionRequest(
        gallery=gallery,
        model=model,
        reindexing=ipb.Reindexing(
            queries=asked.get("queries", ""),
            splits=asked.get("splits", ()),
            margin=asked.get("margin", 0.0),
        ),
        request_id=_own_or_new(asked.get("request_id", "")),
    )
    method = _INDEXING + "ReindexCollection"
    return Call(method, request, ipb.ReindexCollectionResponse, SEARCH_SECONDS)


class Calibration(TypedDict, total=False):
    """How a gallery is calibrated.

    models: whose collections, alone and together; all that the gallery was indexed with, if absent.
    unknowns: a folder or manifest of photos of landmarks that the gallery does not have; if absent,
        the gallery's own stand in for them.
    splits: with a manifest of those, only rows with one of these in the `split` column.
    request_id: as for an index job.
    """

    models: Sequence[str]
    unknowns: str
    splits: Sequence[str]
    request_id: str


def calibrate(gallery: str, asked: Calibration) -> Call[ipb.CalibrateGalleryResponse]:
    """Start a job that calibrates verdicts."""
    request = ipb.CalibrateGalleryRequest(
        gallery=gallery,
        models=asked.get("models", ()),
        unknowns=asked.get("unknowns", ""),
        splits=asked.get("splits", ()),
        request_id=_own_or_new(asked.get("request_id", "")),
    )
    method = _INDEXING + "CalibrateGallery"
    return Call(method, request, ipb.CalibrateGalleryResponse, SEARCH_SECONDS)


def draw_map(gallery: str, model: str, request_id: str) -> Call[ipb.DrawMapResponse]:
    """Start a job that draws a map."""
    request = ipb.DrawMapRequest(gallery=gallery, model=model, request_id=_own_or_new(request_id))
    return Call(_INDEXING + "DrawMap", request, ipb.DrawMapResponse, SEARCH_SECONDS)


def map_(gallery: str, model: str) -> Call[ipb.GetMapResponse]:
    """Read a map."""
    request = ipb.GetMapRequest(gallery=gallery, model=model)
    return Call(_INDEXING + "GetMap", request, ipb.GetMapResponse)


def promote(collection: str) -> Call[ipb.PromoteCollectionResponse]:
    """Make a collection the live one."""
    request = ipb.PromoteCollectionRequest(name=collection)
    return Call(_INDEXING + "PromoteCollection", request, ipb.PromoteCollectionResponse)


def roll_back(
    gallery: str, model: str, there: Sequence[ipb.Collection]
) -> Call[ipb.RollbackCollectionResponse]:
    """Make the earlier collection live, unless what is live among `there` is so no longer."""
    # The channel may send it twice, and the second must not go back further.
    live = [one.name for one in there if one.live and one.model == model]
    request = ipb.RollbackCollectionRequest(
        gallery=gallery, model=model, leaving=live[0] if live else ""
    )
    return Call(_INDEXING + "RollbackCollection", request, ipb.RollbackCollectionResponse)


def drop(collection: str, *, live_too: bool) -> Call[ipb.DropCollectionResponse]:
    """Delete a collection."""
    request = ipb.DropCollectionRequest(name=collection, live_too=live_too)
    return Call(_INDEXING + "DropCollection", request, ipb.DropCollectionResponse, SEARCH_SECONDS)


def _own_or_new(request_id: str) -> str:
    return request_id or str(uuid4())
