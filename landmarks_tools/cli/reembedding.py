"""Which galleries should be made again, as their encoder is of an earlier revision."""

from __future__ import annotations

from collections.abc import Iterable

from landmarkapi.indexing.v1 import indexing_pb2 as indexing
from landmarkapi.search.v1 import search_pb2 as search


def offers(
    collections: Iterable[indexing.Collection], models: Iterable[search.ServedModel]
) -> list[str]:
    """Return a sentence for each live collection of a digest that is replaced or not served.

    Where no encoder of a model is ready, nothing is known of its collections, and nothing is said.
    """
    served = {(one.name, one.digest): one.superseded_by for one in models if one.ready}
    ready = {name for name, _ in served}
    return [
        f"{one.name}: {reason}. `landmarks reindex {one.model} -g {one.gallery}` makes it again,"
        " while it is searched"
        for one in collections
        if one.live and one.model in ready and (reason := _reason(one, served))
    ]


def _reason(collection: indexing.Collection, served: dict[tuple[str, str], str]) -> str:
    newer = served.get((collection.model, collection.digest))
    if newer is None:
        return (
            f"no encoder has its digest {collection.digest[:8]}, so photos are not searched in it"
        )
    return "an earlier revision of its model, which a later release will not serve" if newer else ""
