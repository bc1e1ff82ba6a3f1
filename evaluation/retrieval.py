"""A model's figures on the photos of a manifest: exact search over its own embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from encoder_service.settings import EncoderSettings
from evaluation.embeddings import Progress, embeddings
from evaluation.metrics import RetrievalResult, evaluate
from evaluation.photos import LabelledPhoto


def evaluate_model(
    model: str,
    gallery: Sequence[LabelledPhoto],
    queries: Sequence[LabelledPhoto],
    settings: EncoderSettings,
    progress: Progress | None = None,
) -> RetrievalResult:
    """Return how well `queries` find the photos of their landmarks in `gallery`.

    A query that is in the gallery too is not compared with itself (leave-one-out).

    Raises as `embeddings` and `metrics.evaluate_rankings`.
    """
    rows = embeddings(model, [*gallery, *queries], settings, progress)
    return evaluate(
        rows[: len(gallery)],
        [photo.landmark for photo in gallery],
        rows[len(gallery) :],
        [photo.landmark for photo in queries],
        left_out=own_places(gallery, queries),
    )


def own_places(
    gallery: Sequence[LabelledPhoto], queries: Sequence[LabelledPhoto]
) -> list[tuple[int, ...]]:
    """Return for each query where it is in the gallery itself, if it is.

    It is the file that counts, not its bytes: a copy under another name is another photo, as it is
    in the running system.
    """
    places = {photo.path: (place,) for place, photo in enumerate(gallery)}
    return [places.get(photo.path, ()) for photo in queries]
