"""Authorization and rate limits: which key may call which method, and how often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from landmarkapi.indexing.v1 import indexing_pb2
from landmarkapi.search.v1 import search_pb2
from landmarks.errors import ForbiddenError, RateLimitedError
from landmarks.rpc.auth_interceptor import bearer_of
from landmarks.security.api_keys import KeyRing, Permission
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
        "ReindexCollection": WRITE,
        "PromoteCollection": WRITE,
        "RollbackCollection": WRITE,
        "CalibrateGallery": WRITE,
        "DrawMap": WRITE,
        "GetMap": READ,
        "DropCollection": WRITE,
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

    def authenticate(self, presented: str) -> tuple[str, Permission]:
        """Return a key's name and permission; raises UnauthenticatedError.

        If no keys are required, the name is empty and everybody may write.
        """
        if self._keys is None:
            return "", WRITE
        found = self._keys.find(presented)
        return found.name, found.permission

    def admit(self, method: str, sent: Mapping[str, str | bytes]) -> str:
        """Return the caller's name; see `AdmissionPolicy`."""
        needed = required_permission(method)
        if needed is None:
            return ""
        name, permission = self.authenticate(bearer_of(sent))
        if not permission.allows(needed):
            raise ForbiddenError(
                f"the key {name!r} may only read, and {method.rpartition('/')[2]} writes;"
                " use a key made with `landmarks keys create NAME --write`"
            )
        return name

    def count(self, method: str, request: object, client: str, peer: str) -> None:
        """Count a call, a batch as its searches; see `AdmissionPolicy`."""
        if required_permission(method) is None or peer.startswith(_PAGE_PEER):
            return
        cost = len(request.searches) if isinstance(request, search_pb2.BatchSearchRequest) else 1
        self.limit_rate(client or client_of_peer(peer), max(1, cost))

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
