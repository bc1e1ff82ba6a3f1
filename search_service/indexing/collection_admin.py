"""Operators' changes: delete points; promote, roll back and drop collections."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.errors import InvalidInputError, NotFoundError, UnavailableError
from landmarks.job_store.maps import MapStore
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.store import JobStore
from landmarks.naming import check_gallery, check_model, parse_alias_name
from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.filters import Filter, fitted
from landmarks.vector_store.source_points import uri_of_source
from landmarks.vector_store.store import VectorStore
from search_service.indexing.messages import collection_message
from search_service.indexing.recorded_deletion import RecordedDeletion
from search_service.search.parse_filter import parse_filter
from search_service.search.parse_request import parse_point_id

_log = structlog.get_logger(__name__)

_MAX_IDS = 10_000


class CollectionAdmin:
    """The methods of IndexingService that change collections; they block."""

    def __init__(
        self, store: VectorStore, jobs: JobStore, maps: MapStore, open_writes: OpenWrites
    ) -> None:
        self._collections = store.collections
        self._points = store.points
        self._writes = store.writes
        self._jobs = jobs
        self._maps = maps
        self._open_writes = open_writes

    def live_collection(self, gallery: str, model: str) -> Lineage:
        """Return a model's live collection; raises NotFoundError if the gallery has none."""
        return self._collections.live(gallery, model)

    def collection(self, name: str) -> Lineage:
        """Return a collection by its name, or the live one by `<gallery>__<model>`.

        Raises NotFoundError, or InvalidInputError for a name that is neither.
        """
        alias = parse_alias_name(name)
        return self._collections.live(*alias) if alias else self._collections.own(name)

    def live_models(self, gallery: str) -> set[str]:
        """Return the models a gallery is indexed with; raises NotFoundError if there are none."""
        states = self._collections.states(gallery)
        models = {one.lineage.model for one in states if one.live}
        if not models:
            raise NotFoundError(
                f"gallery {gallery!r} does not exist; create it with"
                f" `landmarks index SOURCE --gallery {gallery}`"
            )
        return models

    def uri_of_source(self, gallery: str, source: str) -> str | None:
        """Return the uri of some point of a source in a gallery; None if there is none."""
        return uri_of_source(self._collections, self._points, gallery, source)

    def delete_points(self, request: pb.DeletePointsRequest) -> pb.DeletePointsResponse:
        """Delete points in all collections of a gallery, or in those of the given models.

        Raises UnavailableError if Qdrant has not confirmed all of it; it says what happens then.
        """
        answer = pb.DeletePointsResponse()
        names = self._selected_collections(request)
        generation = self._jobs.next_generation()
        failures: list[UnavailableError] = []
        for name in names:
            try:
                deleted = self._delete(name, generation, request)
            except UnavailableError as error:  # the other collections are deleted from all the same
                failures.append(error)
            else:
                answer.deleted.add(collection=name, points=deleted)
        if failures:
            raise UnavailableError("; ".join(map(str, failures))) from failures[0]
        return answer

    def count_points(self, request: pb.DeletePointsRequest) -> pb.CountPointsResponse:
        """Count the points that `delete_points` would delete."""
        answer = pb.CountPointsResponse()
        for name in self._selected_collections(request):
            answer.counts.add(collection=name, points=self._count(name, request))
        return answer

    def _selected_collections(self, request: pb.DeletePointsRequest) -> list[str]:
        """Return the collections of a selection; raises if it cannot be used in all of them."""
        _check_selection(request)
        names = self._collection_names(request.gallery, request.models)
        if request.WhichOneof("points") == "filter":
            for name in names:
                self._filter(name, request)
        return names

    def _filter(self, name: str, request: pb.DeletePointsRequest) -> Filter:
        return fitted(parse_filter(request.filter), self._collections.kinds(name), name)

    def promote(self, name: str) -> pb.PromoteCollectionResponse:
        """Make a collection live."""
        previous = self._collections.promote(name)
        return pb.PromoteCollectionResponse(live=self._state(name), previous=previous or "")

    def roll_back(self, gallery: str, model: str, leaving: str) -> pb.RollbackCollectionResponse:
        """Make the previously live collection live again."""
        previous = self._collections.roll_back(check_gallery(gallery), check_model(model), leaving)
        live = self._collections.live(gallery, model).name
        return pb.RollbackCollectionResponse(live=self._state(live), previous=previous)

    def drop(self, name: str, *, live_too: bool) -> pb.DropCollectionResponse:
        """Delete a collection."""
        self._drop(name, live_too=live_too)
        return pb.DropCollectionResponse()

    def drop_gallery(self, gallery: str, *, dry_run: bool) -> pb.DropGalleryResponse:
        """Delete all collections of a gallery, or say what would be deleted."""
        states = self._collections.states(check_gallery(gallery))
        if not states:
            raise NotFoundError(f"gallery {gallery!r} does not exist")
        answer = pb.DropGalleryResponse()
        for state in sorted(states, key=lambda one: one.live):  # those that are searched, last
            answer.deleted.add(collection=state.lineage.name, points=state.points)
            if not dry_run:
                self._drop(state.lineage.name, live_too=True)
        return answer

    def _drop(self, name: str, *, live_too: bool) -> None:
        self._collections.drop(name, live_too=live_too)
        try:
            self._maps.drop(name)
        except UnavailableError as error:  # the collection itself is dropped
            _log.warning(
                "the map of a dropped collection was not deleted", name=name, reason=str(error)
            )

    def _collection_names(self, gallery: str, models: Sequence[str]) -> list[str]:
        found = [state.lineage for state in self._collections.states(check_gallery(gallery))]
        if not found:
            raise NotFoundError(f"gallery {gallery!r} does not exist")
        for model in models:
            if not any(one.model == check_model(model) for one in found):
                raise NotFoundError(f"gallery {gallery!r} has no collection of {model!r}")
        return [one.name for one in found if not models or one.model in models]

    def _delete(self, name: str, generation: int, request: pb.DeletePointsRequest) -> int:
        """Delete the points of a selection, and return how many there were."""
        deletion = RecordedDeletion(self._writes, self._open_writes, name, generation)
        deletion.complete_earlier()
        match request.WhichOneof("points"):
            case "ids":
                count = self._count(name, request)
                deletion.delete(_uuids(request.ids.ids))
            case "filter":
                chosen = self._filter(name, request)
                count = self._writes.delete_where(name, generation, chosen, deletion.delete)
            case _:
                source = request.source
                count = self._writes.delete_source(
                    name, generation, source.name, source.path_prefix, deletion.delete
                )
        deletion.check()
        return count

    def _count(self, name: str, request: pb.DeletePointsRequest) -> int:
        match request.WhichOneof("points"):
            case "ids":
                return len(self._points.payloads(name, _uuids(request.ids.ids)))
            case "filter":
                return self._points.count(name, self._filter(name, request))
            case _:
                source = request.source
                return self._points.count_source(name, source.name, source.path_prefix)

    def _state(self, name: str) -> pb.Collection:
        gallery = self._collections.lineage(name).gallery
        [state] = [s for s in self._collections.states(gallery) if s.lineage.name == name]
        return collection_message(state)


def _check_selection(request: pb.DeletePointsRequest) -> None:
    """Raise InvalidInputError if a request selects no points, or all of them by accident."""
    match request.WhichOneof("points"):
        case "ids":
            _uuids(request.ids.ids)
        case "filter":
            if not parse_filter(request.filter):
                raise InvalidInputError(
                    "the filter has no condition, so it would delete every point; to do that,"
                    " drop the collection or the gallery",
                    field="filter",
                )
        case "source":
            if not request.source.name:
                raise InvalidInputError("the source has no name", field="source.name")
        case _:
            raise InvalidInputError(
                "no points are selected: give ids, a filter or a source", field="points"
            )


def _uuids(ids: Sequence[str]) -> list[UUID]:
    if not 1 <= len(ids) <= _MAX_IDS:
        raise InvalidInputError(
            f"{len(ids)} ids given; 1 to {_MAX_IDS} are allowed", field="ids.ids"
        )
    return [parse_point_id(one, "ids.ids") for one in ids]
