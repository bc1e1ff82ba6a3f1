"""The install steps of an image, from the Dockerfile, run in a folder instead of a container.

Paths of the image become paths below the folder; a Python environment stands for the base image.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.dockerfile import ROOT, is_sent, lineage, stages

_NOT_OF_AN_IMAGE = ("PYTHON", "VIRTUAL_ENV", "LANDMARKS_")
# What is kept between builds is left to uv's own cache.
_MOUNT = re.compile(r"--mount=\S+ ")


@dataclass
class Building:
    """A build that goes on in `folder`."""

    folder: Path
    arguments: Mapping[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path = field(init=False)

    def __post_init__(self) -> None:
        python = self.folder / "usr" / "local"
        subprocess.run([sys.executable, "-m", "venv", python], check=True)
        # This machine's ways to package indexes stay; nothing of this environment's Python does.
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(_NOT_OF_AN_IMAGE)},
            "PATH": f"{python}/bin:/usr/bin:/bin",
        }
        self.directory = self.folder

    def here(self, text: str) -> str:
        return re.sub(r"(?<![\w/.])/(opt|src|var)\b", rf"{self.folder}/\1", text)

    def run_stage(self, name: str) -> None:
        """Run what a stage says, and the build stages that it stands on."""
        for stage in lineage(name, stages()):
            for keyword, text in stage.instructions:
                # The user of a container is this test's own.
                if not (keyword == "RUN" and "useradd" in text):
                    self.do(keyword, text)

    def do(self, keyword: str, text: str) -> None:
        match keyword:
            case "ENV":
                for word in shlex.split(text):
                    name, _, value = word.partition("=")
                    value = self.here(value).replace("$PATH", self.environment["PATH"])
                    self.environment[name] = value
            case "ARG":
                name, _, default = text.partition("=")
                self.environment[name] = self.arguments.get(name, default.strip('"'))
            case "WORKDIR":
                self.directory = Path(self.here(text))
                self.directory.mkdir(parents=True)
            case "COPY":
                *sources, _ = text.split()
                self._copy(sources)
            case "RUN":
                self.run(_MOUNT.sub("", text))
            case "HEALTHCHECK":
                pass
            case _:
                raise AssertionError(f"{keyword} is unknown to this test")

    def run(self, command: str) -> str:
        """Run a command as the build would; return what it says."""
        result = subprocess.run(
            ["sh", "-c", self.here(command)],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def _copy(self, sources: list[str]) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", *sources],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for name in listed:
            if is_sent(name):
                # A file is copied without the folders that it is in.
                target = self.directory / (Path(name).name if name in sources else name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
