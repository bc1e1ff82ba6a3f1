"""A manifest of drawn places, and `landmarks evaluate` run on it in this process."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from landmarks.errors import LandmarksError
from landmarks_tools.cli.app import app
from landmarks_tools.cli.output import exit_code_of
from tests.support.photos import drawn_photo, saved

PLACES = 6
VIEWS = 8
SPLITS = ("gallery", "gallery", "gallery", "gallery", "gallery", "more", "query", "query")
FIGURES = ("mAP", "mAP@100", "R@1", "R@5")


def view(place: int, number: int) -> Image.Image:
    """Another view of a place: moved, and in noise, so that some are taken for another place."""
    photo = np.asarray(drawn_photo(200, 150, seed=place), dtype=np.float64)
    random = np.random.default_rng((place, number))
    moved = np.roll(photo, random.integers(-40, 40, 2), axis=(0, 1))
    noisy = moved * random.uniform(0.5, 1.3) + random.normal(0, 50, photo.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def draw_places(root: Path) -> Path:
    """Draw places, and a query of a landmark that the gallery does not have; return a manifest."""
    rows = []
    for place in range(PLACES):
        for number, split in zip(range(VIEWS), SPLITS, strict=True):
            rows.append((f"place {place}/{number}.jpg", f"place {place}", split))
            path = root / rows[-1][0]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(saved(view(place, number), "JPEG"))
    (root / "elsewhere.jpg").write_bytes(saved(view(77, 0), "JPEG"))
    rows.append(("elsewhere.jpg", "elsewhere", "query"))
    path = root / "manifest.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "landmark", "split"), *rows])
    return path


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        assert self.status == 0, self.stderr
        return json.loads(self.stdout)


def evaluate(*arguments: str | Path) -> Ran:
    """Run `landmarks evaluate`; here, because a process of its own imports torch each time."""
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if isinstance(result.exception, LandmarksError):
        status, said = int(exit_code_of(result.exception)), str(result.exception)
        return Ran(status, result.stdout, result.stderr + said)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def asked(manifest: Path, gallery: str = "gallery", queries: str = "query") -> tuple[str, ...]:
    """Return the arguments that say what is evaluated, with the model `scratch`."""
    return (str(manifest), "--gallery", gallery, "--queries", queries, "--models", "scratch")
