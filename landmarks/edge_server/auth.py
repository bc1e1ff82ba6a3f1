"""The embedded server's admission: one key, checked as Qdrant checks its own."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from grpc_health.v1 import health_pb2
from pydantic import SecretStr

from landmarks.errors import UnauthenticatedError
from landmarks.rpc.auth_interceptor import bearer_of
from landmarks.security.caller import ANYBODY, Caller

_OPEN = f"/{health_pb2.DESCRIPTOR.services_by_name['Health'].full_name}/"
# Qdrant's own name for it; a bearer token is accepted as well, there and here.
_HEADER = "api-key"


class SingleKeyPolicy:
    """Admits calls with the key; the health service answers everybody."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    def admit(self, method: str, sent: Mapping[str, str | bytes]) -> Caller:
        """Return a caller without a name (see `landmarks.rpc.auth_interceptor.AdmissionPolicy`)."""
        presented = sent.get(_HEADER) or bearer_of(sent)
        given = presented if isinstance(presented, bytes) else presented.encode()
        if not method.startswith(_OPEN) and not hmac.compare_digest(given, self._key):
            raise UnauthenticatedError("Qdrant requires its API key")
        return ANYBODY

    def count(self, method: str, request: object, caller: Caller, peer: str) -> None:
        """Count nothing."""
