"""deploy/docker/Dockerfile, as far as it shows without Docker; test_images.py runs its steps."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dockerfile import DOCKERFILE, ROOT, image_environment, is_sent, lineage, stages

TOOLS = ROOT / "deploy/docker/tools.txt"
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
    # What builds it stays behind.
    base, itself = lineage(image, known)
    assert (base.name, itself.name) == ("base", image)
    assert base.last("HEALTHCHECK").endswith('CMD ["healthy"]')
    assert "deploy/docker/healthy /usr/local/bin/healthy" in base.of("COPY")
    assert os.access(ROOT / "deploy/docker/healthy", os.X_OK)
    assert image_environment(image)["LANDMARKS_METRICS_PORT"]
    assert f"--from=build-{image} /opt/venv /opt/venv" in stage.of("COPY")


def test_what_builds_the_images_is_pinned_by_hash() -> None:
    tools = re.findall(r"^([\w-]+)==(\S+) \\$", TOOLS.read_text(), re.MULTILINE)
    versions = dict(tools)
    assert set(versions) == {"pip", "uv"}
    setup = (ROOT / "scripts/setup").read_text()
    assert f"uv_version={versions['uv']}\n" in setup
    installs = [text for stage in stages().values() for text in stage.of("RUN")]
    for step in (one for one in installs if "install" in one):
        pinned = (
            "--require-hashes --requirement tools.txt",
            "--constraint requirements.lock",
            "--build-constraint requirements.lock",  # with --no-deps
            "--constraint tools.txt",
        )
        assert any(how in step for how in pinned) or step.startswith("install -d"), step
    lock = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^hatchling==", lock, re.MULTILINE)  # for the build constraint


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_its_own_extra_only(image: str) -> None:
    installs = " ".join(stages()[f"build-{image}"].of("RUN"))
    assert re.findall(r"--extra (\w+)", installs) == [image]


def test_what_the_images_install_is_sent_to_the_build_and_nothing_else() -> None:
    needed = {
        path
        for stage in stages().values()
        for text in stage.of("COPY")
        if not text.startswith("--from")
        for path in text.split()[:-1]
    }
    assert {"landmarks", "protos", "weights", "search_service"} <= needed
    assert [path for path in sorted(needed) if not is_sent(path)] == []
    kept_out = [
        ".git/HEAD",
        ".venv/bin/python",
        "benchmarks/harness.py",
        "deploy/compose/secrets/ca.key",
        "landmarks_tools/cli/app.py",
        "tests/conftest.py",
    ]
    assert [path for path in kept_out if is_sent(path)] == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_gets_its_own_package_on_the_shared_ground_and_no_other(image: str) -> None:
    copied = {
        path
        for text in stages()[f"build-{image}"].of("COPY")
        for path in text.split()[:-1]
        if (ROOT / path).is_dir()
    }
    package = {"search": "search_service", "indexer": "indexer_worker"}.get(image)
    own = {package} if package else {"encoder_service", "weights"}
    assert copied == {"landmarks", "protos", *own}
