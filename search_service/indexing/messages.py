"""Jobs, maps and collections as messages of the contract."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.job_store.copy_checks import CopyCheck
from landmarks.job_store.maps import GalleryMap
from landmarks.job_store.records import DeadLetter, Job, JobState, ModelProgress
from landmarks.job_store.spec import IndexSpec, JobKind
from landmarks.photos.listing_counts import LabelCounts
from landmarks.rpc.status import duration
from landmarks.vector_store.collection_info import CollectionState
from search_service.search.recall_monitor import Recall

_STATES = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
}

_KINDS = {
    JobKind.INDEX: pb.JOB_KIND_INDEX,
    JobKind.REINDEX: pb.JOB_KIND_REINDEX,
    JobKind.CALIBRATE: pb.JOB_KIND_CALIBRATE,
    JobKind.MAP: pb.JOB_KIND_MAP,
    JobKind.CHECK: pb.JOB_KIND_CHECK,
    JobKind.REPAIR: pb.JOB_KIND_REPAIR,
}


def parse_spec(message: pb.IndexSpec) -> IndexSpec:
    """Return a message's spec; raises InvalidInputError for fields that callers may not set."""
    if message.HasField("reindexing"):
        raise InvalidInputError(
            "CreateIndexJob does not rebuild a collection; call ReindexCollection",
            field="reindexing",
        )
    return IndexSpec(
        gallery=message.gallery,
        source=message.source,
        models=tuple(message.models),
        splits=tuple(message.splits),
        source_name=message.source_name,
        prune=message.prune,
        prune_confirmed=message.prune_confirmed,
        dry_run=message.dry_run,
        verify=message.verify,
        label=message.label,
        ignore=tuple(message.ignore),
        raw_too=message.raw_too,
    )


def job_message(job: Job) -> pb.IndexJob:
    """Return a job's message."""
    return pb.IndexJob(
        id=job.id,
        spec=pb.IndexSpec(
            gallery=job.spec.gallery,
            source=job.spec.source,
            models=job.spec.models,
            splits=job.spec.splits,
            source_name=job.spec.source_name,
            prune=job.spec.prune,
            prune_confirmed=job.spec.prune_confirmed,
            dry_run=job.spec.dry_run,
            verify=job.spec.verify,
            label=job.spec.label,
            ignore=job.spec.ignore,
            raw_too=job.spec.raw_too,
            reindexing=pb.Reindexing(**asdict(job.spec.reindex)) if job.spec.reindex else None,
        ),
        state=_STATES[job.state],
        kind=_KINDS[job.spec.kind],
        error=job.error,
        outcome="; ".join(filter(None, (_none_indexed(job), job.outcome))),
        progress=[
            _progress_message(one, known=job.listing_complete and not job.ended)
            for one in job.progress
        ],
        photos=pb.PhotoCounts(listed=job.photos.listed, done=job.photos.done, dead=job.photos.dead),
        listing_complete=job.listing_complete,
        create_time=_timestamp(job.created),
        update_time=_timestamp(job.updated),
        not_pruned=job.not_pruned.reason if job.not_pruned else "",
        not_pruned_points=job.not_pruned.points if job.not_pruned else 0,
        skipped=[pb.SkippedFiles(**asdict(one)) for one in job.skipped],
        labels=_labels_message(job.labels) if job.labels else None,
    )


def _labels_message(labels: LabelCounts) -> pb.LabelCounts:
    return pb.LabelCounts(
        distinct=labels.distinct,
        unlabelled=labels.unlabelled,
        most=[pb.LabelCount(label=label, photos=photos) for label, photos in labels.most],
    )


def _none_indexed(job: Job) -> str:
    """Return the words for a job that has succeeded with nothing but dead letters; else ""."""
    counts = job.progress
    if job.state is not JobState.SUCCEEDED or not any(one.dead for one in counts):
        return ""
    if any(one.stored or one.unchanged for one in counts):
        return ""
    return "not one photo could be indexed; the dead letters say why"


def dead_letter_message(letter: DeadLetter) -> pb.DeadLetter:
    """Return a dead letter's message."""
    return pb.DeadLetter(
        model=letter.model,
        uri=letter.entry.uri,
        path=letter.entry.path,
        reason=letter.reason,
        time=_timestamp(letter.time),
        attempts=letter.attempts,
    )


def map_message(found: GalleryMap) -> pb.GetMapResponse:
    """Return a map's message."""
    return pb.GetMapResponse(
        collection=found.collection,
        points=[
            pb.MapPoint(
                point_id=point.id,
                landmark=point.landmark,
                x=point.x,
                y=point.y,
                in_no_cluster=point.in_no_cluster,
            )
            for point in found.points
        ],
        draw_time=_timestamp(found.drawn),
        collection_points=found.collection_points,
        perplexity=found.perplexity,
        trustworthiness=found.trustworthiness,
    )


def collection_message(
    state: CollectionState,
    recall: Recall | None = None,
    check: CopyCheck | None = None,
    *,
    mapped: bool = False,
) -> pb.Collection:
    """Return a collection's message."""
    return pb.Collection(
        name=state.lineage.name,
        gallery=state.lineage.gallery,
        model=state.lineage.model,
        digest=state.lineage.digest,
        points=state.points,
        indexed_vectors=state.indexed_vectors,
        dimension=state.lineage.dimension,
        live=state.live,
        status=state.status,
        calibrated=state.calibrated,
        mapped=mapped,
        recall=recall.share if recall else None,
        recall_queries=recall.queries if recall else 0,
        problem="; ".join(filter(None, (state.problem, _differing(state.lineage.name, check)))),
        unsafe_layout=state.unsafe_layout,
        copy_check=_check_message(check) if check else None,
    )


def _differing(name: str, check: CopyCheck | None) -> str:
    """Return what is wrong with a collection whose copies differ; else ""."""
    if check is None or check.agree:
        return ""
    return (
        f"{check.points:,} of its {check.compared:,} points are not the same on all nodes, so what"
        f" is found depends on which answers: `landmarks collections --repair {name}`"
    )


def _check_message(check: CopyCheck) -> pb.CopyCheck:
    return pb.CopyCheck(
        time=_timestamp(check.began),
        agree=check.agree,
        compared=check.compared,
        differing=check.points,
        harmless=check.harmless,
        nodes=[pb.NodeCopies(**asdict(one)) for one in check.nodes],
        examples=check.examples,
    )


def _progress_message(progress: ModelProgress, *, known: bool) -> pb.ModelProgress:
    left = progress.seconds_left if known else None
    return pb.ModelProgress(
        time_left=None if left is None else duration(left),
        model=progress.model,
        collection=progress.collection,
        digest=progress.digest,
        listed=progress.listed,
        stored=progress.stored,
        unchanged=progress.unchanged,
        dead=progress.dead,
        duplicate=progress.duplicate,
        cancelled=progress.cancelled,
        pruned=progress.pruned,
        encoded=progress.encoded,
        photos_per_second=progress.photos_per_second,
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
