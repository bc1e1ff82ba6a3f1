"""`landmarks index`: put the photos of a source into a gallery."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET, Landmarks
from landmarks.client.calls import IndexOptions
from landmarks.errors import LandmarksError
from landmarks.photos.listing_counts import Skipped, in_words
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.output import (
    DEFAULT_GALLERY,
    ExitCode,
    GalleryOption,
    JsonOption,
    ModelsOption,
    ServerOption,
    comma_separated,
    console,
    print_json,
    print_table,
    progress,
)

_COUNTS = ("listed", "stored", "encoded", "unchanged", "dead", "duplicate", "cancelled", "pruned")


def index(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder or zip file (each sub-folder is named after its landmark; see --label),"
            " a manifest (CSV with the columns path and landmark), or an fsspec URI of one."
        ),
    ],
    gallery: GalleryOption = DEFAULT_GALLERY,
    models: ModelsOption = "",
    split: Annotated[
        list[str] | None,
        typer.Option("--split", "-s", help="With a manifest: only rows of this split. Repeatable."),
    ] = None,
    source_name: Annotated[
        str,
        typer.Option(
            help="Identifies the source in the points' ids, so that it may be moved; by default"
            " the source's own name."
        ),
    ] = "",
    label: Annotated[
        str,
        typer.Option(
            help="With a folder: which of a photo's folders is its landmark. 'first' (the default),"
            " 'last', 'level:2', 'none', or a pattern such as '{year}/{country}/{landmark}'."
            " --dry-run shows what that gives."
        ),
    ] = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            help="With a folder: a name of folders that are not looked into, as 'private' or"
            " 'export*'. Repeatable.",
        ),
    ] = None,
    raw_too: Annotated[
        bool,
        typer.Option(
            "--raw-too",
            help="With a folder: a raw file beside a photo of its name is a photo of its own.",
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete points of this source (and split) whose photos are gone. More than a third"
            " of them must be confirmed.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Confirm --prune, whatever share of points goes.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Change nothing; report what would be done, and the labels."
        ),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read every photo, even if its size and time are unchanged."),
    ] = False,
    request_id: Annotated[
        str, typer.Option(help="Makes the request safe to repeat: the same id is the same job.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the job to end.")] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """Index a folder or a manifest of photos into a gallery.

    Indexing again encodes only what has changed. With --wait, exit status 5 means that some photos
    could not be indexed; `landmarks jobs ID --dead-letters` lists them.
    """
    options = IndexOptions(
        models=comma_separated(models),
        splits=split or [],
        source_name=source_name,
        prune=prune,
        prune_confirmed=yes,
        dry_run=dry_run,
        verify=verify,
        label=label,
        ignore=ignore or [],
        raw_too=raw_too,
        request_id=request_id,
    )
    with connect(server) as client:
        job = client.index(absolute(source), gallery=gallery, **options)
        if not wait and not dry_run:
            print_json(job) if as_json else console.print(f"job {job.id}")
            return
        if not as_json:
            console.print(f"job {job.id}")
        job = follow(client, job.id, quiet=as_json)
        if not as_json and _confirmed(job):
            options |= IndexOptions(prune_confirmed=True, request_id="")
            job = client.index(job.spec.source, gallery=gallery, **options)
            job = follow(client, job.id)
    print_json(job) if as_json else print_totals(job)
    finish(job)


def _confirmed(job: pb.IndexJob) -> bool:
    """Ask, if somebody is there to answer, whether to delete what was not pruned."""
    if not job.not_pruned_points or job.spec.dry_run or not sys.stdin.isatty():
        return False
    console.print(job.not_pruned)
    return typer.confirm(f"Delete {job.not_pruned_points:,} points?")


def follow(client: Landmarks, job_id: str, *, quiet: bool = False) -> pb.IndexJob:
    """Show a job's progress until it has ended, and return its last state."""
    job = client.job(job_id)
    if quiet:
        for job in client.watch(job_id):  # noqa: B007 - only the last one is used
            pass
        return job
    with progress() as show:
        for job in client.watch(job_id):
            for item in job.progress:
                total = item.listed if job.listing_complete else None
                show(item.model, done(item), total, f"{item.photos_per_second:.1f} photos/s")
    return job


def done(item: pb.ModelProgress) -> int:
    """Return how many of the listed photos are accounted for."""
    return item.stored + item.unchanged + item.dead + item.duplicate


def none_indexed(job: pb.IndexJob) -> bool:
    """Say whether a job that has succeeded has nothing but dead letters."""
    ended = job.state == pb.JOB_STATE_SUCCEEDED and any(item.dead for item in job.progress)
    return ended and not any(item.stored or item.unchanged for item in job.progress)


def print_totals(job: pb.IndexJob) -> None:
    """Print what became of every photo, per model."""
    if job.spec.dry_run:
        console.print("dry run: nothing was changed; these are the changes that would be made")
    columns = (
        "model",
        *(f">{name}" for name in _COUNTS),
        ">photos/s",
    )
    rows = [
        (
            item.model,
            *(str(getattr(item, name)) for name in _COUNTS),
            f"{item.photos_per_second:.1f}",
        )
        for item in job.progress
    ]
    print_table(columns, rows)
    left = [item.time_left.ToTimedelta() for item in job.progress if item.HasField("time_left")]
    if left:
        console.print(f"about {timedelta(seconds=round(max(left).total_seconds()))} left")
    _print_seen(job)
    for said in filter(None, (job.outcome, job.not_pruned)):
        console.print(said)
    if job.photos.dead:
        photos = "1 photo" if job.photos.dead == 1 else f"{job.photos.dead} photos"
        console.print(
            f"{photos} cannot be indexed; `landmarks jobs {job.id} --dead-letters` shows why, and"
            " --retry tries them again"
        )


def _print_seen(job: pb.IndexJob) -> None:
    """Print what the source has besides photos, and how its photos are labelled."""
    if skipped := in_words(Skipped.from_values(_values(one)) for one in job.skipped):
        console.print(f"skipped: {skipped}")
    if not job.HasField("labels"):
        return
    labels = job.labels
    words = "1 label" if labels.distinct == 1 else f"{labels.distinct:,} labels"
    console.print(f"{words}, {labels.unlabelled:,} photos without one")
    if job.spec.dry_run and labels.most:
        rows = [(one.label, f"{one.photos:,}") for one in labels.most]
        print_table(("label", ">photos"), rows)
        if labels.distinct > len(rows):
            console.print(f"and {labels.distinct - len(rows):,} more labels with fewer photos")


def _values(one: pb.SkippedFiles) -> dict[str, object]:
    names = ("reason", "files", "folders", "example")
    return {name: getattr(one, name) for name in names}


def finish(job: pb.IndexJob) -> None:
    """Exit with the status for how the job ended.

    Raises LandmarksError where it failed or was cancelled.
    """
    if job.state == pb.JOB_STATE_FAILED:
        raise LandmarksError(f"job {job.id} failed: {job.error}")
    if job.state == pb.JOB_STATE_CANCELLED:
        raise LandmarksError(
            f"job {job.id} was cancelled; `landmarks jobs {job.id} --resume` continues it"
        )
    if job.not_pruned and not job.spec.dry_run:
        raise LandmarksError(f"job {job.id}: points of photos that are gone were not deleted")
    if any(item.dead for item in job.progress):
        raise typer.Exit(ExitCode.DEAD_LETTERS)


def absolute(source: str) -> str:
    """Return a local path as an absolute one, as workers have another working directory."""
    return source if "://" in source else str(Path(source).expanduser().resolve())
