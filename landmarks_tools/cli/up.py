"""`landmarks up`: the whole stack on this machine until Ctrl-C."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from landmarks.client import DEFAULT_TARGET
from landmarks.errors import InvalidInputError, LandmarksError
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import ModelsOption, comma_separated, console
from landmarks_tools.cli.weights import models_with_weights
from landmarks_tools.local_stack.broker import broker_binary
from landmarks_tools.local_stack.manager import StackManager
from landmarks_tools.local_stack.plan import StackPlan, plan_stack
from landmarks_tools.local_stack.settings import StackSettings

_READY_SECONDS = 180.0


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
    names = models_with_weights(comma_separated(models), settings)
    plan = plan_stack(names, counts, settings, binary, beside=others)
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
            _keep(manager)
    except KeyboardInterrupt:
        console.print("stopped; indexed photos are kept")


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
    """Print each process and its address as it becomes ready.

    Raises LandmarksError with the last log lines of each process that did not.
    """
    from landmarks_tools.local_stack.readiness import wait_until_ready

    plan: StackPlan = manager.plan
    started = time.monotonic()
    console.print(f"Starting {len(plan.processes)} processes")
    waiting = {process.name: process for process in plan.processes}
    for process in wait_until_ready(plan, _READY_SECONDS):
        del waiting[process.name]
        seconds = time.monotonic() - started
        console.print(f"  {process.name:<36} {process.address:<34} ready after {seconds:.1f} s")
    if waiting:
        words = "\n".join(f"{name}:\n{manager.log_tail(name)}" for name in waiting)
        raise LandmarksError(
            f"not ready after {_READY_SECONDS:.0f} s: {', '.join(waiting)}."
            f" Their last log lines:\n{words}"
        )
    console.print(f"All ready after {time.monotonic() - started:.0f} s.")


def _keep(manager: StackManager) -> None:
    """Wait for Ctrl-C; restart the process manager if it dies."""
    while True:
        time.sleep(1)
        if manager.restart_if_dead():
            console.print("the process manager died and was restarted")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
