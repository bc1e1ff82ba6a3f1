"""The page over a real stack: Qdrant, a search service, and a gallery whose photos are files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from landmarks.vector_store.settings import VectorStoreSettings
from search_service.server import running
from search_service.settings import SearchSettings
from tests.support.search_encoder import MODELS, ColourEncoder


@dataclass(frozen=True)
class Page:
    """A page that is served, and how to ask it as its own scripts do."""

    port: int
    http: aiohttp.ClientSession
    encoders: dict[str, ColourEncoder]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def search(self, asked: str, photo: bytes | None = None) -> aiohttp.ClientResponse:
        """Send the form of a search."""
        form = aiohttp.FormData()
        form.add_field("asked", asked, content_type="application/json")
        if photo is not None:
            form.add_field("photo", photo, filename="photo", content_type="image/png")
        return await self.http.post("/api/search", data=form, headers={"Origin": self.origin})

    async def post(self, path: str, asked: object, **headers: str) -> aiohttp.ClientResponse:
        """Post JSON."""
        return await self.http.post(path, json=asked, headers={"Origin": self.origin, **headers})


@asynccontextmanager
async def page_running(
    qdrant: VectorStoreSettings, roots: list[Path], **more: object
) -> AsyncIterator[Page]:
    """Run a search service with a page over a Qdrant."""
    encoders = {model: ColourEncoder(model) for model in MODELS}
    for encoder in encoders.values():
        await encoder.start()
    settings = SearchSettings.load(
        {
            "qdrant_port": qdrant.qdrant_port,
            "encoders": {model: [encoder.target] for model, encoder in encoders.items()},
            "search_port": 0,
            "page_port": 0,
            "source_roots": [str(root) for root in roots],
            **more,
        }
    )
    try:
        async with running(settings) as service:
            assert service.page_port is not None
            # The jar of a browser keeps cookies of addresses too.
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{service.page_port}", cookie_jar=aiohttp.CookieJar(unsafe=True)
            ) as http:
                yield Page(service.page_port, http, encoders)
    finally:
        for encoder in encoders.values():
            await encoder.stop()
