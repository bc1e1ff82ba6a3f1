"""A model's name to an encoder that is ready to run."""

from __future__ import annotations

from encoder_service.models.registry import definition_of
from encoder_service.runtime import RuntimeEncoder, TorchRuntime
from encoder_service.settings import EncoderSettings
from encoder_service.weights import Progress, load_weights


def load_encoder(
    name: str, settings: EncoderSettings, progress: Progress | None = None
) -> RuntimeEncoder:
    """Return the encoder `name`, its weights fetched if need be. Takes seconds; blocks.

    Raises NotFoundError where there is no such model, and as `weights.ensure_weights`.
    """
    definition = definition_of(name, settings.trained_models)
    tensors = load_weights(name, settings, progress)
    runtime = TorchRuntime(definition.build(tensors), settings.device, settings.inference_threads)
    return RuntimeEncoder(definition, tensors, runtime)
