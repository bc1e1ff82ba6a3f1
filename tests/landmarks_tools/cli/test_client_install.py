"""Without extras, the commands that need the search service alone work; others name their extra."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from landmarks_tools.cli.output import ExitCode
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
SCRIPT = Path(__file__).with_name("client_install.py")

# How each command is called, and the extra it needs, if any.
COMMANDS = {
    "index": ("index /tmp", ""),
    "search": ("search pyproject.toml", ""),
    "jobs": ("jobs", ""),
    "models": ("models", ""),
    "collections": ("collections", ""),
    "delete": ("delete --source a --yes", ""),
    "reindex": ("reindex vgg16", ""),
    "calibrate": ("calibrate", ""),
    "map": ("map vgg16", ""),
    "keys list": ("keys list --file nowhere.json", ""),
    "up": ("up", "local"),
    "demo": ("demo", "local"),
    "backup": ("backup nowhere", "local"),
    "restore": ("restore nowhere", "local"),
    "export": ("export landmarks__vgg16 nowhere.gz", "indexer"),
    "import": ("import nowhere.gz", "indexer"),
    "weights": ("weights", "encoder"),
    "train scratch": ("train scratch nowhere --out nowhere", "encoder"),
    "train transfer": ("train transfer nowhere --out nowhere", "encoder"),
    "evaluate": ("evaluate nowhere", "encoder,evaluation"),
    "verdicts": ("verdicts a --gallery a --known b --unknown c", "encoder,evaluation"),
    "report": ("report nowhere", "encoder,evaluation"),
}


def run(*arguments: str, given: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **settings}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        input=given,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def outcomes(commands: list[list[str]], **settings: str) -> list[dict[str, str]]:
    result = run(given=json.dumps(commands), **settings)
    assert result.returncode == 0, result.stderr
    answers: list[dict[str, str]] = json.loads(result.stdout)
    return answers


def test_every_command_explains_itself() -> None:
    names = list(COMMANDS)
    answers = outcomes([[*name.split(), "--help"] for name in names])
    for name, answer in zip(names, answers, strict=True):
        assert answer["error"] == "None", (name, answer)
        assert f"landmarks {name} [OPTIONS]" in answer["output"]


def test_a_command_whose_extra_is_missing_says_how_to_install_it() -> None:
    needing = {line: extra for line, extra in COMMANDS.values() if extra}
    needing["search pyproject.toml --sheet sheet.png"] = "search"
    for (line, extra), answer in zip(
        needing.items(), outcomes([line.split() for line in needing]), strict=True
    ):
        assert answer["error"].startswith("ConfigurationError"), (line, answer)
        assert f"pip install 'landmark-reverse-image-search[{extra}]'" in answer["error"], line


def test_a_client_command_needs_only_the_search_service() -> None:
    lines = [COMMANDS[name][0].split() for name in ("index", "search", "jobs")]
    server = f"127.0.0.1:{free_port()}"
    for line, answer in zip(lines, outcomes(lines, LANDMARKS_SERVER=server), strict=True):
        assert answer["error"].startswith("UnavailableError"), (line, answer)


def test_a_missing_extra_ends_the_command_with_a_line_and_a_status() -> None:
    result = run("up")
    assert result.returncode == ExitCode.FAILED
    assert result.stderr.startswith("error: this command needs the extra `local`")
    assert "Traceback" not in result.stderr


def test_tracing_that_is_not_installed_is_named_by_its_setting() -> None:
    result = run("jobs", LANDMARKS_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert result.returncode == ExitCode.FAILED
    assert result.stderr.startswith("error: LANDMARKS_OTLP_ENDPOINT needs the extra `service`")


def test_the_version_is_the_distributions() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout == f"landmarks {metadata.version('landmark-reverse-image-search')}\n"
