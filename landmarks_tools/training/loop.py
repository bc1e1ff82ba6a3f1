"""The training loop: a network learns to distinguish landmarks by the direction of its vectors.

A cosine classifier (Wang et al., "NormFace", 2017): the photos of a landmark are pulled together by
angle, which is what search compares. The classifier is thrown away; the vector before it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from encoder_service.execution_plan import cpu_has_bfloat16
from encoder_service.models.base import FloatMatrix
from encoder_service.models.model_card import CurvePoint
from encoder_service.runtimes.base import unit_rows
from landmarks.errors import ConfigurationError
from landmarks.retrieval.metrics import evaluate
from landmarks_tools.training.run_folder import RunFolder, State

# Batches done, total batches, and the state in words.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class TrainingPlan:
    """Hyperparameters of a run.

    `patience` is after how many evaluations without a better mAP to stop. `imprint` begins the
    classifier with the mean vector of each landmark (Qi et al., "Low-Shot Learning with Imprinted
    Weights", 2018), for networks whose vectors mean something already.
    """

    epochs: int
    batch: int
    learning_rate: float
    classifier_rate: float
    weight_decay: float
    optimizer: Literal["sgd", "adamw"]
    imprint: bool
    label_smoothing: float = 0.1
    cosine_scale: float = 16.0
    evaluate_every: int = 1
    patience: int = 3
    seed: int = 1


@dataclass(frozen=True)
class Score:
    """Retrieval of photos of the training split by those of the validation split."""

    mean_average_precision: float
    recall_at_1: float


class Examples(Protocol):
    """Training and validation inputs of a network; views are drawn again in each epoch."""

    @property
    def labels(self) -> torch.Tensor:
        """The landmark of each training photo, int64 (N,)."""

    def batch(self, chosen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return inputs for random views of these training photos."""

    def gallery(self) -> Iterable[torch.Tensor]:
        """Yield batches of inputs for all training photos, unaugmented."""

    def queries(self) -> Iterable[torch.Tensor]:
        """Yield batches of inputs for all validation photos, unaugmented."""


@dataclass(frozen=True)
class Device:
    """The device and precision: wide layers run in bfloat16 where that is faster."""

    name: str
    half: bool

    @classmethod
    def named(cls, name: str) -> Device:
        """Return the device; raises ConfigurationError if this machine lacks it."""
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ConfigurationError(
                f"--device {name} cannot be used on this machine; choose another: {error}"
            ) from error
        return cls(name, torch.device(name).type == "cuda" or cpu_has_bfloat16())

    def autocast(self) -> torch.autocast:
        """Return the context to run the network in."""
        return torch.autocast(torch.device(self.name).type, torch.bfloat16, enabled=self.half)


class Training:
    """Trains a network in place on `examples`.

    `landmarks` are the names of training and validation photos. After every epoch the whole state
    is saved to `run`; an interrupted run continues from there, to the same weights on the same
    machine with the same number of threads.
    """

    def __init__(
        self,
        network: nn.Module,
        examples: Examples,
        landmarks: tuple[list[str], list[str]],
        plan: TrainingPlan,
        run: RunFolder,
        device: Device,
    ) -> None:
        self.network = network.to(device.name).to(memory_format=torch.channels_last)
        self.examples = examples
        self.landmarks = landmarks
        self.plan = plan
        self.run = run
        self.device = device
        self.labels = examples.labels
        self.batches = max(1, len(self.labels) // plan.batch)
        torch.manual_seed(plan.seed)
        self.generator = torch.Generator().manual_seed(plan.seed)
        self.classes = nn.Parameter(self._first_classes())
        self.optimizer = self._optimizer()
        steps = self.batches * plan.epochs
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            [group["lr"] for group in self.optimizer.param_groups],
            total_steps=steps,
            pct_start=0.2 if steps > 5 else 0.0,  # a rise of 1 step divides by zero
        )
        self.curve: list[CurvePoint] = []
        self.best = -1.0
        self.since_best = 0

    def fit(self, report: Report) -> tuple[CurvePoint, ...]:
        """Train to the end, restore the weights with the best validation, and return the curve."""
        self._resume()
        while len(self.curve) < self.plan.epochs and self.since_best < self.plan.patience:
            self._epoch(report)
        self.run.write_curve(self.curve)  # a kill may have come before it
        best = self.run.load("best")
        if best is None:
            raise ConfigurationError(
                f"{self.run.folder} has lost its best weights; remove it to start again"
            )
        self.network.load_state_dict(best["network"])  # type: ignore[arg-type]
        self.network.eval()
        return tuple(self.curve)

    def _epoch(self, report: Report) -> None:
        """Train for one epoch, validate if due, and save the state."""
        plan, epoch, started = self.plan, len(self.curve) + 1, time.monotonic()
        self.network.train()
        # The incomplete last batch is dropped: its norms would be noise.
        order = torch.randperm(len(self.labels), generator=self.generator)
        losses: list[float] = []
        for number, chosen in enumerate(torch.split(order, plan.batch)[: self.batches], start=1):
            losses.append(self._step(chosen))
            done = (epoch - 1) * self.batches + number
            report(done, plan.epochs * self.batches, self._standing(epoch, losses))
        due = epoch % plan.evaluate_every == 0 or epoch == plan.epochs
        score = self.score(self.network, self.device) if due else None
        self.curve.append(
            CurvePoint(
                epoch,
                round(float(np.mean(losses)), 4),
                round(score.mean_average_precision, 4) if score else None,
                round(score.recall_at_1, 4) if score else None,
                round(time.monotonic() - started, 1),
            )
        )
        if score and score.mean_average_precision > self.best:
            self.best, self.since_best = score.mean_average_precision, 0
            self.run.save("best", {"network": self.network.state_dict()})
        elif score:
            self.since_best += 1
        self._keep()

    def _resume(self) -> None:
        """Continue from the checkpoint, if there is one."""
        state = self.run.load("checkpoint")
        if state is None:
            return
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.schedule.load_state_dict(state["schedule"])  # type: ignore[arg-type]
        with torch.no_grad():
            self.classes.copy_(state["classes"])  # type: ignore[arg-type]
        self.generator.set_state(state["generator"])  # type: ignore[arg-type]
        self.curve = [CurvePoint(**point) for point in state["curve"]]  # type: ignore[attr-defined]
        self.best = float(state["best"])  # type: ignore[arg-type]
        self.since_best = int(state["since_best"])  # type: ignore[call-overload]

    def _keep(self) -> None:
        state: State = {
            "network": self.network.state_dict(),
            "classes": self.classes.detach(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "curve": [asdict(point) for point in self.curve],
            "best": self.best,
            "since_best": self.since_best,
        }
        self.run.save("checkpoint", state)
        self.run.write_curve(self.curve)

    def score(self, network: nn.Module, device: Device) -> Score:
        """Return how well validation photos find training photos with `network`."""
        gallery, queries = (
            vectors(network, inputs, device)
            for inputs in (self.examples.gallery(), self.examples.queries())
        )
        result = evaluate(gallery, self.landmarks[0], queries, self.landmarks[1])
        return Score(result.mean_average_precision.value, result.recall_at_1.value)

    def _step(self, chosen: torch.Tensor) -> float:
        inputs = self.examples.batch(chosen, self.generator).to(self.device.name)
        labels = self.labels[chosen].to(self.device.name)
        with self.device.autocast():
            embedded = self.network(inputs.contiguous(memory_format=torch.channels_last))
        cosines = functional.normalize(embedded.float()) @ functional.normalize(self.classes).T
        loss = functional.cross_entropy(
            cosines * self.plan.cosine_scale, labels, label_smoothing=self.plan.label_smoothing
        )
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def _first_classes(self) -> torch.Tensor:
        count = int(self.labels.max()) + 1
        if not self.plan.imprint:
            some = vectors(self.network, [next(iter(self.examples.queries()))[:1]], self.device)
            return torch.randn(count, some.shape[1], device=self.device.name)
        embedded = torch.from_numpy(vectors(self.network, self.examples.gallery(), self.device))
        means = torch.stack([embedded[self.labels == place].mean(dim=0) for place in range(count)])
        return functional.normalize(means).to(self.device.name)

    def _optimizer(self) -> torch.optim.Optimizer:
        plan = self.plan
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        # Weight decay applies to matrices; on gains, biases and offsets it only hurts.
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [self.classes], "weight_decay": 0.0, "lr": plan.classifier_rate},
        ]
        if plan.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=plan.learning_rate)
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9, nesterov=True)

    def _standing(self, epoch: int, losses: list[float]) -> str:
        text = f"epoch {epoch}, loss {np.mean(losses[-50:]):.3f}"
        return text if self.best < 0 else f"{text}, best mAP {self.best:.3f}"


def vectors(network: nn.Module, inputs: Iterable[torch.Tensor], device: Device) -> FloatMatrix:
    """Return the unit vectors (N, dimension), float32, of all inputs."""
    network.eval()
    rows = []
    with torch.inference_mode():
        for batch in inputs:
            photos = batch.to(device.name).contiguous(memory_format=torch.channels_last)
            with device.autocast():
                rows.append(network(photos).float().cpu())
    return unit_rows(torch.cat(rows).numpy())


def settings_of(plan: TrainingPlan, device: Device) -> Mapping[str, object]:
    """Return the settings of the plan and the device that affect the result."""
    return {**asdict(plan), "precision": "bfloat16" if device.half else "float32"}
