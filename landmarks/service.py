"""Running a service as a process: settings, logs, telemetry and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

from landmarks.errors import ConfigurationError
from landmarks.observability.logging import configure_logging
from landmarks.observability.telemetry import telemetry
from landmarks.settings import Settings

# A restart does not help until someone has changed the configuration.
EXIT_CONFIGURATION = 2

ServiceSettings = TypeVar("ServiceSettings", bound=Settings)


def run_service(
    name: str,
    kind: type[ServiceSettings],
    serve: Callable[[ServiceSettings], None],
    *,
    is_ready: Callable[[ServiceSettings], bool] | None = None,
    with_telemetry: bool = True,
) -> int:
    """Run `serve` with the settings of the environment until it ends; return the exit status.

    A ConfigurationError is printed as one line on standard error, and the status is 2.
    `is_ready` answers the health check beside the metrics. A `serve` that forks first enters
    `telemetry` itself.
    """
    try:
        settings = kind.load()
        configure_logging(settings, name)
        ask = None if is_ready is None else partial(is_ready, settings)
        with telemetry(settings, name, ask) if with_telemetry else nullcontext():
            serve(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_CONFIGURATION
    return 0
