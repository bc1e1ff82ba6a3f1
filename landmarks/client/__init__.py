"""Python clients of the search service, for threads and for an event loop.

with Landmarks("127.0.0.1:50050") as landmarks:
    answer = landmarks.search(photo=Path("atomium.jpg").read_bytes(), gallery="sample")

async with AsyncLandmarks("127.0.0.1:50050") as landmarks:
    answer = await landmarks.search(photo=photo, gallery="sample")

Both have the same methods; `docs/clients.md` shows them. `calls` builds the requests for both.
Pass `api_key` and `tls` if the service requires them (`docs/security.md`).
"""

from landmarks.client.aio import AsyncLandmarks
from landmarks.client.retry import DEFAULT_TARGET
from landmarks.client.search_request import Search
from landmarks.client.sync import Landmarks
from landmarks.photos.box import Box
from landmarks.security.tls import Tls

__all__ = ["DEFAULT_TARGET", "AsyncLandmarks", "Box", "Landmarks", "Search", "Tls"]
