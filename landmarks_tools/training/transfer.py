"""Transfer learning: the last layers of a pre-trained network, trained on landmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.model_card import ModelCard
from encoder_service.models.preprocessing import Resized
from encoder_service.models.registry import MODULES, definition_of
from encoder_service.models.two_branch import two_branch_network
from encoder_service.models.weight_overlay import apply_overlay, as_overlay, split_overlay
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import Tensors
from encoder_service.weights import load_weights
from landmarks.errors import InvalidInputError
from landmarks_tools.training.activation_cache import Activations, Trunk
from landmarks_tools.training.artifacts import write_outcome
from landmarks_tools.training.joint_projection import Branch, joint_map
from landmarks_tools.training.loop import Device, Training, TrainingPlan, settings_of, vectors
from landmarks_tools.training.pooling import centre, pool_of, uncentred, whiten_within
from landmarks_tools.training.run_folder import RunFolder
from landmarks_tools.training.training_photos import TrainingPhotos

# The step, how much is done, the total, and a note.
Report = Callable[[str, int, int, str], None]

PLAN = TrainingPlan(
    epochs=20,
    batch=64,
    learning_rate=3e-4,
    classifier_rate=3e-3,
    weight_decay=1e-2,
    optimizer="adamw",
    imprint=True,
    patience=5,
)


@dataclass(frozen=True)
class TransferSettings:
    """What is transferred: the base's name, and how many random views of each photo are drawn.

    `view_size` is the side of a view in pixels; 0 is that of the model's input. What a crop shows
    looks larger than in the whole photo; where views are smaller than the input, it does not
    (Touvron et al., "Fixing the train-test resolution discrepancy", 2019). Of a view, training
    sees a random window of at least `window` of its width and of its height.
    In the end the weights are averaged with the untrained ones, of which `untrained` is the share.
    `projection`: a linear layer behind the pooling is trained too, and is then the last one; a base
    that has one is always trained with it. `whiten`: in the end, directions in which photos of a
    landmark differ count less, with this shrinkage; 0 leaves them.
    `keep`: the untrained layers stay beside the trained ones, and have this share of the vector, of
    `dimension` numbers; with 0 they do not stay.
    """

    base: str
    views: int = 8
    view_size: int = 0
    window: float = 1.0
    untrained: float = 0.3
    projection: bool = False
    whiten: float = 0.0
    keep: float = 0.0
    dimension: int = 384


def train_transfer(
    photos: TrainingPhotos,
    transfer: TransferSettings,
    plan: TrainingPlan,
    out: Path,
    name: str,
    settings: WeightsSettings,
    device: Device,
    report: Report,
) -> ModelCard:
    """Train the last layers of the base on `photos`; return the card. `out` is the run's folder.

    An interrupted run continues. Raises InvalidInputError if the base cannot be transferred or
    `out` holds another run, NotFoundError for a base that is no model of this program's own, and as
    `load_weights`.
    """
    base = definition_of(transfer.base)
    original = load_weights(transfer.base, settings)
    network = base.build(original)
    trunk, tail = _split(base, network)
    if transfer.projection and not isinstance(pool_of(tail).projection, nn.Linear):
        pool_of(tail).add_projection()
    if transfer.keep and transfer.dimension > 2 * base.dimension:
        raise InvalidInputError(
            f"vectors of {transfer.dimension} numbers cannot be made of twice {base.dimension}",
            field="dimension",
        )
    data = photos.described()
    base_digest = base.digest(original)
    run = RunFolder(
        out,
        {
            "kind": "transfer",
            "base": transfer.base,
            "base_digest": base_digest,
            "data_digest": data.digest,
            "views": transfer.views,
            "view_size": transfer.view_size or base.preprocessing.input_size,
            "window": transfer.window,
            "untrained": transfer.untrained,
            "projection": transfer.projection,
            "whiten": transfer.whiten,
            "keep": transfer.keep,
            "dimension": transfer.dimension if transfer.keep else base.dimension,
            **settings_of(plan, device),
        },
    )
    if run.done:
        return ModelCard.read(run.card)

    if not isinstance(base.preprocessing, Resized):
        raise InvalidInputError(f"views cannot be drawn for the preprocessing of {base.name}")
    frozen = Trunk(
        trunk.to(device.name).to(memory_format=torch.channels_last), base.preprocessing, device
    )
    examples = Activations(
        frozen,
        photos,
        transfer.views,
        transfer.window,
        plan.seed,
        run.activations,
        transfer.view_size,
    )
    examples.prepare(lambda done, total: report("activations", done, total, ""))
    untrained = {key: tensor.clone() for key, tensor in tail.state_dict().items()}
    training = Training(tail.requires_grad_(True), examples, photos.landmarks, plan, run, device)
    curve = training.fit(lambda done, total, note: report("training", done, total, note))
    _average(tail, untrained, transfer.untrained)
    # The classifier stays behind; in half precision, the rest is half as large and as good.
    if transfer.keep:
        trained, exported = _two_branches(
            base, original, tail, untrained, transfer, examples, photos.labels(), device
        )
    else:
        found = uncentred(tail, examples.gallery(), device)
        centre(pool_of(tail), found)
        if transfer.whiten:
            found = vectors(tail, examples.gallery(), device)
            whiten_within(pool_of(tail), found, photos.labels(), transfer.whiten)
            pool_of(tail).to(device.name)
        kept = {id(parameter) for parameter in tail.parameters()}
        trained = {
            key: parameter.detach().cpu().to(torch.float16)
            for key, parameter in network.named_parameters()
            if id(parameter) in kept
        }
        _, exported = _split(base, base.build({**original, **as_overlay(trained)}))
    return write_outcome(
        run,
        trained,
        exported,
        training,
        data,
        curve,
        name=name,
        description=f"{base.name} with transfer learning on {data.landmarks} landmarks.",
        base=base.name,
        base_digest=base_digest,
        joint_dimension=transfer.dimension if transfer.keep else 0,
    )


def _two_branches(
    base: ModelDefinition,
    original: Tensors,
    tail: nn.Module,
    untrained: Mapping[str, torch.Tensor],
    transfer: TransferSettings,
    examples: Activations,
    labels: torch.Tensor,
    device: Device,
) -> tuple[Tensors, nn.Module]:
    """Return what is kept of a trained tail and its map, and both tails as a `TwoBranchHead`."""
    before = deepcopy(tail)
    before.load_state_dict(dict(untrained))
    branches = tuple(
        Branch(uncentred(one, examples.gallery(), device), pool_of(one), share)
        for one, share in ((tail, 1 - transfer.keep), (before, transfer.keep))
    )
    joint = joint_map(branches, labels, transfer.whiten, transfer.dimension)  # type: ignore[arg-type]
    pool = {id(parameter) for parameter in pool_of(tail).parameters()}  # it is part of the map now
    own, _ = split_overlay(original)
    head = two_branch_network(base, own, transfer.dimension).tail
    trained = {
        **{
            f"trained.{key}": parameter.detach().cpu().half()
            for key, parameter in tail.named_parameters()
            if id(parameter) not in pool
        },
        "joint.weight": joint.weight.detach().half(),
        "joint.bias": joint.bias.detach(),
    }
    apply_overlay(head, trained)
    return trained, head.eval()


def _average(network: nn.Module, other: Mapping[str, torch.Tensor], share: float) -> None:
    """Average a network's weights with others', in place.

    What training took from landmarks unlike those it saw comes back, and little of what it gave
    goes (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
    """
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            tensor.lerp_(other[key].to(tensor.device), share)


def _split(base: ModelDefinition, network: nn.Module) -> tuple[nn.Module, nn.Module]:
    if base.split is None:
        able = [name for name in MODULES if definition_of(name).split is not None]
        raise InvalidInputError(
            f"{base.name} is not made for transfer learning; these are: {', '.join(able)}",
            field="base",
        )
    return base.split(network)
