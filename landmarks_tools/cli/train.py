"""`landmarks train`: encoders for your own landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landmarks.naming import check_model
from landmarks_tools.cli.extras import requires_extra
from landmarks_tools.cli.output import console, progress
from landmarks_tools.cli.weights import fetch_weights

if TYPE_CHECKING:  # they import torch, which slows --help
    from encoder_service.models.model_card import ModelCard
    from landmarks_tools.training.loop import Device, TrainingPlan
    from landmarks_tools.training.training_photos import TrainingPhotos

train = typer.Typer(
    no_args_is_help=True,
    help="Train an encoder on the photos of a manifest or folder.",
)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A manifest (CSV with path, landmark, split), or a folder with a sub-folder for each"
        " landmark; every fifth photo of it is then used for validation.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(help="The run's folder: checkpoints, curve.csv and finally model.safetensors."),
]
Name = Annotated[
    str, typer.Option(help="Name of the model: a-z and 0-9, with single _ or - between.")
]
TrainSplit = Annotated[str, typer.Option("--train-split", help="The split to train on.")]
ValidationSplit = Annotated[
    str, typer.Option("--validation-split", help="The split that chooses the checkpoint.")
]
Epochs = Annotated[int, typer.Option(min=1, help="Maximum number of epochs.")]
Batch = Annotated[int, typer.Option(min=2, help="Photos per step.")]
LearningRate = Annotated[float, typer.Option(min=1e-8, max=100, help="Peak learning rate.")]
Patience = Annotated[
    int, typer.Option(min=1, help="Stop after this many validations without a better mAP.")
]
Seed = Annotated[
    int, typer.Option(min=0, max=1_000_000_000, help="The same seed gives the same weights.")
]
DeviceName = Annotated[str, typer.Option("--device", help="The torch device: cpu, cuda, cuda:1.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0: one per physical core.")]


@train.command()
@requires_extra("encoder")
def scratch(
    source: Source,
    out: Out,
    name: Name = "my_scratch",
    train_split: TrainSplit = "train",
    validation_split: ValidationSplit = "val",
    epochs: Epochs = 70,
    batch: Batch = 64,
    learning_rate: LearningRate = 0.1,
    patience: Patience = 6,
    seed: Seed = 1,
    device: DeviceName = "cpu",
    threads: Threads = 0,
) -> None:
    """Train a small CNN on these photos alone. An epoch of 4,000 takes about 40 s on two cores.

    An interrupted run continues when started again with the same settings.
    """
    from landmarks_tools.training.scratch import PLAN, train_scratch

    check_model(name)  # fail before hours of work
    photos, where = _prepared(source, train_split, validation_split, device, threads)
    plan = replace(
        PLAN,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        classifier_rate=learning_rate,
        patience=patience,
        seed=seed,
    )
    with progress() as show:
        card = train_scratch(photos, _fitted(plan, photos), out, name, where, show)
    _print_outcome(card, out)


@train.command()
@requires_extra("encoder")
def transfer(
    source: Source,
    out: Out,
    base: Annotated[str, typer.Option(help="The pre-trained model.")] = "efficientnet_lite0",
    name: Name = "my_landmarks",
    train_split: TrainSplit = "train",
    validation_split: ValidationSplit = "val",
    views: Annotated[
        int, typer.Option(min=0, help="Random views of each photo, in addition to the photo.")
    ] = 8,
    view_size: Annotated[
        int,
        typer.Option(min=0, help="Side of a view in pixels; 0: the model's input size."),
    ] = 0,
    window: Annotated[
        float, typer.Option(min=0.1, max=1, help="Smallest part of a view's side used in a step.")
    ] = 1.0,
    untrained: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of the pre-trained weights in the final average: a higher share finds"
            " unfamiliar landmarks better, and these less well.",
        ),
    ] = 0.3,
    projection: Annotated[
        bool,
        typer.Option(help="Also train a linear layer after the pooling."),
    ] = False,
    whiten: Annotated[
        float,
        typer.Option(
            min=0,
            help="Finally, damp directions in which photos of one landmark differ: 1 strongly,"
            " 10 slightly, 0 not at all.",
        ),
    ] = 0.0,
    keep: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.9,
            help="Keep the pre-trained layers beside the trained ones, with this share of the"
            " vector: unfamiliar landmarks are found better. 0: only the trained layers.",
        ),
    ] = 0.0,
    dimension: Annotated[
        int, typer.Option(min=16, max=1024, help="With --keep: dimension of the vectors.")
    ] = 384,
    epochs: Epochs = 20,
    batch: Batch = 64,
    learning_rate: LearningRate = 3e-4,
    patience: Patience = 5,
    seed: Seed = 1,
    device: DeviceName = "cpu",
    threads: Threads = 0,
) -> None:
    """Train the last layers of a pre-trained model on these photos.

    The frozen layers' activations are kept in the run's folder until it ends: 31 kB per photo or
    view for efficientnet_lite0, 330 kB for vgg16 (200 kB for views of 224 pixels). An interrupted
    run continues when started again with the same settings.
    """
    from encoder_service.settings import WeightsSettings
    from landmarks_tools.training.transfer import PLAN, TransferSettings, train_transfer

    check_model(name)  # fail before hours of work
    settings = WeightsSettings.load()
    fetch_weights(base, settings)
    photos, where = _prepared(source, train_split, validation_split, device, threads)
    plan = replace(
        PLAN,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
    )
    with progress() as show:
        card = train_transfer(
            photos,
            TransferSettings(
                base, views, view_size, window, untrained, projection, whiten, keep, dimension
            ),
            _fitted(plan, photos),
            out,
            name,
            settings,
            where,
            show,
        )
    _print_outcome(card, out)


def _prepared(
    source: Path, train_split: str, validation_split: str, device: str, threads: int
) -> tuple[TrainingPhotos, Device]:
    import torch

    from encoder_service.settings import physical_cores
    from landmarks_tools.training.loop import Device
    from landmarks_tools.training.training_photos import read_training_photos

    where = Device.named(device)
    torch.set_num_threads(threads or physical_cores())
    photos = read_training_photos(source, train_split, validation_split)
    console.print(
        f"{len(photos.train):,} photos of {len(photos.names)} landmarks to train on,"
        f" {len(photos.validation):,} to validate with; on {device}"
        f" in {'bfloat16' if where.half else 'float32'}"
    )
    return photos, where


def _fitted(plan: TrainingPlan, photos: TrainingPhotos) -> TrainingPlan:
    """Return the plan with a batch that a small collection can fill."""
    return replace(plan, batch=min(plan.batch, len(photos.train)))


def _print_outcome(card: ModelCard, out: Path) -> None:
    from encoder_service.models.registry import MODULES

    figures = ", ".join(f"{key} {value:.3f}" for key, value in card.metrics.items())
    console.print(f"on the validation photos: {figures}")
    path = (out / "model.safetensors").resolve()
    # A model of the program keeps its name, as the file it ships may come from this command.
    served = f"my_{card.name}" if card.name in MODULES else card.name
    console.print(f"model: {path} (card: model.md)", soft_wrap=True)
    console.print(
        f"""to serve it: LANDMARKS_TRAINED_MODELS='{{"{served}": "{path}"}}'"""
        f" landmarks up --models {served}",
        soft_wrap=True,
    )
