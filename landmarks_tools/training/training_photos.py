"""Selects the photos of a training run and reads their pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from encoder_service.models.model_card import TrainingData
from encoder_service.models.preprocessing import Resized
from landmarks.errors import InvalidInputError, InvalidPhotoError
from landmarks.photos.decode import decode
from landmarks.photos.limits import ANY_SIZE
from landmarks.retrieval.labelled_photos import LabelledPhoto, read_photos

Progress = Callable[[int, int], None]  # done, total

# A folder has no splits: one photo in this many of each landmark is used for validation.
_VALIDATION_SHARE = 5
_AT_ONCE = 64


@dataclass(frozen=True)
class TrainingPhotos:
    """The photos to train on, and those that select the checkpoint."""

    train: tuple[LabelledPhoto, ...]
    validation: tuple[LabelledPhoto, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The landmarks to train on, sorted."""
        return tuple(sorted({photo.landmark for photo in self.train}))

    @property
    def landmarks(self) -> tuple[list[str], list[str]]:
        """The landmark of each training photo and of each validation photo."""
        return (
            [photo.landmark for photo in self.train],
            [photo.landmark for photo in self.validation],
        )

    def labels(self) -> torch.Tensor:
        """Return each training photo's landmark as its place in `names`, int64 (N,)."""
        places = {name: place for place, name in enumerate(self.names)}
        return torch.tensor([places[photo.landmark] for photo in self.train])

    def described(self) -> TrainingData:
        """Return their description for a model card. Reads every file, for the digest."""
        digest = hashlib.sha256()
        splits = {"train": self.train, "validation": self.validation}
        for split, photos in splits.items():
            for photo in photos:
                content = hashlib.sha256(photo.path.read_bytes()).hexdigest()
                digest.update(f"{split}\0{photo.landmark}\0{content}\n".encode())
        counts = {split: len(photos) for split, photos in splits.items()}
        return TrainingData(digest.hexdigest(), counts, len(self.names))


def read_training_photos(source: Path, train: str, validation: str) -> TrainingPhotos:
    """Return the photos of two splits of a manifest, or of a folder divided into two.

    Of a folder, every fifth photo of each landmark is used for validation, the same each time.
    Raises InvalidInputError as `read_photos`, and for fewer than two landmarks, no photo to
    validate with, or photos in both splits.
    """
    if source.expanduser().is_dir():
        chosen = _divided(read_photos(source, []))
    else:
        chosen = TrainingPhotos(
            tuple(read_photos(source, [train])), tuple(read_photos(source, [validation]))
        )
    if len(chosen.names) < 2:
        raise InvalidInputError(
            f"{source} has photos of {len(chosen.names)} landmark to train on; training needs two"
            " landmarks at least, each in a folder of its own or named in the manifest"
        )
    if not {photo.landmark for photo in chosen.validation} & set(chosen.names):
        how = (
            f"a landmark needs {_VALIDATION_SHARE} photos for one of them to be kept for it"
            if source.expanduser().is_dir()
            else f"split {validation!r} shows other landmarks"
        )
        raise InvalidInputError(
            f"{source} has no photo to validate with of the landmarks that are trained on: {how}"
        )
    if both := {photo.path for photo in chosen.train} & {one.path for one in chosen.validation}:
        raise InvalidInputError(
            f"{source}: {len(both)} photos would be both trained on and validated with, as"
            f" {min(both)}; that would flatter every checkpoint. Name two splits that share none"
        )
    return chosen


def _divided(photos: Sequence[LabelledPhoto]) -> TrainingPhotos:
    by_landmark: dict[str, list[LabelledPhoto]] = defaultdict(list)
    for photo in photos:
        by_landmark[photo.landmark].append(photo)
    validation: set[str] = set()
    for group in by_landmark.values():
        # By a hash of the name: photos taken one after another are often numbered so.
        shuffled = sorted(group, key=lambda one: hashlib.sha256(one.name.encode()).digest())
        validation |= {one.name for one in shuffled[: len(group) // _VALIDATION_SHARE]}
    return TrainingPhotos(
        tuple(photo for photo in photos if photo.name not in validation),
        tuple(photo for photo in photos if photo.name in validation),
    )


def read_pixels(
    photos: Sequence[LabelledPhoto], size: int, progress: Progress | None = None
) -> torch.Tensor:
    """Return the photos squashed to `size` × `size`, uint8 (N, 3, size, size).

    Raises InvalidInputError that names a photo that cannot be read.
    """
    pixels = torch.empty(len(photos), 3, size, size, dtype=torch.uint8)
    with ThreadPoolExecutor(max_workers=4) as pool:
        for first in range(0, len(photos), _AT_ONCE):
            some = photos[first : first + _AT_ONCE]
            for place, array in enumerate(pool.map(partial(_squashed, size=size), some)):
                pixels[first + place] = array
            if progress:
                progress(first + len(some), len(photos))
    return pixels


def _squashed(photo: LabelledPhoto, size: int) -> torch.Tensor:
    squash = Resized(size, "squash", (0.0,) * 3, (1.0,) * 3, decode_size=2 * size)
    try:
        image = decode(photo.path.read_bytes(), ANY_SIZE, squash.decode_size).image
    except (InvalidPhotoError, OSError) as error:
        raise InvalidInputError(f"{photo.path} cannot be trained on: {error}") from error
    return torch.from_numpy(squash(image)).to(torch.uint8)


def normalised(pixels: torch.Tensor, like: Resized) -> torch.Tensor:
    """Return pixels (N, 3, H, W) in 0–255 as a network with this preprocessing takes them."""
    mean = torch.tensor(like.mean, device=pixels.device)
    scale = torch.tensor(like.scale, device=pixels.device)
    photos = (pixels.float() - mean[:, None, None]) / scale[:, None, None]
    return photos.contiguous(memory_format=torch.channels_last)
