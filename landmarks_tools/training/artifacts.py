"""Writes the results of a training run: the weights and their model card."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from encoder_service.models.fine_tuned import BASE, TWO_BRANCH_DIMENSION
from encoder_service.models.model_card import CurvePoint, ModelCard, TrainingData
from encoder_service.tensors import Tensors, tensors_digest, write_tensors
from landmarks.files import replace_file
from landmarks_tools.training.loop import Training
from landmarks_tools.training.run_folder import RunFolder


def write_outcome(
    run: RunFolder,
    tensors: Tensors,
    network: nn.Module,
    training: Training,
    data: TrainingData,
    curve: tuple[CurvePoint, ...],
    *,
    name: str,
    description: str,
    base: str,
    base_digest: str,
    joint_dimension: int = 0,
) -> ModelCard:
    """Write the model and its card into the run's folder, and remove its temporary files.

    `network` is what the card scores, in single precision: the trained part, with the `tensors` as
    they are stored. `joint_dimension` is the dimension of its vectors if it is a `TwoBranchHead`.
    """
    single = replace(training.device, half=False)
    score = training.score(network.to(single.name), single)
    card = ModelCard(
        name=name,
        description=description,
        base=base,
        base_digest=base_digest,
        weights_digest=tensors_digest(tensors),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        data=data,
        settings=run.settings,
        metrics={
            "mAP": round(score.mean_average_precision, 4),
            "R@1": round(score.recall_at_1, 4),
        },
        curve=curve,
        environment=_environment(),
    )
    metadata = (
        {BASE: base, TWO_BRANCH_DIMENSION: str(joint_dimension)}
        if joint_dimension
        else {BASE: base}
    )
    write_tensors(tensors, run.model, metadata)
    replace_file(run.folder / "model.md", partial(Path.write_text, data=card.markdown()))
    replace_file(run.card, card.write)
    run.tidy()
    return card


def _environment() -> Mapping[str, str]:
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "threads": str(torch.get_num_threads()),
    }
