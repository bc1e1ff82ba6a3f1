"""The calls that both clients make: the method, the request, the deadline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict
from uuid import uuid4

from landmarkapi.indexing.v1 import indexing_pb2 as ipb
from landmarkapi.search.v1 import search_pb2 as spb
from landmarks.client.options import check_options
from landmarks.client.retry import PAGE_SIZE, SEARCH_SECONDS, WATCH_SECONDS, RpcCall
from landmarks.client.search_request import Search, Where, all_of, search_request
from landmarks.errors import InvalidInputError, LandmarksError
from landmarks.rpc.status import error_from_status

_SEARCH = f"/{spb.DESCRIPTOR.services_by_name['SearchService'].full_name}/"
_INDEXING = f"/{ipb.DESCRIPTOR.services_by_name['IndexingService'].full_name}/"

_PERIODS: dict[str | None, spb.Period.ValueType] = {
    None: spb.PERIOD_UNSPECIFIED,
    "year": spb.PERIOD_YEAR,
    "month": spb.PERIOD_MONTH,
}

ENDED = (ipb.JOB_STATE_SUCCEEDED, ipb.JOB_STATE_FAILED, ipb.JOB_STATE_CANCELLED)


class IndexOptions(TypedDict, total=False):
    """Options of an index job.

    models: those to index with; all, if absent.
    splits: with a manifest, only rows with one of these in the `split` column.
    source_name: stands for the source in the points' ids; its own name if absent.
    prune: points of this source and these splits whose photos are gone are deleted.
    prune_confirmed: even if they are more than a third of the source's.
    dry_run: nothing is changed; the job's counts report what would be.
    verify: photos are read even if their size and time say that they have not changed.
    label: with a folder, which of a photo's folders is its label: "first" (if absent), "last",
        "level:2", "none", or a pattern such as "{year}/{country}/{landmark}".
    ignore: with a folder, names of folders that are not looked into, as "private" or "export*".
    raw_too: with a folder, a raw file beside a photo of its name is a photo of its own.
    request_id: calling again with the same one returns the first call's job. Without one, the call
        gets its own, so that the channel's retries start no second job.
    """

    models: Sequence[str]
    splits: Sequence[str]
    source_name: str
    prune: bool
    prune_confirmed: bool
    dry_run: bool
    verify: bool
    label: str
    ignore: Sequence[str]
    raw_too: bool
    request_id: str


class CountOptions(TypedDict, total=False):
    """Options of a count.

    model: whose collection to count in; the first that the gallery was indexed with, if absent.
    where, filter: which points count, as for a search.
    limit: most values to return; 100 if absent.
    period: of a field of times, count by years (integers) or months (texts such as "2024-05").
    """

    model: str
    where: Where | None
    filter: spb.Filter | None
    limit: int
    period: Literal["year", "month"] | None


class DeletionOptions(TypedDict, total=False):
    """Which points to delete: one of `ids`, `filter` and `source`.

    models: whose collections; all that the gallery was indexed with, if absent.
    path_prefix: of a source, only photos whose path begins with this.
    """

    models: Sequence[str]
    ids: Sequence[str]
    filter: spb.Filter | None
    source: str
    path_prefix: str


class ReindexOptions(TypedDict, total=False):
    """How a re-embedded collection becomes the live one.

    queries: a labelled manifest; the new one is promoted only if its mAP@100 on it is not lower
        than that of the live one by more than `margin`.
    splits: only rows of the manifest with one of these in the `split` column.
    request_id: as for an index job.
    """

    queries: str
    splits: Sequence[str]
    margin: float
    request_id: str


def search(asked: Search, seconds: float) -> RpcCall[spb.SearchResponse]:
    """Search."""
    return RpcCall(_SEARCH + "Search", search_request(asked), spb.SearchResponse, seconds)


def batch_search(asked: Sequence[Search], seconds: float) -> RpcCall[spb.BatchSearchResponse]:
    """Search for several at once."""
    request = spb.BatchSearchRequest(searches=map(search_request, asked))
    return RpcCall(_SEARCH + "BatchSearch", request, spb.BatchSearchResponse, seconds)


def outcomes(answer: spb.BatchSearchResponse) -> list[spb.SearchResponse | LandmarksError]:
    """Return the answer, or the error, of each search of a batch."""
    return [
        error_from_status(one.error) if one.HasField("error") else one.response
        for one in answer.results
    ]


def count_values(gallery: str, field: str, asked: CountOptions) -> RpcCall[spb.CountValuesResponse]:
    """Count points by the values of a field."""
    check_options(CountOptions, asked)
    request = spb.CountValuesRequest(
        gallery=gallery,
        field=field,
        model=asked.get("model", ""),
        filter=all_of(asked.get("where"), asked.get("filter")),
        limit=asked.get("limit", 0),
        period=_period(asked.get("period")),
    )
    return RpcCall(_SEARCH + "CountValues", request, spb.CountValuesResponse)


def _period(asked: str | None) -> spb.Period.ValueType:
    if asked not in _PERIODS:
        raise InvalidInputError(
            f"there is no period {asked!r}; there are year and month", field="period"
        )
    return _PERIODS[asked]


def point(gallery: str, point_id: str) -> RpcCall[spb.GetPointResponse]:
    """Read one point."""
    request = spb.GetPointRequest(gallery=gallery, point_id=point_id)
    return RpcCall(_SEARCH + "GetPoint", request, spb.GetPointResponse)


def models() -> RpcCall[spb.ListModelsResponse]:
    """List the models."""
    return RpcCall(_SEARCH + "ListModels", spb.ListModelsRequest(), spb.ListModelsResponse)


def index(source: str, gallery: str, asked: IndexOptions) -> RpcCall[ipb.CreateIndexJobResponse]:
    """Start an index job."""
    check_options(IndexOptions, asked)
    request = ipb.CreateIndexJobRequest(
        spec=ipb.IndexSpec(
            gallery=gallery,
            source=source,
            models=asked.get("models", ()),
            splits=asked.get("splits", ()),
            source_name=asked.get("source_name", ""),
            prune=asked.get("prune", False),
            prune_confirmed=asked.get("prune_confirmed", False),
            dry_run=asked.get("dry_run", False),
            verify=asked.get("verify", False),
            label=asked.get("label", ""),
            ignore=asked.get("ignore", ()),
            raw_too=asked.get("raw_too", False),
        ),
        request_id=_own_or_new(asked.get("request_id", "")),
    )
    return RpcCall(
        _INDEXING + "CreateIndexJob", request, ipb.CreateIndexJobResponse, SEARCH_SECONDS
    )


def job(job_id: str) -> RpcCall[ipb.GetIndexJobResponse]:
    """Read one job."""
    request = ipb.GetIndexJobRequest(id=job_id)
    return RpcCall(_INDEXING + "GetIndexJob", request, ipb.GetIndexJobResponse)


def jobs(gallery: str, page_token: str) -> RpcCall[ipb.ListIndexJobsResponse]:
    """List a page of jobs."""
    request = ipb.ListIndexJobsRequest(gallery=gallery, page_size=PAGE_SIZE, page_token=page_token)
    return RpcCall(_INDEXING + "ListIndexJobs", request, ipb.ListIndexJobsResponse)


def watch(job_id: str) -> RpcCall[ipb.WatchIndexJobResponse]:
    """Follow a job, for as long as a stream may last."""
    request = ipb.WatchIndexJobRequest(id=job_id)
    return RpcCall(_INDEXING + "WatchIndexJob", request, ipb.WatchIndexJobResponse, WATCH_SECONDS)


def cancel(job_id: str) -> RpcCall[ipb.CancelIndexJobResponse]:
    """Cancel a job."""
    request = ipb.CancelIndexJobRequest(id=job_id)
    return RpcCall(_INDEXING + "CancelIndexJob", request, ipb.CancelIndexJobResponse)


def resume(job_id: str) -> RpcCall[ipb.ResumeIndexJobResponse]:
    """Resume a job."""
    request = ipb.ResumeIndexJobRequest(id=job_id)
    return RpcCall(_INDEXING + "ResumeIndexJob", request, ipb.ResumeIndexJobResponse)


def retry_dead_letters(job_id: str) -> RpcCall[ipb.RetryDeadLettersResponse]:
    """Retry the dead letters of a job."""
    request = ipb.RetryDeadLettersRequest(job_id=job_id)
    return RpcCall(_INDEXING + "RetryDeadLetters", request, ipb.RetryDeadLettersResponse)


def dead_letters(job_id: str, page_token: str) -> RpcCall[ipb.ListDeadLettersResponse]:
    """List a page of a job's dead letters."""
    request = ipb.ListDeadLettersRequest(job_id=job_id, page_size=PAGE_SIZE, page_token=page_token)
    return RpcCall(_INDEXING + "ListDeadLetters", request, ipb.ListDeadLettersResponse)


def collections(gallery: str) -> RpcCall[ipb.ListCollectionsResponse]:
    """List collections."""
    request = ipb.ListCollectionsRequest(gallery=gallery)
    return RpcCall(_INDEXING + "ListCollections", request, ipb.ListCollectionsResponse)


def delete(gallery: str, asked: DeletionOptions) -> RpcCall[ipb.DeletePointsResponse]:
    """Delete points; raises InvalidInputError unless they are chosen in exactly one way."""
    request = _selection(gallery, asked)
    return RpcCall(_INDEXING + "DeletePoints", request, ipb.DeletePointsResponse, SEARCH_SECONDS)


def count_points(gallery: str, asked: DeletionOptions) -> RpcCall[ipb.CountPointsResponse]:
    """Count points; raises InvalidInputError unless they are chosen in exactly one way."""
    request = ipb.CountPointsRequest(selection=_selection(gallery, asked))
    return RpcCall(_INDEXING + "CountPoints", request, ipb.CountPointsResponse, SEARCH_SECONDS)


def _selection(gallery: str, asked: DeletionOptions) -> ipb.DeletePointsRequest:
    check_options(DeletionOptions, asked)
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
    return request


def reindex(
    gallery: str, model: str, asked: ReindexOptions
) -> RpcCall[ipb.ReindexCollectionResponse]:
    """Start a job that re-embeds a collection."""
    check_options(ReindexOptions, asked)
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
    return RpcCall(method, request, ipb.ReindexCollectionResponse, SEARCH_SECONDS)


class CalibrationOptions(TypedDict, total=False):
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


def calibrate(gallery: str, asked: CalibrationOptions) -> RpcCall[ipb.CalibrateGalleryResponse]:
    """Start a job that calibrates verdicts."""
    check_options(CalibrationOptions, asked)
    request = ipb.CalibrateGalleryRequest(
        gallery=gallery,
        models=asked.get("models", ()),
        unknowns=asked.get("unknowns", ""),
        splits=asked.get("splits", ()),
        request_id=_own_or_new(asked.get("request_id", "")),
    )
    method = _INDEXING + "CalibrateGallery"
    return RpcCall(method, request, ipb.CalibrateGalleryResponse, SEARCH_SECONDS)


def draw_map(gallery: str, model: str, request_id: str) -> RpcCall[ipb.DrawMapResponse]:
    """Start a job that draws a map."""
    request = ipb.DrawMapRequest(gallery=gallery, model=model, request_id=_own_or_new(request_id))
    return RpcCall(_INDEXING + "DrawMap", request, ipb.DrawMapResponse, SEARCH_SECONDS)


def map_(gallery: str, model: str) -> RpcCall[ipb.GetMapResponse]:
    """Read a map."""
    request = ipb.GetMapRequest(gallery=gallery, model=model)
    return RpcCall(_INDEXING + "GetMap", request, ipb.GetMapResponse)


def promote(collection: str) -> RpcCall[ipb.PromoteCollectionResponse]:
    """Make a collection the live one."""
    request = ipb.PromoteCollectionRequest(name=collection)
    return RpcCall(_INDEXING + "PromoteCollection", request, ipb.PromoteCollectionResponse)


def roll_back(
    gallery: str, model: str, present: Sequence[ipb.Collection]
) -> RpcCall[ipb.RollbackCollectionResponse]:
    """Make the previous collection live, unless another than in `present` is live by then."""
    # The channel may send it twice, and the second must not go back further.
    live = [one.name for one in present if one.live and one.model == model]
    request = ipb.RollbackCollectionRequest(
        gallery=gallery, model=model, leaving=live[0] if live else ""
    )
    return RpcCall(_INDEXING + "RollbackCollection", request, ipb.RollbackCollectionResponse)


def check_copies(
    collection: str, *, repair: bool, delete_unclear: bool, request_id: str
) -> RpcCall[ipb.CheckCopiesResponse]:
    """Start a job that compares or repairs the copies of a collection."""
    request = ipb.CheckCopiesRequest(
        name=collection,
        repair=repair,
        delete_unclear=delete_unclear,
        request_id=_own_or_new(request_id),
    )
    return RpcCall(_INDEXING + "CheckCopies", request, ipb.CheckCopiesResponse, SEARCH_SECONDS)


def drop_gallery(gallery: str, *, dry_run: bool) -> RpcCall[ipb.DropGalleryResponse]:
    """Delete a gallery."""
    request = ipb.DropGalleryRequest(gallery=gallery, dry_run=dry_run)
    return RpcCall(_INDEXING + "DropGallery", request, ipb.DropGalleryResponse, SEARCH_SECONDS)


def drop(collection: str, *, live_too: bool) -> RpcCall[ipb.DropCollectionResponse]:
    """Delete a collection."""
    request = ipb.DropCollectionRequest(name=collection, live_too=live_too)
    return RpcCall(
        _INDEXING + "DropCollection", request, ipb.DropCollectionResponse, SEARCH_SECONDS
    )


def _own_or_new(request_id: str) -> str:
    return request_id or str(uuid4())
