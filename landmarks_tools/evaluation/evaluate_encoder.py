"""Retrieval figures of a model by exact search over its embeddings, without services."""

from __future__ import annotations

from encoder_service.settings import EncoderSettings
from landmarks.retrieval.labelled_photos import GalleryAndQueries
from landmarks.retrieval.metrics import RetrievalResult, evaluate
from landmarks_tools.evaluation.embeddings import Progress, embeddings


def evaluate_model(
    model: str,
    photos: GalleryAndQueries,
    settings: EncoderSettings,
    progress: Progress | None = None,
) -> RetrievalResult:
    """Return how well the queries find the photos of their landmarks in the gallery.

    A query that is also in the gallery is not compared with itself (leave-one-out).

    Raises as `embeddings` and `metrics.evaluate_rankings`.
    """
    gallery, queries = photos.gallery, photos.queries
    rows = embeddings(model, [*gallery, *queries], settings, progress)
    return evaluate(
        rows[: len(gallery)],
        [photo.landmark for photo in gallery],
        rows[len(gallery) :],
        [photo.landmark for photo in queries],
        left_out=photos.own_places,
    )
