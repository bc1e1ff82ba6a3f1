"""`landmarks up`: the whole stack on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from landmarks.client import DEFAULT_TARGET
from landmarks.errors import InvalidInputError, LandmarksError
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import ModelsOption, comma_separated, console
from landmarks_tools.cli.reembedding import offers
from landmarks_tools.cli.weights import models_with_weights
from landmarks_tools.local_stack.broker import broker_binary
from landmarks_tools.local_stack.manager import StackManager
from landmarks_tools.local_stack.plan import Process, StackPlan, plan_stack
from landmarks_tools.local_stack.qdrant_place import OWN, qdrant_elsewhere, remembered
from landmarks_tools.local_stack.settings import StackSettings

_SAY_EVERY_SECONDS = 30.0
_RESTART_MOST_SECONDS = 60.0


@requires_extra("local")
def up(
    models: ModelsOption = "",
    scale: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL=N", help="Number of encoder processes of a model. Repeatable."),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=HOST:PORT",
            help="An encoder of a model that is started separately, such as a newer version to"
            " re-index with. Repeatable.",
        ),
    ] = None,
    qdrant: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT[,…]",
            help="A Qdrant server that is running already, or several nodes of a cluster, in place"
            " of the stack's own. The data folder remembers it; 'embedded' is the own again.",
            show_default=False,
        ),
    ] = "",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for vectors, jobs and logs.", show_default=False),
    ] = None,
) -> None:
    """Start all services on this machine; Ctrl-C stops them.

    Without --models, the default models whose weights are available are served. Indexed photos
    are kept for the next start. Ports are settings: LANDMARKS_PAGE_PORT (8080; empty: no page),
    LANDMARKS_SEARCH_PORT (50050), LANDMARKS_ENCODER_PORT (50051 and up), LANDMARKS_QDRANT_PORT
    (6334), LANDMARKS_REDIS_PORT (6379). With LANDMARKS_METRICS_PORT, unset by default, each
    process serves metrics on a port from that one up.
    """
    settings = StackSettings.load()
    folder = (data_dir or settings.data_dir).expanduser().resolve()
    settings = settings.model_copy(update={"data_dir": folder})
    counts = parse_scale(scale or [])
    others = parse_beside(beside or [])
    binary = broker_binary()  # where it is missing, before any weights are downloaded
    elsewhere = qdrant_elsewhere(settings, qdrant)
    if elsewhere is not None:
        from landmarks_tools.local_stack.readiness import require_qdrant

        require_qdrant(elsewhere)
    names = models_with_weights(comma_separated(models), settings)
    plan = plan_stack(names, counts, settings, binary, beside=others, qdrant=elsewhere)
    _say_whose_vectors(plan, given=bool(qdrant))
    # SIGINT too, as shells start background processes with it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with StackManager(plan) as manager:
            await_ready(manager)
            if plan.page:
                console.print(f"\nOpen {plan.page} in a browser.")
            console.print(f"Search service at {plan.server}. Try, in another terminal:")
            # Without --server, the commands would reach another stack on the default port.
            there = "" if plan.server == DEFAULT_TARGET else f" --server {plan.server}"
            console.print(
                f"  landmarks index FOLDER --wait{there}\n  landmarks search PHOTO{there}"
            )
            console.print(
                f"Data in {plan.data_dir}, logs in {manager.log_dir}. Ctrl-C stops everything.",
                soft_wrap=True,
            )
            _offer_reembedding(plan.server)
            _keep(manager)
    except KeyboardInterrupt:
        console.print("stopped; indexed photos are kept")


def _offer_reembedding(server: str) -> None:
    # An advice: where the stack wants a key that is not in this environment, it is not given.
    with contextlib.suppress(LandmarksError), connect(server) as client:
        for offer in offers(list(client.collections()), client.models()):
            console.print(offer, soft_wrap=True)


def _say_whose_vectors(plan: StackPlan, *, given: bool) -> None:
    own = plan.data_dir / "qdrant"
    now = f"Qdrant at {plan.qdrant}" if plan.qdrant else str(own)
    before = f"Qdrant at {last}" if (last := remembered(plan.data_dir)) else str(own)
    if plan.qdrant or before != now:
        why = "" if given else f", as at the last start (--qdrant {OWN}: in the stack's own)"
        console.print(f"Vectors in {now}{why}", soft_wrap=True)
    if before != now and (last or own.is_dir()):
        console.print(f"Until now they were in {before}: what is there stays there", soft_wrap=True)


def parse_scale(items: list[str]) -> dict[str, int]:
    """Return the process counts of `model=n` items."""
    counts: dict[str, int] = {}
    for item in items:
        model, _, count = item.partition("=")
        if not model or not count.isdecimal():
            raise InvalidInputError(f"--scale {item!r} is not MODEL=N, as in vgg16=2")
        counts[model] = int(count)
    return counts


def parse_beside(items: list[str]) -> dict[str, list[str]]:
    """Return the addresses of `model=host:port` items, by model."""
    addresses: dict[str, list[str]] = {}
    for item in items:
        model, _, address = item.partition("=")
        if not model or ":" not in address:
            raise InvalidInputError(
                f"--beside {item!r} is not MODEL=HOST:PORT, as in vgg16=127.0.0.1:50071"
            )
        addresses.setdefault(model, []).append(address)
    return addresses


def await_ready(manager: StackManager) -> None:
    """Print each process and its address as it becomes ready, and now and then what is not yet.

    It waits as long as that takes: a large collection or a download has no usual time. Raises
    LandmarksError with the last log lines of a process that will not be ready.
    """
    from landmarks_tools.local_stack.readiness import wait_until_ready

    plan: StackPlan = manager.plan
    started = said = time.monotonic()

    def say(waiting: Sequence[Process]) -> None:
        nonlocal said
        if time.monotonic() - said > _SAY_EVERY_SECONDS:
            said = time.monotonic()
            names = ", ".join(process.name for process in waiting)
            console.print(f"  still waiting after {said - started:.0f} s for {names}")
            for process in waiting:
                console.print(f"    {process.name}: {manager.log_tail(process.name, 1)}")

    console.print(f"Starting {len(plan.processes)} processes")
    for process in wait_until_ready(plan, manager.failure, say):
        seconds = time.monotonic() - started
        console.print(f"  {process.name:<36} {process.address:<34} ready after {seconds:.1f} s")
    console.print(f"All ready after {time.monotonic() - started:.0f} s.")


def _keep(manager: StackManager) -> None:
    """Wait for Ctrl-C; restart the process manager if it dies, at growing intervals."""
    pause = 1.0
    while True:
        time.sleep(pause)
        if why := manager.restart_if_dead():
            pause = min(2 * pause, _RESTART_MOST_SECONDS)
            with contextlib.suppress(OSError):  # where this goes to a file on a full disk
                console.print(f"{why}\nIt was started again.", markup=False)
        else:
            pause = 1.0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
