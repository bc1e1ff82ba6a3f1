"""Files of the distribution that holds this project's trained weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from landmarks.errors import ConfigurationError

DISTRIBUTION = "landmark-reverse-image-search-weights"
_PACKAGE = "landmarks_weights"


def shipped(file_name: str) -> Path:
    """Return the path of a shipped file; it does not exist where the distribution is missing.

    Model definitions name their weights when they are imported, and a model whose weights are
    missing must not keep the others from being served.
    """
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0] if folders else _PACKAGE) / file_name


def check_present(model: str, path: Path) -> None:
    """Raise ConfigurationError, with what to do, where a file of a model's weights is missing."""
    if path.is_file():
        return
    if path != shipped(path.name):
        raise ConfigurationError(f"the weights of {model} are missing: there is no file {path}")
    raise ConfigurationError(
        f"the weights of {model} are missing: {path.name} is in the distribution {DISTRIBUTION},"
        " which is not installed. Install the folder `weights` of this repository, as in:"
        " pip install ./weights"
    )
