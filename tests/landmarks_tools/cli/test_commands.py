"""The command without a stack: help, options, exit statuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landmarks import errors
from landmarks.settings import Settings
from landmarks_tools.cli.app import app
from landmarks_tools.cli.output import ExitCode, comma_separated, exit_code_of
from landmarks_tools.cli.up import parse_scale
from landmarks_tools.cli.weights import models_with_weights
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

LANDMARKS = Path(sys.executable).with_name("landmarks")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([LANDMARKS, *arguments], capture_output=True, text=True)


COMMANDS = [
    "up",
    "index",
    "search",
    "jobs",
    "models",
    "collections",
    "delete",
    "reindex",
    "export",
    "import",
    "backup",
    "restore",
    "weights",
    "report",
    "evaluate",
    "demo",
    "keys",
]


def test_every_command_is_listed_and_explains_itself() -> None:
    listed = run("--help")
    assert listed.returncode == 0
    for command in COMMANDS:
        assert command in listed.stdout
        own = CliRunner().invoke(app, [command, "--help"])
        assert own.exit_code == 0
        assert f"{command} [OPTIONS]" in own.stdout


def test_the_shell_is_recognised_and_gets_its_completion_script() -> None:
    # With a second command, bash stays the parent of the first.
    result = subprocess.run(
        ["bash", "-c", f"{LANDMARKS} --show-completion; true"], capture_output=True, text=True
    )
    assert "complete -o default -F _landmarks_completion landmarks" in result.stdout


def test_the_completion_script_is_given_the_commands() -> None:
    asked = {
        "_LANDMARKS_COMPLETE": "complete_bash",
        "COMP_WORDS": "landmarks re",
        "COMP_CWORD": "1",
    }
    result = subprocess.run([LANDMARKS], capture_output=True, text=True, env=asked)
    assert set(result.stdout.split()) == {"reindex", "report", "restore"}


def test_without_a_stack_the_command_says_so_and_how_to_start_one() -> None:
    result = run("jobs", "--server", f"127.0.0.1:{free_port()}")
    assert result.returncode == ExitCode.UNAVAILABLE
    assert "landmarks up" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("index", "/tmp"), ("search", "pyproject.toml"), ("models",), ("collections",)],
    ids=lambda arguments: arguments[0],
)
def test_without_a_stack_every_command_that_needs_one_fails(arguments: tuple[str, ...]) -> None:
    server = ["--server", f"127.0.0.1:{free_port()}"]
    result = CliRunner().invoke(app, [*arguments, *server])
    assert isinstance(result.exception, errors.UnavailableError)


def test_without_qdrant_an_export_says_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LANDMARKS_QDRANT_PORT", str(free_port()))
    result = run("export", "landmarks__scratch", str(tmp_path / "it.gz"))
    assert result.returncode == ExitCode.UNAVAILABLE
    assert "LANDMARKS_QDRANT_HOST and LANDMARKS_QDRANT_PORT" in " ".join(result.stderr.split())
    assert not list(tmp_path.iterdir())


def test_weights_are_listed_for_programs_without_fetching_any() -> None:
    result = run("weights", "--json")
    assert result.returncode == 0, result.stderr
    assert {item["model"] for item in json.loads(result.stdout)} >= {"scratch", "vgg16"}


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    result = run("weights", "resnet")
    assert result.returncode == ExitCode.NOT_FOUND
    assert "resnet" in result.stderr
    assert "vgg16" in result.stderr


def test_models_are_those_whose_weights_can_be_had_unless_one_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "encoder_service.models.registry.MODULES",
        {"absent": "tests.support.absent_model", "scratch": "encoder_service.models.scratch"},
    )
    settings = Settings(cache_dir=tmp_path)
    assert models_with_weights([], settings) == ["scratch"]
    assert "absent: left out" in capsys.readouterr().out
    with pytest.raises(errors.UnavailableError, match="LANDMARKS_WEIGHTS_FILES"):
        models_with_weights(["absent"], settings)


def test_scale_is_a_count_per_model() -> None:
    assert parse_scale(["vgg16=2", "scratch=1"]) == {"vgg16": 2, "scratch": 1}
    with pytest.raises(errors.InvalidInputError, match="MODEL=N"):
        parse_scale(["vgg16"])


def test_names_with_commas_between_them() -> None:
    assert comma_separated(" a, b,,c ") == ["a", "b", "c"]
    assert comma_separated("") == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidPhotoError("x"), ExitCode.USAGE),
        (errors.NotFoundError("x"), ExitCode.NOT_FOUND),
        (errors.OverloadedError("x"), ExitCode.UNAVAILABLE),
        (errors.LineageError("x"), ExitCode.FAILED),
    ],
)
def test_an_exit_status_tells_the_kind_of_error(
    error: errors.LandmarksError, status: ExitCode
) -> None:
    assert exit_code_of(error) == status
