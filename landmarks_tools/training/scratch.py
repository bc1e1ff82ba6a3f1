"""Training from scratch: a small network that sees the landmark photos and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from encoder_service.models.model_card import ModelCard
from encoder_service.models.scratch import MODEL, PREPROCESSING, build
from encoder_service.models.scratch_network import ScratchNetwork
from encoder_service.tensors import Tensors
from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks_tools.training.artifacts import write_outcome
from landmarks_tools.training.augment import augmented
from landmarks_tools.training.loop import Device, Training, TrainingPlan, settings_of
from landmarks_tools.training.run_folder import RunFolder
from landmarks_tools.training.training_photos import TrainingPhotos, normalised, read_pixels

# The step, how much is done, the total, and a note.
Report = Callable[[str, int, int, str], None]

PLAN = TrainingPlan(
    epochs=70,
    batch=64,
    learning_rate=0.1,
    classifier_rate=0.1,
    weight_decay=5e-4,
    optimizer="sgd",
    imprint=False,
    evaluate_every=5,
    patience=6,
)
# Larger than the network's input, so that a crop of the photo still has detail to show.
_KEPT_SIZE = 144


class _Pixels:
    """Training examples: the photos themselves, in memory (100 kB each)."""

    def __init__(self, photos: TrainingPhotos, report: Report) -> None:
        self.labels = photos.labels()
        total, done = 2 * len(photos.train) + len(photos.validation), 0

        def read(some: Sequence[LabelledPhoto], size: int) -> torch.Tensor:
            nonlocal done
            before = done
            done += len(some)
            return read_pixels(some, size, lambda now, _: report("photos", before + now, total, ""))

        size = PREPROCESSING.input_size
        self._larger = read(photos.train, _KEPT_SIZE)
        self._gallery, self._queries = read(photos.train, size), read(photos.validation, size)

    def batch(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return views of the photos: (N, 3, 112, 112) float32, normalised."""
        views = augmented(self._larger[chosen], PREPROCESSING.input_size, generator)
        return normalised(views, PREPROCESSING)

    def gallery(self) -> Iterator[torch.Tensor]:
        """Yield the training photos, unaugmented."""
        return (normalised(some, PREPROCESSING) for some in torch.split(self._gallery, 128))

    def queries(self) -> Iterator[torch.Tensor]:
        """Yield the validation photos, unaugmented."""
        return (normalised(some, PREPROCESSING) for some in torch.split(self._queries, 128))


def train_scratch(
    photos: TrainingPhotos, plan: TrainingPlan, out: Path, name: str, device: Device, report: Report
) -> ModelCard:
    """Train the network of `scratch` on `photos`; return the card. `out` is the run's folder.

    An interrupted run continues. Raises InvalidInputError if `out` holds another run.
    """
    data = photos.described()
    settings = {"kind": "scratch", "data_digest": data.digest, **settings_of(plan, device)}
    run = RunFolder(out, settings)
    if run.done:
        return ModelCard.read(run.card)
    torch.manual_seed(plan.seed)
    network = ScratchNetwork()
    examples = _Pixels(photos, report)
    training = Training(network, examples, photos.landmarks, plan, run, device)
    curve = training.fit(lambda done, total, note: report("training", done, total, note))
    tensors = exported(network)
    return write_outcome(
        run,
        tensors,
        build(tensors),
        training,
        data,
        curve,
        name=name,
        description=f"Small CNN trained from scratch on {data.landmarks} landmarks.",
        base=MODEL.name,
        base_digest="",
    )


def exported(network: nn.Module) -> Tensors:
    """Return the network's tensors as stored: float16, without counters of training."""
    return {
        name: tensor.detach().cpu().to(torch.float16)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
