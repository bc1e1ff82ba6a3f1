"""The Collections service, and Qdrant's own health check."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message
from qdrant_client import grpc as q

from landmarks.edge_server.catalog import Catalog
from landmarks.edge_server.engine import Engine, not_found
from landmarks.edge_server.services.registration import Handler
from landmarks.edge_server.supported_fields import refuse_unsupported
from landmarks.errors import InvalidInputError, NotFoundError

_Request = TypeVar("_Request", bound=Message)

# The protocol that is spoken, as a Qdrant server reports its version.
PROTOCOL_VERSION = "1.17.0"


class CollectionsService:
    """Lists and changes collections and aliases."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handlers(self) -> dict[str, Handler]:
        """Return the methods that are served."""
        return {
            "Create": typed(q.CreateCollection, self._create),
            "Get": typed(q.GetCollectionInfoRequest, self._get),
            "List": typed(q.ListCollectionsRequest, self._list),
            "Update": typed(q.UpdateCollection, self._update),
            "Delete": typed(q.DeleteCollection, self._delete),
            "CollectionExists": typed(q.CollectionExistsRequest, self._exists),
            "UpdateAliases": typed(q.ChangeAliases, self._update_aliases),
            "ListAliases": typed(q.ListAliasesRequest, self._list_aliases),
            "CollectionClusterInfo": typed(q.CollectionClusterInfoRequest, self._cluster_info),
            "ListCollectionAliases": typed(
                q.ListCollectionAliasesRequest, self._list_collection_aliases
            ),
        }

    async def _create(self, request: q.CreateCollection) -> Message:
        await self._engine.create(request)
        return q.CollectionOperationResponse(result=True)

    async def _get(self, request: q.GetCollectionInfoRequest) -> Message:
        info = await self._engine.collection(request.collection_name).info()
        return q.GetCollectionInfoResponse(result=info)

    async def _list(self, _request: q.ListCollectionsRequest) -> Message:
        return q.ListCollectionsResponse(
            collections=[
                q.CollectionDescription(name=name) for name in self._engine.catalog.collections
            ]
        )

    async def _update(self, request: q.UpdateCollection) -> Message:
        await self._engine.update(request.collection_name, request)
        return q.CollectionOperationResponse(result=True)

    async def _delete(self, request: q.DeleteCollection) -> Message:
        deleted = await self._engine.delete(request.collection_name)
        return q.CollectionOperationResponse(result=deleted)

    async def _exists(self, request: q.CollectionExistsRequest) -> Message:
        found = self._engine.catalog.resolve(request.collection_name) is not None
        return q.CollectionExistsResponse(result=q.CollectionExists(exists=found))

    async def _cluster_info(self, request: q.CollectionClusterInfoRequest) -> Message:
        info = await self._engine.collection(request.collection_name).info()
        shard = q.LocalShardInfo(points_count=info.points_count, state=q.ReplicaState.Active)
        return q.CollectionClusterInfoResponse(shard_count=1, local_shards=[shard])

    async def _update_aliases(self, request: q.ChangeAliases) -> Message:
        await self._engine.change_aliases(lambda catalog: changed_aliases(catalog, request))
        return q.CollectionOperationResponse(result=True)

    async def _list_aliases(self, _request: q.ListAliasesRequest) -> Message:
        return _aliases(self._engine.catalog.aliases)

    async def _list_collection_aliases(self, request: q.ListCollectionAliasesRequest) -> Message:
        wanted = request.collection_name
        if wanted not in self._engine.catalog.collections:
            raise not_found(wanted)
        return _aliases(
            {alias: to for alias, to in self._engine.catalog.aliases.items() if to == wanted}
        )


def changed_aliases(catalog: Catalog, request: q.ChangeAliases) -> dict[str, str]:
    """Return the aliases after all actions of a request, in order.

    Raises NotFoundError for a collection or alias that does not exist, InvalidInputError for an
    alias with the name of a collection; then nothing is changed.
    """
    aliases = dict(catalog.aliases)
    for action in request.actions:
        match action.WhichOneof("action"):
            case "create_alias":
                create = action.create_alias
                if create.collection_name not in catalog.collections:
                    raise not_found(create.collection_name)
                _check_alias(create.alias_name, catalog)
                aliases[create.alias_name] = create.collection_name
            case "rename_alias":
                rename = action.rename_alias
                if rename.old_alias_name not in aliases:
                    raise NotFoundError(
                        f"Not found: Alias {rename.old_alias_name} does not exists!"
                    )
                _check_alias(rename.new_alias_name, catalog)
                aliases[rename.new_alias_name] = aliases.pop(rename.old_alias_name)
            case "delete_alias":
                aliases.pop(action.delete_alias.alias_name, None)
            case _:
                raise InvalidInputError("an alias action is empty", field="actions")
    return aliases


async def health_check(_request: q.HealthCheckRequest) -> Message:
    """Answer Qdrant's own health check."""
    return q.HealthCheckReply(title="landmarks embedded vector store", version=PROTOCOL_VERSION)


def typed(kind: type[_Request], handler: Callable[[_Request], Awaitable[Message]]) -> Handler:
    """Return a handler of bytes from a handler of messages; fields it would ignore are refused."""

    async def call(request: bytes) -> bytes:
        started = time.perf_counter()
        message = kind.FromString(request)
        refuse_unsupported(message)
        answer = await handler(message)
        if "time" in answer.DESCRIPTOR.fields_by_name:
            setattr(answer, "time", time.perf_counter() - started)  # noqa: B010 - of any answer
        return answer.SerializeToString()

    return call


def _check_alias(alias: str, catalog: Catalog) -> None:
    if not alias or alias in catalog.collections:
        raise InvalidInputError(
            f"Wrong input: {alias!r} cannot be an alias: it is empty or a collection's name",
            field="alias_name",
        )


def _aliases(aliases: Mapping[str, str]) -> q.ListAliasesResponse:
    return q.ListAliasesResponse(
        aliases=[
            q.AliasDescription(alias_name=alias, collection_name=to)
            for alias, to in aliases.items()
        ]
    )
