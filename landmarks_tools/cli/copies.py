"""`landmarks collections --check` and `--repair`: the copies of a collection in a cluster."""

from __future__ import annotations

import typer

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import Landmarks
from landmarks_tools.cli.index import finish, follow
from landmarks_tools.cli.output import ExitCode, console, error_console, print_json, print_table

_COLUMNS = ("node", ">photos", ">missing", ">older", ">returned", ">unclear", ">different")


def check_copies(client: Landmarks, name: str, *, as_json: bool) -> None:
    """Compare the copies of a collection, print the result, and exit with its status."""
    _print_result(client, _ended(client, client.check_copies(name).id), as_json=as_json)


def repair_copies(
    client: Landmarks, name: str, *, delete_unclear: bool, yes: bool, as_json: bool
) -> None:
    """Repair the copies of a collection; where it is unclear what is right, ask first."""
    if not yes:
        found = _result(client, _ended(client, client.check_copies(name).id))
        unclear = sum(one.unclear for one in found.copy_check.nodes)
        if unclear:
            _confirm(found.name, unclear, delete=delete_unclear)
    job = client.check_copies(name, repair=True, delete_unclear=delete_unclear)
    _print_result(client, _ended(client, job.id), as_json=as_json)


def _confirm(name: str, unclear: int, *, delete: bool) -> None:
    said = error_console()
    said.print(
        f"{unclear:,} photos of {name} are on some nodes and not on others, and were stored by an"
        " earlier release or an import: either those nodes missed their writing, or the others"
        " their deletion"
    )
    done = "deleted" if delete else "kept, and written to the nodes that lack them"
    other = "without" if delete else "with"
    said.print(f"they will be {done}; {other} --delete-unclear, it is the other way round")
    typer.confirm("Repair?", abort=True, err=True)


def _ended(client: Landmarks, job_id: str) -> pb.IndexJob:
    return follow(client, job_id, quiet=True)


def _result(client: Landmarks, job: pb.IndexJob) -> pb.Collection:
    """Return the collection of a job that compared copies; ends the command if it did not."""
    if job.state != pb.JOB_STATE_SUCCEEDED:
        finish(job)
    return next(one for one in client.collections(job.spec.gallery) if one.name == job.spec.source)


def _print_result(client: Landmarks, job: pb.IndexJob, *, as_json: bool) -> None:
    check = _result(client, job).copy_check
    if as_json:
        print_json(check)
    else:
        _print_check(job, check)
    if check.differing:
        raise typer.Exit(ExitCode.COPIES_DIFFER)


def _print_check(job: pb.IndexJob, check: pb.CopyCheck) -> None:
    console.print(job.outcome, soft_wrap=True)
    rows = [
        (
            one.node,
            *map(
                str,
                (one.photos, one.missing, one.older, one.returned, one.unclear, one.different),
            ),
        )
        for one in check.nodes
    ]
    if rows:
        print_table(_COLUMNS, rows)
    if check.harmless:
        console.print(
            f"{check.harmless:,} more differ only in marks of deleted or expected photos, which"
            " no search finds"
        )
    if check.examples:
        console.print(f"for example: {', '.join(check.examples)}", soft_wrap=True)
    if check.differing and job.kind == pb.JOB_KIND_CHECK:
        console.print(f"`landmarks collections --repair {job.spec.source}` repairs them")
