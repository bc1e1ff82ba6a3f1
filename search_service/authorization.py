"""Authorization and rate limits: which key may call which method, for what, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2
from landmarks.errors import ForbiddenError, RateLimitedError
from landmarks.naming import parse_alias_name, parse_collection_name
from landmarks.rpc.auth_interceptor import bearer_of
from landmarks.security.api_keys import KeyRing, Permission
from landmarks.security.caller import ANYBODY, Caller
from landmarks.security.rate_limit import RateLimiter, client_of_peer
from landmarks.settings import ENV_PREFIX

READ, WRITE = Permission.READ, Permission.WRITE

# Every method of every service of the front door; a test compares. A method that is missing here
# requires WRITE. None: no key, and not counted, since probes have no key and no fixed rate.
REQUIRED_PERMISSIONS: dict[str, dict[str, Permission | None]] = {
    search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name: {
        "Search": READ,
        "BatchSearch": READ,
        "CountValues": READ,
        "GetPoint": READ,
        "ListModels": READ,
    },
    indexing_pb2.DESCRIPTOR.services_by_name["IndexingService"].full_name: {
        "CreateIndexJob": WRITE,
        "GetIndexJob": READ,
        "ListIndexJobs": READ,
        "WatchIndexJob": READ,
        "CancelIndexJob": WRITE,
        "ResumeIndexJob": WRITE,
        "ListDeadLetters": READ,
        "RetryDeadLetters": WRITE,
        "ListCollections": READ,
        "DeletePoints": WRITE,
        "CountPoints": READ,
        "ReindexCollection": WRITE,
        "PromoteCollection": WRITE,
        "RollbackCollection": WRITE,
        "CalibrateGallery": WRITE,
        "DrawMap": WRITE,
        "GetMap": READ,
        "CheckCopies": WRITE,
        "DropCollection": WRITE,
        "DropGallery": WRITE,
    },
    # Health reveals only whether the service serves.
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name: {
        "Check": None,
        "Watch": None,
        "List": None,
    },
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name: {
        "ServerReflectionInfo": READ,
    },
}


def _gallery(request: Any) -> Iterable[str]:  # noqa: ANN401 - one of the messages with a gallery
    return (request.gallery,)


def _gallery_of_collection(request: Any) -> Iterable[str]:  # noqa: ANN401 - of those with a name
    name = parse_collection_name(request.name)
    if name is not None:
        return (name.gallery,)
    alias = parse_alias_name(request.name)
    return (alias[0] if alias else request.name,)


def _no_gallery(_request: object) -> Iterable[str]:
    """Of methods that are about no gallery, or leave out of their answer what a key may not use.

    Those are the lists, and what is asked of a job: the servicer calls `present_caller`.
    """
    return ()


# The galleries that a request is about; a test compares. A key that is limited to galleries may
# not call a method that is missing here.
REQUESTED_GALLERIES: dict[str, Callable[[Any], Iterable[str]]] = {
    "Search": _gallery,
    "BatchSearch": lambda request: (one.gallery for one in request.searches),
    "CountValues": _gallery,
    "GetPoint": _gallery,
    "ListModels": _no_gallery,
    "CreateIndexJob": lambda request: (request.spec.gallery,),
    "GetIndexJob": _no_gallery,
    "ListIndexJobs": _no_gallery,
    "WatchIndexJob": _no_gallery,
    "CancelIndexJob": _no_gallery,
    "ResumeIndexJob": _no_gallery,
    "ListDeadLetters": _no_gallery,
    "RetryDeadLetters": _no_gallery,
    "ListCollections": _no_gallery,
    "DeletePoints": _gallery,
    "CountPoints": lambda request: (request.selection.gallery,),
    "ReindexCollection": _gallery,
    "PromoteCollection": _gallery_of_collection,
    "RollbackCollection": _gallery,
    "CalibrateGallery": _gallery,
    "DrawMap": _gallery,
    "GetMap": _gallery,
    "CheckCopies": _gallery_of_collection,
    "DropCollection": _gallery_of_collection,
    "DropGallery": _gallery,
    "ServerReflectionInfo": _no_gallery,
}
# How gRPC names the peer on the page's own socket.
_PAGE_PEER = "unix:"


def required_permission(method: str) -> Permission | None:
    """Return the permission to call /package.Service/Method; None: no key is needed."""
    service, _, name = method.lstrip("/").partition("/")
    return REQUIRED_PERMISSIONS.get(service, {}).get(name, WRITE)


class Authorizer:
    """Admits the keys of a file, or everybody if there is no file.

    Calls are counted by the key's name, else by address. The page's own gRPC calls were counted as
    HTTP requests; see `search_service.web.session`.
    """

    def __init__(self, keys: Path | None, rate: float, burst: float) -> None:
        self._keys = KeyRing(keys) if keys else None
        self._limiter = RateLimiter(rate, burst, time.monotonic) if rate else None

    @property
    def requires_keys(self) -> bool:
        """Whether callers need a key."""
        return self._keys is not None

    @property
    def is_open(self) -> bool:
        """Whether there is nothing to check: no keys and no rate limit."""
        return self._keys is None and self._limiter is None

    def authenticate(self, presented: str) -> Caller:
        """Return who has a key, and what it may do; raises UnauthenticatedError.

        If no keys are required, everybody may do everything.
        """
        if self._keys is None:
            return ANYBODY
        found = self._keys.find(presented)
        return Caller(found.name, found.permission, found.galleries)

    def admit(self, method: str, sent: Mapping[str, str | bytes]) -> Caller:
        """Return the caller; see `AdmissionPolicy`."""
        needed = required_permission(method)
        if needed is None:
            return ANYBODY
        caller = self.authenticate(bearer_of(sent))
        name = method.rpartition("/")[2]
        if not caller.permission.allows(needed):
            raise ForbiddenError(
                f"the key {caller.name!r} may only read, and {name} writes;"
                " use a key made with `landmarks keys create NAME --write`"
            )
        if caller.galleries and name not in REQUESTED_GALLERIES:
            raise ForbiddenError(
                f"the key {caller.name!r} is limited to galleries, and {name} is not; use a key"
                " made without --gallery"
            )
        return caller

    def count(self, method: str, request: object, caller: Caller, peer: str) -> None:
        """Check the galleries of a call, and count it, a batch as its searches.

        See `AdmissionPolicy`.
        """
        if required_permission(method) is None:
            return
        if caller.galleries:
            for gallery in REQUESTED_GALLERIES[method.rpartition("/")[2]](request):
                caller.check_gallery(gallery)
        if peer.startswith(_PAGE_PEER):
            return
        cost = len(request.searches) if isinstance(request, search_pb2.BatchSearchRequest) else 1
        self.limit_rate(caller.name or client_of_peer(peer), max(1, cost))

    def limit_rate(self, client: str, cost: float = 1) -> None:
        """Charge `cost` calls to a client; raises RateLimitedError."""
        if self._limiter is None:
            return
        try:
            self._limiter.take(client, cost)
        except RateLimitedError as error:
            raise RateLimitedError(
                f"{error}; wait, call less often, or raise {ENV_PREFIX}RATE_LIMIT",
                retry_after=error.retry_after,
            ) from error
