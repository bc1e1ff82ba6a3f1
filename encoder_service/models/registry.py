"""The encoders by name. A new one is a file with a `MODEL`, and a line here.

A model's module is imported when the model is first used, so that a process loads only what it
serves. Models that the user trained need no line: the metadata of their file names their base.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from encoder_service.models.base import ModelDefinition
from encoder_service.models.fine_tuned import BASE, trained_from
from encoder_service.tensors import read_metadata
from landmarks.errors import ConfigurationError, NotFoundError

MODULES: dict[str, str] = {
    "scratch": "encoder_service.models.scratch",
    "vgg16": "encoder_service.models.vgg16",
    "vgg16_landmarks": "encoder_service.models.vgg16_landmarks",
    "efficientnet_lite0_landmarks": "encoder_service.models.efficientnet_lite0_landmarks",
    "efficientnet_lite0": "encoder_service.models.efficientnet_lite0",
    "vgg16_fc7": "encoder_service.models.vgg16_fc7",
}

# Large, or for comparison only: served where they are named explicitly.
ON_REQUEST = frozenset({"efficientnet_lite0", "vgg16_landmarks", "vgg16_fc7"})


def model_names(trained: Mapping[str, Path]) -> list[str]:
    """Return the names of all models: registered ones, and the user's own."""
    return [*MODULES, *trained]


def definition_of(name: str, trained: Mapping[str, Path] | None = None) -> ModelDefinition:
    """Return the definition of a model; `trained` are files of the user's own models, by name.

    Raises NotFoundError, which lists the known models, and ConfigurationError where a user's file
    cannot be used.
    """
    trained = trained or {}
    if taken := sorted(MODULES.keys() & trained.keys()):
        raise ConfigurationError(
            f"LANDMARKS_TRAINED_MODELS uses the name of a built-in model: {', '.join(taken)};"
            " choose another name there"
        )
    if name not in MODULES:
        if name in trained:
            return _trained(name, trained[name])
        known = ", ".join(sorted(model_names(trained)))
        raise NotFoundError(f"there is no model {name!r}; there are: {known}")
    model = importlib.import_module(MODULES[name]).MODEL
    if not isinstance(model, ModelDefinition) or model.name != name:
        raise TypeError(f"{MODULES[name]}.MODEL is not the definition of {name!r}")
    return model


def _trained(name: str, path: Path) -> ModelDefinition:
    base_name = read_metadata(path).get(BASE)
    if base_name not in MODULES:
        raise ConfigurationError(
            f"{path}, which LANDMARKS_TRAINED_MODELS names, was not made by `landmarks train`:"
            f" {'its base is ' + repr(base_name) if base_name else 'it does not say its base'}"
        )
    return trained_from(definition_of(base_name), name, path)
