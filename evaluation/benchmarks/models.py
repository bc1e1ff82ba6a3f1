"""The one way by which the benchmarks come by a model's ONNX file."""

from __future__ import annotations

from encoder_service.loading import load_encoder
from encoder_service.prepared import Prepared, read_prepared
from encoder_service.settings import EncoderSettings
from evaluation.benchmarks.harness import CannotMeasureError


def onnx_of(model: str) -> Prepared:
    """Return the prepared model that the service serves; it is made if it is not there.

    Raises CannotMeasureError where it cannot be kept.
    """
    settings = EncoderSettings.load({"runtime": "onnxruntime"})
    prepared = read_prepared(model, settings)
    if prepared is None:
        load_encoder(model, settings)
        prepared = read_prepared(model, settings)
    if prepared is None:
        raise CannotMeasureError(f"the ONNX file of {model} cannot be kept in the cache")
    return prepared
