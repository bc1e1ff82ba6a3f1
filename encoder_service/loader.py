"""Loads a model by name into an encoder that is ready to run."""

from __future__ import annotations

import structlog

from encoder_service.execution_plan import ExecutionPlan, choose_plan, cpu_has_bfloat16
from encoder_service.models.registry import definition_of
from encoder_service.onnx_cache import export, read_prepared_model, write_prepared_model
from encoder_service.runtimes.base import Runtime, RuntimeEncoder
from encoder_service.runtimes.onnx import OnnxRuntime
from encoder_service.settings import EncoderSettings
from encoder_service.weights import DownloadProgress, load_weights

_log = structlog.get_logger(__name__)


def load_encoder(
    name: str, settings: EncoderSettings, progress: DownloadProgress | None = None
) -> RuntimeEncoder:
    """Return the encoder `name`; fetch its weights if necessary. Blocks for seconds.

    Raises NotFoundError for an unknown model, ConfigurationError where it cannot run with these
    settings, and as `weights.ensure_weights`.
    """
    prepared = read_prepared_model(name, settings)
    if prepared is not None:
        plan = _plan(settings, supports_bfloat16=prepared.supports_bfloat16)
        if plan.runtime == "onnxruntime":
            runtime: Runtime = OnnxRuntime(prepared.onnx, plan)
            return RuntimeEncoder(prepared.spec, prepared.preprocessing, runtime)
    definition = definition_of(name, settings.trained_models)
    plan = _plan(settings, supports_bfloat16=definition.bfloat16)
    tensors = load_weights(name, settings, progress)
    spec, network = definition.spec(tensors), definition.build(tensors)
    if plan.runtime == "onnxruntime":
        _log.info("exporting the model to ONNX; this is done once", model=name)
        try:
            onnx = export(definition, network)
        except Exception as error:  # a user's own network may contain anything
            if settings.runtime == "onnxruntime":
                raise
            _log.warning(
                "the model cannot be exported to ONNX; torch runs it", model=name, exc_info=error
            )
            plan = _plan(settings.model_copy(update={"runtime": "torch"}), supports_bfloat16=False)
        else:
            try:
                runtime = OnnxRuntime(write_prepared_model(definition, spec, onnx, settings), plan)
            except OSError as error:
                _log.warning("the exported model cannot be cached", model=name, reason=str(error))
                runtime = OnnxRuntime(onnx, plan)
            return RuntimeEncoder(spec, definition.preprocessing, runtime)
    from encoder_service.runtimes.torch import TorchRuntime

    return RuntimeEncoder(spec, definition.preprocessing, TorchRuntime(network, plan))


def _plan(settings: EncoderSettings, *, supports_bfloat16: bool) -> ExecutionPlan:
    return choose_plan(
        settings.device,
        settings.cores,
        supports_bfloat16=supports_bfloat16,
        has_bfloat16=cpu_has_bfloat16(),
        overrides=settings.plan_overrides,
    )
