"""Health: SERVING while Qdrant and at least one encoder answer, and by collection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import Gauge

from landmarks.encoders.directory_aio import AsyncEncoderDirectory
from landmarks.errors import LandmarksError
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.rpc.server import NOT_SERVING, SERVICE_UNKNOWN, SERVING, HealthServicer
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import CollectionState

_log = structlog.get_logger(__name__)

_CHECK_SECONDS = 2.0
# Less often: each collection is asked.
_COLLECTIONS_SECONDS = 10.0

_unsafe_layouts = Gauge(
    "landmarks_collection_unsafe_layout",
    "1 for a collection whose copies can differ for good; others are not there.",
    ["collection"],
)


class HealthWatch:
    """Sets the health of `services` by checking every `every_seconds`."""

    def __init__(
        self,
        health: HealthServicer,
        services: Sequence[str],
        store: SearchStore,
        encoders: AsyncEncoderDirectory,
        checks: CopyChecks,
        every_seconds: float,
    ) -> None:
        self._health = health
        self._services = services
        self._store = store
        self._checks = checks
        self._collections_at = 0.0
        self._known: frozenset[str] = frozenset()
        self._differing: set[str] = set()
        self._encoders = encoders
        self._every_seconds = every_seconds
        self._last: str | None = None

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            try:
                await self.check()
            except Exception as error:  # noqa: BLE001 - a dead watch would leave SERVING set
                _log.error("the health check failed", exc_info=error)
            await asyncio.sleep(self._every_seconds)

    async def check(self) -> None:
        """Check once and set the health."""
        await self._collections()
        reasons = await asyncio.gather(self._qdrant(), self._encoder())
        reason = "; ".join(filter(None, reasons))
        for service in self._services:
            await self._health.set(service, NOT_SERVING if reason else SERVING)
        if reason != self._last:
            if reason:
                _log.warning("not serving", reason=reason)
            else:
                _log.info("serving")
        self._last = reason

    async def _qdrant(self) -> str:
        """Return why Qdrant cannot be used, or an empty string."""
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._store.ping()
        except TimeoutError:
            return "Qdrant does not answer in time"
        except LandmarksError as error:
            return str(error)
        return ""

    async def _collections(self) -> None:
        """Set the health of each collection by its name.

        NOT_SERVING: it is damaged, or its copies differ.
        """
        if time.monotonic() < self._collections_at:
            return
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                states = {one.lineage.name: one for one in await self._store.states()}
        except (TimeoutError, LandmarksError):
            return  # that Qdrant is away is the health of the whole
        self._collections_at = time.monotonic() + _COLLECTIONS_SECONDS
        await self._compared()
        for name, state in states.items():
            well = state.status != "red" and name not in self._differing
            await self._health.set(name, SERVING if well else NOT_SERVING, listed=False)
        self._show_layouts(states)
        for name in self._known - states.keys():  # dropped
            await self._health.set(name, SERVICE_UNKNOWN, listed=False)
        self._known = frozenset(states)

    def _show_layouts(self, states: Mapping[str, CollectionState]) -> None:
        for name, state in states.items():
            _unsafe_layouts.labels(name).set(bool(state.unsafe_layout))
        for name in self._known - states.keys():
            _unsafe_layouts.remove(name)

    async def _compared(self) -> None:
        """Read which collections' copies differed when they were last compared."""
        try:
            checks = await asyncio.to_thread(self._checks.all)
        except LandmarksError:
            return  # Redis is away; what was known of copies still holds
        self._differing = {name for name, check in checks.items() if not check.agree}

    async def _encoder(self) -> str:
        """Return why no encoder can be used, or an empty string."""
        targets = self._encoders.targets
        if not targets:
            return "no encoder is configured; set LANDMARKS_ENCODERS"
        reasons = await asyncio.gather(*(self._not_ready(*one) for one in targets))
        return "" if "" in reasons else "; ".join(reasons)

    async def _not_ready(self, model: str, target: str) -> str:
        try:
            description = (await self._encoders.describe(model, target, _CHECK_SECONDS)).model
        except LandmarksError as error:
            return str(error)
        if description.ready:
            return ""
        return f"{model} at {target} is not ready {description.failure}".strip()
