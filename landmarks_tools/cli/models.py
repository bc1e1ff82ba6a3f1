"""`landmarks models` and `landmarks weights`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import JsonOption, ServerOption, print_json, print_table
from landmarks_tools.cli.setup import fetch_weights, registered_models


def models(server: ServerOption = DEFAULT_TARGET, as_json: JsonOption = False) -> None:
    """List the models that the running system can index and search with."""
    with connect(server) as client:
        served = list(client.models())
    if as_json:
        print_json(served)
        return
    rows = [
        (
            model.name,
            "ready" if model.ready else f"not ready: {model.reason}",
            str(model.dimension or "–"),
            model.digest[:8] or "–",
            model.layer or "–",
            model.target,
        )
        for model in served
    ]
    columns = ("model", "state", ">dimension", "digest", "vector read from", "served at")
    print_table(columns, rows)


@requires_extra("encoder")
def weights(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="Fetch and verify this model's weights.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show where each model's weights are; with MODEL, fetch and verify them."""
    from encoder_service.settings import WeightsSettings
    from encoder_service.weights import weights_status

    settings = WeightsSettings.load()
    if model:
        fetch_weights(model, settings, quiet=as_json)
    found = [weights_status(name, settings) for name in ([model] if model else registered_models())]
    if as_json:
        print_json([{**asdict(item), "path": str(item.path or "")} for item in found])
        return
    rows = [
        (
            item.model,
            item.where,
            "yes" if item.verified else "no",
            f"{item.bytes / 1e6:.1f}",
            str(item.path or item.source),
        )
        for item in found
    ]
    print_table(("model", "weights", "verified", ">MB", "where"), rows)
