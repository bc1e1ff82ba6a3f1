"""Facts on an encoder, read from the model itself."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from encoder_service.models.base import Json, ModelDefinition
from encoder_service.models.model_card import ModelCard, committed_card
from encoder_service.models.registry import MODULES, definition_of
from encoder_service.models.weight_overlay import split_overlay
from encoder_service.models.weight_sources import CommittedWeights, NoWeights
from encoder_service.settings import EncoderSettings
from encoder_service.tensors import Tensors
from encoder_service.weights import load_weights

# Tensors that a pooling learns without labels; training on labels also replaces layers before it.
_WITHOUT_LABELS = frozenset({"pool.offset", "pool.projection.weight"})


@dataclass(frozen=True)
class EncoderFacts:
    """An encoder, as the report introduces it.

    `about` is its file's own description. `landmark_labels` says whether landmark labels were used
    in its training. `card` describes that training, if this project did it.
    """

    name: str
    about: str
    architecture: str
    layer: str
    dimension: int
    input_size: int
    parameters: int
    digest: str
    landmark_labels: str
    card: ModelCard | None

    @property
    def saw_labels(self) -> bool:
        """Whether it was trained with landmark labels."""
        return not self.landmark_labels.startswith("none")


def encoder_facts(model: str, settings: EncoderSettings) -> EncoderFacts:
    """Return the facts of a registered model; its weights are fetched if needed.

    Raises as `encoder_service.loader.load_encoder`, and ConfigurationError for a broken card.
    """
    definition = definition_of(model, settings.trained_models)
    tensors = load_weights(model, settings)
    network = definition.build(tensors)
    ours = settings.trained_models.get(model)
    card = _card_beside(ours) if ours else committed_card(model)
    return EncoderFacts(
        name=model,
        about=_about(definition),
        architecture=_architecture(network),
        layer=f"{definition.layer}; pooled over places ({_setting(definition.pooling)}); scaled to"
        " length 1",
        dimension=definition.dimension,
        input_size=definition.preprocessing.input_size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        digest=definition.digest(tensors),
        landmark_labels=_landmark_labels(definition, tensors, card),
        card=card,
    )


def _card_beside(weights: Path) -> ModelCard | None:
    """Return the card that `landmarks train` left beside a model's file."""
    path = weights.with_suffix(".json")
    return ModelCard.read(path) if path.is_file() else None


def _about(definition: ModelDefinition) -> str:
    """Return the description, and for our models the papers that their files name."""
    if definition.name not in MODULES:
        return definition.description
    module = importlib.import_module(MODULES[definition.name])
    paragraphs = (inspect.getdoc(module) or "").split("\n\n")[1:]
    parts = [definition.description, *(part.replace("\n", " ") for part in paragraphs)]
    return " ".join(parts).replace("`", "")


def _setting(value: Json) -> str:
    """Return a setting of the digest in readable form."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_setting(each)}" for key, each in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _architecture(network: nn.Module) -> str:
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    linear = [each for each in network.modules() if isinstance(each, nn.Linear)]
    depthwise = [each for each in convolutions if each.groups > 1]
    parts = []
    if convolutions:
        kernels = sorted({_size(each.kernel_size) for each in convolutions})
        widths = [each.out_channels for each in convolutions]
        count = f"{len(convolutions)} convolutions"
        if depthwise:
            count += f" ({len(depthwise)} of them depthwise)"
        parts.append(f"{count}, kernels {', '.join(kernels)}, {min(widths)} to {max(widths)} "
                     "channels")  # fmt: skip
    layers = "layer" if len(linear) == 1 else "layers"
    parts.append(f"{len(linear) or 'no'} fully connected {layers}")
    return "; ".join(parts)


def _size(kernel: tuple[int, ...]) -> str:
    return " × ".join(map(str, kernel))


def _landmark_labels(definition: ModelDefinition, tensors: Tensors, card: ModelCard | None) -> str:
    if card is not None:
        photos = sum(card.data.photos.values())
        splits = ", ".join(f"{count} {split}" for split, count in card.data.photos.items())
        return f"those of {card.data.landmarks} landmarks, on {photos} photos ({splits})"
    _, ours = split_overlay(tensors)
    if isinstance(definition.weights, CommittedWeights) or set(ours) - _WITHOUT_LABELS:
        return "yes: trained on landmarks, though no card of that training is here"
    if isinstance(definition.weights, NoWeights):
        return "none: it has no weights"
    words = "none: it was trained elsewhere, on other labels"
    if ours:
        words += ". What its vectors have in common is taken off them"
        if len(ours) > 1:
            words += ", and their strongest directions are weakened"
        words += ", which needs no labels"
    return words
