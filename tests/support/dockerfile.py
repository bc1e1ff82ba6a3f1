"""deploy/docker/Dockerfile, read as far as its tests need it."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"


@dataclass
class Stage:
    """What one FROM begins; `base` is an image, or the stage before it."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, keyword: str) -> list[str]:
        return [text for word, text in self.instructions if word == keyword]

    def last(self, keyword: str) -> str:
        return self.of(keyword)[-1]

    @property
    def environment(self) -> dict[str, str]:
        return {
            name: value
            for text in self.of("ENV")
            for name, _, value in (word.partition("=") for word in shlex.split(text))
        }


def stages(path: Path = DOCKERFILE) -> dict[str, Stage]:
    """Return the stages by name, in order; arguments of bases have their defaults."""
    found: dict[str, Stage] = {}
    defaults: dict[str, str] = {}
    for keyword, text in _instructions(path.read_text()):
        if keyword == "ARG" and not found:
            name, _, default = text.partition("=")
            defaults[f"${{{name}}}"] = default
        elif keyword == "FROM":
            for argument, default in defaults.items():
                text = text.replace(argument, default)
            match = re.fullmatch(r"(\S+) AS (\S+)", text)
            assert match, f"a stage without a name: {text}"
            found[match[2]] = Stage(match[2], match[1])
        else:
            [*found.values()][-1].instructions.append((keyword, text))
    return found


def lineage(name: str, known: Mapping[str, Stage]) -> list[Stage]:
    """Return a stage and what it stands on, the lowest first."""
    stage = known[name]
    return [*(lineage(stage.base, known) if stage.base in known else []), stage]


def image_environment(name: str) -> dict[str, str]:
    """Return what an image's processes are given by the image."""
    return {
        key: value for stage in lineage(name, stages()) for key, value in stage.environment.items()
    }


def is_sent(path: str) -> bool:
    """Whether a file or folder of the repository is sent to a build, by .dockerignore.

    Docker's rule: the last line that fits a path, or a folder that it is in, decides.
    """
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if not pattern or line.startswith("#"):
            continue
        parts = {path, Path(path).name, *map(str, Path(path).parents)}
        if any(fnmatch.fnmatch(part, pattern) for part in parts):
            sent = line.startswith("!")
    return sent


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            yield keyword, re.sub(r"\s+", " ", rest.strip())
