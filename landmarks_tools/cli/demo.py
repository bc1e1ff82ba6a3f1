"""`landmarks demo`: the whole system on a gallery that it draws itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import Landmarks
from landmarks.errors import LandmarksError
from landmarks.settings import ClientSettings
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.index import follow, print_totals
from landmarks_tools.cli.output import ModelsOption, comma_separated, console, print_table, progress
from landmarks_tools.cli.search import print_answer
from landmarks_tools.cli.up import await_ready
from landmarks_tools.cli.weights import models_with_weights, registered_models
from landmarks_tools.local_stack.broker import broker_binary
from landmarks_tools.local_stack.free_ports import free_ports, free_ports_in_a_row
from landmarks_tools.local_stack.manager import StackManager
from landmarks_tools.local_stack.plan import StackPlan, plan_stack
from landmarks_tools.local_stack.settings import StackSettings

_GALLERY = "sample"
_SHOWN = ("Atomium", "Soreq_Cave")


@dataclass(frozen=True)
class LeftOutView:
    """A view that is not in the gallery, and the landmark it shows."""

    path: Path
    landmark: str


@requires_extra("local")
def demo(
    models: ModelsOption = "",
    views: Annotated[int, typer.Option(min=4, help="Views to draw of each landmark.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder for the contact sheets and the data.")] = Path(
        "out/demo"
    ),
) -> None:
    """Draw a gallery, index it with every model, and search it with views that were left out.

    Needs no Docker, no model hub and no privileges; stops everything it started.
    """
    from landmarks_tools.sample_gallery.gallery import ensure_sample_gallery

    started = time.monotonic()
    console.print("1. Set-up")
    binary = broker_binary()
    settings = _demo_settings(out)
    names = models_with_weights(comma_separated(models), settings)
    with progress() as show:
        gallery = ensure_sample_gallery(
            settings.cache_dir / "sample" / f"{views}-views",
            views=views,
            progress=partial(show, "sample views"),
        )
    console.print(f"  sample views in {gallery}")
    set_up = time.monotonic()

    plan = plan_stack(names, {}, settings, binary)
    console.print("\n2. The stack")
    with StackManager(plan) as manager:
        await_ready(manager)
        # The stack listens on loopback, without TLS, and takes its API keys from this environment.
        with Landmarks(plan.server, api_key=ClientSettings.load().key) as client:
            console.print("\n3. Indexing the sample gallery, without some views of each landmark")
            _index(client, gallery, names)
            _calibrate(client)
            queries = _left_out(gallery)
            console.print("\n4. Searching with views that were left out")
            sheets = [_show(client, query, names, out) for query in _first_of_each(queries)]
            console.print(
                f"\n5. Is the first hit the right landmark? {len(queries)} left-out views"
            )
            _print_first_hits(client, queries, names)
    console.print("\n6. Where to look")
    for sheet in sheets:
        console.print(f"  {sheet}")
    _print_how_to_go_on(plan, gallery)
    console.print(
        f"\nDone. Set-up took {set_up - started:.0f} s,"
        f" the rest {time.monotonic() - set_up:.0f} s. Everything is stopped."
    )


def _demo_settings(out: Path) -> StackSettings:
    """Return settings with free ports, so that a running stack is undisturbed, and empty data."""
    data_dir = (out / "landmarks-demo-data").resolve()  # a name that nobody else's folder has
    shutil.rmtree(data_dir, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    search_port, page_port, qdrant_port, redis_port = free_ports(4)
    return StackSettings.load().model_copy(
        update={
            "data_dir": data_dir,
            "search_port": search_port,
            "page_port": page_port,
            "qdrant_port": qdrant_port,
            "redis_port": redis_port,
            "encoder_port": free_ports_in_a_row(len(registered_models())),
        }
    )


def _index(client: Landmarks, gallery: Path, models: Sequence[str]) -> None:
    job = client.index(
        source=str(gallery / "manifest.csv"), gallery=_GALLERY, models=models, splits=["gallery"]
    )
    job = follow(client, job.id)
    print_totals(job)
    if job.state != indexing_pb2.JOB_STATE_SUCCEEDED or any(item.dead for item in job.progress):
        raise LandmarksError(f"the sample gallery was not indexed completely: {job.error}")


def _calibrate(client: Landmarks) -> None:
    """Calibrate the gallery's verdicts, if it has enough photos."""
    job = follow(client, client.calibrate(_GALLERY).id, quiet=True)
    console.print(job.outcome or f"not calibrated: {job.error}")


def _left_out(gallery: Path) -> list[LeftOutView]:
    from landmarks_tools.sample_gallery.gallery import read_manifest

    return [
        LeftOutView(gallery / photo.path, photo.landmark)
        for photo in read_manifest(gallery)
        if photo.split == "query"
    ]


def _first_of_each(queries: Sequence[LeftOutView]) -> list[LeftOutView]:
    return [next(query for query in queries if query.landmark == name) for name in _SHOWN]


def _show(client: Landmarks, query: LeftOutView, models: Sequence[str], out: Path) -> Path:
    from landmarks_tools.cli.contact_sheet import draw_search_sheet

    photo = query.path.read_bytes()
    answer = client.search(photo=photo, gallery=_GALLERY, models=models, limit=8)
    _require_whole(answer)
    console.rule(f"a view of {query.landmark}: {query.path.name}", align="left")
    print_answer(answer)
    sheet = out / f"{query.landmark.lower()}.png"
    draw_search_sheet(photo, query.landmark, answer, query.landmark).save(sheet)
    return sheet


def _print_first_hits(
    client: Landmarks, queries: Sequence[LeftOutView], models: Sequence[str]
) -> None:
    right = dict.fromkeys((*models, "fused"), 0)
    named: list[bool] = []
    with progress() as show, ThreadPoolExecutor(4) as pool:

        def ask(query: LeftOutView) -> pb.SearchResponse:
            return client.search(
                photo=query.path.read_bytes(), gallery=_GALLERY, models=models, limit=1
            )

        for count, (query, answer) in enumerate(
            zip(queries, pool.map(ask, queries), strict=True), start=1
        ):
            _require_whole(answer)
            for ranking in answer.rankings:
                right[ranking.model] += ranking.hits[0].point.landmark == query.landmark
            right["fused"] += answer.fused[0].point.landmark == query.landmark
            if answer.verdict.outcome == pb.Verdict.OUTCOME_KNOWN:
                named.append(answer.verdict.landmark == query.landmark)
            show("searches", count, len(queries))
    rows = [
        (name, f"{count} of {len(queries)}", f"{count / len(queries):.0%}")
        for name, count in right.items()
    ]
    print_table(("model", ">right first hits", ">share"), rows)
    if named:
        console.print(
            f"The verdict names a landmark for {len(named)} of {len(queries)} views, {sum(named)}"
            " of them correctly; for the others it names none"
        )


def _require_whole(answer: pb.SearchResponse) -> None:
    if answer.partial:
        reasons = "; ".join(f"{item.model}: {item.status.message}" for item in answer.failures)
        raise LandmarksError(f"a model did not answer: {reasons}")
    if not all(ranking.hits for ranking in answer.rankings):
        raise LandmarksError("a model found nothing in the gallery that was just indexed")


def _print_how_to_go_on(plan: StackPlan, gallery: Path) -> None:
    console.print("\n7. To run it permanently: make up. Then, in another terminal:")
    console.print(
        f"  .venv/bin/landmarks index {gallery / 'manifest.csv'} --gallery sample --wait",
        soft_wrap=True,
    )
    console.print("  .venv/bin/landmarks search PHOTO --gallery sample --sheet hits.png")
    console.print("or continue with what was just indexed:")
    console.print(f"  .venv/bin/landmarks up --data-dir {plan.data_dir}", soft_wrap=True)
