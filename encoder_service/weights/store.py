"""Locates each model's weights on this machine, fetches missing ones, and verifies them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog
from filelock import FileLock

from encoder_service.models.registry import definition_of, model_names
from encoder_service.models.shipped_weights import check_present
from encoder_service.models.weight_overlay import as_overlay
from encoder_service.models.weight_sources import (
    CommittedWeights,
    FetchedWeights,
    NoWeights,
    WeightsRecipe,
    WeightsSource,
)
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import (
    Tensors,
    read_metadata,
    read_tensors,
    tensors_digest,
    write_tensors,
)
from encoder_service.weights.fetch import DownloadProgress, fetch, sha256_of
from landmarks.errors import ConfigurationError, UnavailableError

_log = structlog.get_logger(__name__)

Fetch = Callable[[WeightsSource, Path, DownloadProgress], Path]
WeightsLocation = Literal["none needed", "committed", "file", "cache", "absent"]


@dataclass(frozen=True)
class WeightsStatus:
    """What is known of a model's weights without fetching anything.

    `verified`: the file has the expected tensors. `bytes` is the size of the file, or about the
    size of a download. `source` describes where the weights come from. `obtainable`: all files of
    the model are on this machine or have a source.
    """

    model: str
    where: WeightsLocation
    path: Path | None
    verified: bool
    bytes: int
    source: str
    obtainable: bool


def available_models(settings: WeightsSettings) -> tuple[str, ...]:
    """Return the sorted names of all models whose weights are on this machine or have a source."""
    return tuple(
        name
        for name in sorted(model_names(settings.trained_models))
        if _status(name, settings, verify=False).obtainable
    )


def weights_status(model: str, settings: WeightsSettings) -> WeightsStatus:
    """Return where a model's weights are, and whether they are valid. Fetches nothing.

    Raises NotFoundError for an unknown model.
    """
    return _status(model, settings, verify=True)


def ensure_weights(
    model: str,
    settings: WeightsSettings,
    progress: DownloadProgress | None = None,
    fetch_source: Fetch = fetch,
) -> Path | None:
    """Return the safetensors file of a model's weights; fetch and convert it if necessary.

    The file does not include the model's overlay. None where the model has no weights. `progress`
    is called with the bytes done and the total bytes, from 0 again for each further source. Of
    several processes that need the same weights, one fetches and the others wait.

    Raises NotFoundError for an unknown model; ConfigurationError where a file that ships with the
    program or that the user named is missing or invalid; UnavailableError where every source
    failed, with the reason of each.
    """
    recipe = definition_of(model, settings.trained_models).weights
    if isinstance(recipe, NoWeights):
        return None
    if isinstance(recipe, CommittedWeights):
        check_present(model, recipe.path)
        return recipe.path
    target = _cache_path(recipe, settings)
    named = settings.weights_files.get(recipe.name)
    if named is None and target.is_file() and _is_valid(target, recipe):
        return target  # writes nothing: in an image, the cache may be read-only
    target.parent.mkdir(parents=True, exist_ok=True)
    # The kernel releases the lock when the process ends, however it ends. The lock file stays: were
    # it removed, two processes could hold locks on different files of that name.
    with FileLock(target.with_name(f".{target.stem}.lock")):
        if named is not None:
            return _converted(named, recipe, target)
        if target.is_file():
            if _is_valid(target, recipe):
                return target
            _log.warning("cached weights are damaged; fetching again", path=str(target))
        return _fetched(model, recipe, target, progress or _no_progress, fetch_source)


def load_weights(
    model: str, settings: WeightsSettings, progress: DownloadProgress | None = None
) -> Tensors:
    """Return the tensors of a model's weights and of its overlay. Raises as `ensure_weights`."""
    path = ensure_weights(model, settings, progress)
    tensors = {} if path is None else read_tensors(path)
    overlay = definition_of(model, settings.trained_models).overlay
    if overlay is None:
        return tensors
    check_present(model, overlay)
    return {**tensors, **as_overlay(read_tensors(overlay))}


def _converted(named: Path, recipe: FetchedWeights, target: Path) -> Path:
    """Return the file that the user named, converted to safetensors."""
    if not named.is_file():
        raise ConfigurationError(f"LANDMARKS_WEIGHTS_FILES names {named}, which does not exist")
    try:
        tensors = _verified(named, recipe)
    except _WrongWeightsError as error:
        raise ConfigurationError(
            f"{named}, which LANDMARKS_WEIGHTS_FILES names, holds {error}"
        ) from error
    if named.suffix == ".safetensors":
        return named
    if not (target.is_file() and _is_valid(target, recipe)):
        _write_verified(tensors, target, recipe)
    return target


def _fetched(
    model: str,
    recipe: FetchedWeights,
    target: Path,
    progress: DownloadProgress,
    fetch_source: Fetch,
) -> Path:
    reasons: list[str] = []
    for source in recipe.sources:
        _log.info("fetching weights", model=model, source=str(source))
        # Beside the target, because /tmp may be small.
        with tempfile.TemporaryDirectory(prefix=f".{model}-", dir=target.parent) as folder:
            try:
                tensors = _verified(fetch_source(source, Path(folder), progress), recipe)
            except _WrongWeightsError as error:
                reasons.append(f"{source} holds {error}")
            except (UnavailableError, ConfigurationError) as error:
                reasons.append(str(error))
            else:
                _write_verified(tensors, target, recipe)
                return target
        _log.warning(
            "a source of weights failed",
            model=model,
            reason=reasons[-1],
            sources_left=len(recipe.sources) - len(reasons),
        )
    raise UnavailableError(
        f"the weights of {model} cannot be fetched: {'; '.join(reasons)}. Name a local file of them"
        " in LANDMARKS_WEIGHTS_FILES, or try again with a network connection"
    )


def _read(path: Path, recipe: FetchedWeights) -> Tensors:
    if path.suffix == ".safetensors":
        return read_tensors(path)
    if path.suffix not in recipe.readers:
        kinds = ", ".join([".safetensors", *recipe.readers])
        raise ConfigurationError(f"{path} cannot be read as weights; accepted suffixes: {kinds}")
    try:
        return recipe.readers[path.suffix](path)
    except Exception as error:  # of any content: torch and onnx raise anything
        raise ConfigurationError(f"{path} cannot be read as weights: {error}") from error


class _WrongWeightsError(Exception):
    """A file holds other weights than expected."""


def _verified(path: Path, recipe: FetchedWeights) -> Tensors:
    """Return the tensors of a file. Raises _WrongWeightsError, and as `_read`."""
    tensors = _read(path, recipe)
    if recipe.digest:
        found, expected = tensors_digest(tensors), recipe.digest
    elif path.suffix == ".safetensors":  # converted by this program earlier
        recorded = read_metadata(path)
        if recorded.get("digest") != tensors_digest(tensors):
            raise _WrongWeightsError("other weights than when they were converted")
        found, expected = recorded.get("source", ""), recipe.file_sha256
    else:
        found, expected = sha256_of(path), recipe.file_sha256
    if not found.startswith(expected):
        raise _WrongWeightsError(f"other weights: their digest is {found[:12]}, not {expected}")
    return tensors


def _write_verified(tensors: Tensors, target: Path, recipe: FetchedWeights) -> None:
    write_tensors(
        tensors, target, {"digest": tensors_digest(tensors), "source": recipe.file_sha256}
    )


def _is_valid(path: Path, recipe: FetchedWeights) -> bool:
    try:
        _verified(path, recipe)
    except (ConfigurationError, _WrongWeightsError):
        return False
    return True


def _cache_path(recipe: FetchedWeights, settings: WeightsSettings) -> Path:
    return settings.cache_dir / "weights" / f"{recipe.name}-{recipe.version}.safetensors"


def _status(model: str, settings: WeightsSettings, *, verify: bool) -> WeightsStatus:
    definition = definition_of(model, settings.trained_models)
    recipe, overlay = definition.weights, definition.overlay
    where, path, source = _locate(recipe, settings)
    present = path is not None and path.is_file()
    expected = recipe.bytes if isinstance(recipe, FetchedWeights) else 0
    verified = where == "none needed"
    if verify and present and path is not None:
        verified = True
        if isinstance(recipe, FetchedWeights):
            verified = _is_valid(path, recipe)
    return WeightsStatus(
        model=model,
        where=where,
        path=path,
        verified=verified,
        bytes=path.stat().st_size if present and path is not None else expected,
        source=source,
        obtainable=(overlay is None or overlay.is_file())
        and (
            where == "none needed"
            or present
            or (where == "absent" and isinstance(recipe, FetchedWeights) and bool(recipe.sources))
        ),
    )


def _locate(
    recipe: WeightsRecipe, settings: WeightsSettings
) -> tuple[WeightsLocation, Path | None, str]:
    if isinstance(recipe, NoWeights):
        return "none needed", None, "the model has no weights"
    if isinstance(recipe, CommittedWeights):
        return "committed", recipe.path, "ships with the program"
    sources = ", else ".join(str(source) for source in recipe.sources)
    if (named := settings.weights_files.get(recipe.name)) is not None:
        return "file", named, "named in LANDMARKS_WEIGHTS_FILES"
    cached = _cache_path(recipe, settings)
    return ("cache", cached, sources) if cached.is_file() else ("absent", None, sources)


def _no_progress(done: int, total: int) -> None:
    del done, total
