"""`landmarks jobs`: indexing jobs, their progress and their dead letters."""

from __future__ import annotations

from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.index import finish, follow, none_indexed, print_totals
from landmarks_tools.cli.output import JsonOption, ServerOption, console, print_json, print_table

_WITHOUT_PHOTOS = (
    pb.JOB_KIND_CALIBRATE,
    pb.JOB_KIND_MAP,
    pb.JOB_KIND_CHECK,
    pb.JOB_KIND_REPAIR,
)


def jobs(
    job_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="A job; by default all are listed.")
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="With an ID: follow the job until it ends.")
    ] = False,
    dead_letters: Annotated[
        bool,
        typer.Option(
            "--dead-letters", help="With an ID: list the photos that were not indexed, and why."
        ),
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="With an ID: cancel the job; stored points stay.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With an ID: continue a cancelled or failed job.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With an ID: retry its dead letters.")
    ] = False,
    server: ServerOption = DEFAULT_TARGET,
    as_json: JsonOption = False,
) -> None:
    """List indexing jobs, newest first, or show, follow, cancel or resume one."""
    if sum((dead_letters, cancel, resume, retry)) > 1:
        raise typer.BadParameter("give one of --dead-letters, --cancel, --resume and --retry")
    if not job_id and (watch or dead_letters or cancel or resume or retry):
        raise typer.BadParameter(
            "--watch, --dead-letters, --cancel, --resume and --retry need a job's ID"
        )
    with connect(server) as client:
        if not job_id:
            _print_jobs(list(client.jobs()), as_json=as_json)
            return
        if dead_letters:
            _print_dead_letters(list(client.dead_letters(job_id)), as_json=as_json)
            return
        if cancel:
            job = client.cancel(job_id)
        elif resume:
            job = client.resume(job_id)
        elif retry:
            job = client.retry_dead_letters(job_id)
        else:
            job = client.job(job_id)
        if watch:
            job = follow(client, job_id, quiet=as_json)
        if as_json:
            print_json(job)
        else:
            _print_job(job)
        if watch:
            finish(job)


def state_of(job: pb.IndexJob) -> str:
    """Return the name of a job's state."""
    name = pb.JobState.Name(job.state).removeprefix("JOB_STATE_").lower()
    return f"{name}, none indexed" if none_indexed(job) else name


def _print_jobs(found: list[pb.IndexJob], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("no jobs yet; start one with `landmarks index FOLDER`")
        return
    rows = [
        (
            job.id,
            state_of(job),
            job.spec.gallery,
            f"{job.photos.done}/{job.photos.listed}",
            str(job.photos.dead),
            job.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M"),
            _subject(job),
        )
        for job in found
    ]
    print_table(("id", "state", "gallery", ">done", ">dead", "created (UTC)", "source"), rows)


def _print_job(job: pb.IndexJob) -> None:
    spec = job.spec
    splits = f", splits {', '.join(spec.splits)}" if spec.splits else ""
    console.print(f"job {job.id}: {state_of(job)}")
    console.print(f"  gallery {spec.gallery!r}: {_subject(job)}{splits}")
    if job.error:
        console.print(f"  {job.error}")
    if job.kind in _WITHOUT_PHOTOS:
        console.print(f"  {job.outcome}")
    else:
        print_totals(job)


def _subject(job: pb.IndexJob) -> str:
    models = ", ".join(job.spec.models)
    match job.kind:
        case pb.JOB_KIND_REINDEX:
            return f"({models} re-embedded)"
        case pb.JOB_KIND_CALIBRATE:
            return f"(verdicts of {models} calibrated)"
        case pb.JOB_KIND_MAP:
            return f"(map of {models})"
        case pb.JOB_KIND_CHECK:
            return f"(copies of {job.spec.source} compared)"
        case pb.JOB_KIND_REPAIR:
            return f"(copies of {job.spec.source} repaired)"
        case _:
            return job.spec.source


def _print_dead_letters(letters: list[pb.DeadLetter], *, as_json: bool) -> None:
    if as_json:
        print_json(letters)
    elif not letters:
        console.print("none: every photo was indexed")
    else:
        rows = [(letter.model, letter.path, letter.reason) for letter in letters]
        print_table(("model", "photo", "reason"), rows)
