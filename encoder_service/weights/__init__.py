"""The encoders' weights: shipped with the program, or fetched once into the user's cache."""

from encoder_service.weights.fetch import DownloadProgress
from encoder_service.weights.store import (
    WeightsStatus,
    available_models,
    ensure_weights,
    load_weights,
    weights_status,
)

__all__ = [
    "DownloadProgress",
    "WeightsStatus",
    "available_models",
    "ensure_weights",
    "load_weights",
    "weights_status",
]
