"""The encoders by name. A new one is a file with a `MODEL`, and a line here.

Modules are imported when a model is asked for, so that a process pays for what it serves only.
"""

from __future__ import annotations

import importlib

from encoder_service.models.contract import ModelDefinition
from landmarks.errors import NotFoundError

MODULES: dict[str, str] = {
    "scratch": "encoder_service.models.scratch",
    "vgg16": "encoder_service.models.vgg16",
    "efficientnet_lite0": "encoder_service.models.efficientnet_lite0",
}


def definition_of(name: str) -> ModelDefinition:
    """Return the definition of a model. Raises NotFoundError that names those there are."""
    if name not in MODULES:
        known = ", ".join(sorted(MODULES))
        raise NotFoundError(f"there is no model {name!r}; there are: {known}")
    model = importlib.import_module(MODULES[name]).MODEL
    if not isinstance(model, ModelDefinition) or model.name != name:
        raise TypeError(f"{MODULES[name]}.MODEL is not the definition of {name!r}")
    return model
