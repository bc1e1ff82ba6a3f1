"""deploy/docker/Dockerfile, as far as it shows without Docker; test_images.py runs its steps."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.dockerfile import DOCKERFILE, ROOT, is_sent, lineage, stages

IMAGES = ("search", "indexer", "encoder")


def test_it_passes_its_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_bases_are_pinned_to_a_patch() -> None:
    known = stages()
    images = {stage.base for stage in known.values() if stage.base not in known}
    assert images
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", image) for image in images), images


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_without_rights_and_says_whether_it_is_healthy(image: str) -> None:
    known = stages()
    stage = known[image]
    assert int(stage.last("USER")) >= 10000
    assert "probe" in stage.last("HEALTHCHECK")
    # What builds it stays behind.
    assert [one.name for one in lineage(image, known)] == ["base", image]
    assert f"--from=build-{image} /opt/venv /opt/venv" in stage.of("COPY")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_its_own_extra_only(image: str) -> None:
    installs = " ".join(stages()[f"build-{image}"].of("RUN"))
    assert re.findall(r"--extra (\w+)", installs) == [image]


def test_what_the_package_is_made_of_is_sent_to_the_build_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = [*packages, "pyproject.toml", "requirements.lock", "README.md", "LICENSE"]
    assert [path for path in needed if not is_sent(path)] == []
    kept_out = [
        ".git/HEAD",
        ".venv/bin/python",
        "tests/conftest.py",
        "deploy/compose/secrets/ca.key",
    ]
    assert [path for path in kept_out if is_sent(path)] == []
