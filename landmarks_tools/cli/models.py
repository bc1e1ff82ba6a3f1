"""`landmarks models`: the models that the running system serves."""

from __future__ import annotations

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import DEFAULT_TARGET
from landmarks_tools.cli.connection import connect
from landmarks_tools.cli.output import JsonOption, ServerOption, print_json, print_table


def models(server: ServerOption = DEFAULT_TARGET, as_json: JsonOption = False) -> None:
    """List the models that the running system serves."""
    with connect(server) as client:
        served = list(client.models())
    if as_json:
        print_json(served)
        return
    rows = [
        (
            model.name,
            _state(model),
            str(model.dimension or "–"),
            model.digest[:8] or "–",
            model.layer or "–",
            model.target,
        )
        for model in served
    ]
    columns = ("model", "state", ">dimension", "digest", "vector read from", "served at")
    print_table(columns, rows)


def _state(model: pb.ServedModel) -> str:
    if not model.ready:
        return f"not ready: {model.reason}"
    return f"ready; replaced by {model.superseded_by[:8]}" if model.superseded_by else "ready"
