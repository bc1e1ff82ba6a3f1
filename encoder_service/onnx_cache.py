"""Models exported to ONNX once and cached in the user's cache folder.

Exporting a network takes seconds, and so does importing torch. A prepared model needs neither when
the service starts: a record beside the ONNX file holds the encoder's spec and the hashes of the
files it was exported from. Where one of these files has changed (the model's code, its weights or
its overlay) the model is exported again, so a stale export is never served.
`python -m encoder_service.prepare` exports ahead of time, for an image.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from encoder_service.models.base import EncoderSpec, ModelDefinition, Preprocessing, Revision
from encoder_service.models.preprocessing import Resized
from encoder_service.models.registry import MODULES, definition_of
from encoder_service.runtimes.onnx import INPUT, OUTPUT
from encoder_service.settings import WeightsSettings
from encoder_service.weights.fetch import sha256_of
from landmarks.errors import LandmarksError
from landmarks.files import replace_file
from landmarks.photos import decoding_rules

_FORMAT = 3
_MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class PreparedModel:
    """A model that can be served from its ONNX file, without torch."""

    spec: EncoderSpec
    preprocessing: Preprocessing
    supports_bfloat16: bool
    onnx: Path


def read_prepared_model(model: str, settings: WeightsSettings) -> PreparedModel | None:
    """Return the prepared model; None where it is missing, damaged or out of date."""
    folder = _folder(model, settings)
    try:
        recorded = json.loads((folder / "prepared.json").read_text())
        files = [Path(path) for path in recorded["files"]]
        if (
            recorded["format"] != _FORMAT
            or recorded["settings"] != _settings_used(model, settings)
            or recorded["files"] != _hashes([*_code(model), *files])
        ):
            return None
        onnx = folder / recorded["onnx"]
        return PreparedModel(
            spec=_spec(recorded["spec"]),
            preprocessing=_preprocessing(recorded["preprocessing"], model, settings),
            supports_bfloat16=recorded["supports_bfloat16"],
            onnx=onnx,
        )
    except (OSError, ValueError, KeyError, TypeError, LandmarksError):
        return None  # missing or damaged: the caller exports it again


def write_prepared_model(
    definition: ModelDefinition, spec: EncoderSpec, onnx: bytes, settings: WeightsSettings
) -> Path:
    """Cache an exported model; return its file. Raises OSError where the cache is read-only."""
    from encoder_service.weights import ensure_weights

    folder = _folder(definition.name, settings)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{spec.digest[:12]}.onnx"
    replace_file(target, lambda new: new.write_bytes(onnx))
    inputs = [ensure_weights(definition.name, settings), definition.overlay, target]
    preprocessing = definition.preprocessing
    recorded = {
        "format": _FORMAT,
        "settings": _settings_used(definition.name, settings),
        "files": _hashes([*_code(definition.name), *(path for path in inputs if path)]),
        "spec": asdict(spec),
        "preprocessing": asdict(preprocessing) if isinstance(preprocessing, Resized) else None,
        "supports_bfloat16": definition.bfloat16,
        "onnx": target.name,
    }
    described = json.dumps(recorded, indent=1)
    replace_file(folder / "prepared.json", lambda new: new.write_text(described, encoding="utf-8"))
    for other in folder.glob("*.onnx"):
        if other != target:
            other.unlink(missing_ok=True)
    return target


def export(definition: ModelDefinition, network: object) -> bytes:
    """Return the bytes of `network`, a torch module, as an ONNX file. Takes seconds."""
    import torch

    if not isinstance(network, torch.nn.Module):
        raise TypeError(f"{type(network).__name__} is not a torch module")
    side = definition.preprocessing.input_size
    batch = torch.export.Dim("batch", min=1)
    with tempfile.TemporaryDirectory(prefix="landmarks-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, which no user can act on
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, 3, side, side),),
            path,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def _folder(model: str, settings: WeightsSettings) -> Path:
    return settings.cache_dir / "prepared" / model


def _settings_used(model: str, settings: WeightsSettings) -> Mapping[str, object]:
    """Return the settings that decide which files a model is exported from."""
    trained = settings.trained_models.get(model)
    return {
        "trained": str(trained) if trained else None,
        "weights_files": {name: str(path) for name, path in settings.weights_files.items()},
    }


def _code(model: str) -> list[Path]:
    """Return the source files that define a model and its digests, without importing them."""
    own = importlib.util.find_spec(MODULES[model]) if model in MODULES else None
    rules = Path(decoding_rules.__file__)
    files = {rules, *_MODELS.glob("*.py"), *([Path(own.origin)] if own and own.origin else [])}
    return sorted(files)


def _hashes(files: Iterable[Path]) -> dict[str, str]:
    return {str(path): sha256_of(path) for path in files}


def _spec(recorded: Mapping[str, Any]) -> EncoderSpec:
    revisions = tuple(
        Revision(one["digest"], decoding_rules.DecodingRules(**one["decoding"]))
        for one in recorded["revisions"]
    )
    return EncoderSpec(**{**recorded, "revisions": revisions})


def _preprocessing(
    recorded: Mapping[str, object] | None, model: str, settings: WeightsSettings
) -> Preprocessing:
    if recorded is None:  # a class of the model's own file
        return definition_of(model, settings.trained_models).preprocessing
    plain = {
        key: tuple(value) if isinstance(value, list) else value for key, value in recorded.items()
    }
    return Resized(**plain)  # type: ignore[arg-type]
