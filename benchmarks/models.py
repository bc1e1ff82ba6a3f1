"""The one way by which the benchmarks come by a model's ONNX file."""

from __future__ import annotations

from benchmarks.harness import CannotMeasureError
from encoder_service.loader import load_encoder
from encoder_service.onnx_cache import PreparedModel, read_prepared_model
from encoder_service.settings import EncoderSettings


def onnx_of(model: str) -> PreparedModel:
    """Return the prepared model that the service serves; it is made if it is not there.

    Raises CannotMeasureError where it cannot be kept.
    """
    settings = EncoderSettings.load({"runtime": "onnxruntime"})
    prepared = read_prepared_model(model, settings)
    if prepared is None:
        load_encoder(model, settings)
        prepared = read_prepared_model(model, settings)
    if prepared is None:
        raise CannotMeasureError(f"the ONNX file of {model} cannot be kept in the cache")
    return prepared
