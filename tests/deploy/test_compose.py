"""docker-compose.yml against the code that it starts."""

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from encoder_service.models.registry import MODULES, ON_REQUEST
from encoder_service.settings import EncoderSettings
from indexer_worker.settings import IndexerSettings
from landmarks.settings import ENV_PREFIX, Settings
from landmarks.stack.plan import Role, plan_stack
from landmarks.stack.settings import StackSettings
from search_service.settings import SearchSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS: dict[str, type[Settings]] = {
    "encoder_service": EncoderSettings,
    "indexer_worker": IndexerSettings,
    "search_service": SearchSettings,
}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ENGINES = {"valkey", "qdrant"}


def package_of(service: dict[str, Any]) -> str:
    python, dash_m, package = service["command"]
    assert (python, dash_m) == ("python", "-m")
    return str(package)


def variables(service: dict[str, Any]) -> dict[str, str]:
    """The settings that a service is given, by field; shell defaults put in."""
    return {
        name.removeprefix(ENV_PREFIX).lower(): re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        for name, value in service["environment"].items()
    }


def settings_of(service: dict[str, Any]) -> Settings:
    """The service's own settings, read as its process reads them."""
    kind = SETTINGS[package_of(service)]
    values = {
        name: json.loads(text) if text.startswith(("[", "{")) else text
        for name, text in variables(service).items()
    }
    return kind.load(values)


def serving_port(service: dict[str, Any]) -> int | None:
    """The port that callers use, if the service has one."""
    settings = settings_of(service)
    if isinstance(settings, EncoderSettings):
        return settings.encoder_port
    return settings.search_port if isinstance(settings, SearchSettings) else None


def test_the_file_is_valid_by_the_compose_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    arguments = ["--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    result = subprocess.run([checker, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("file", sorted((ROOT / "deploy/docker").glob("*.Dockerfile")), ids=str)
def test_a_dockerfile_passes_its_linter(file: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([linter, file], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_services_are_the_engines_and_ours() -> None:
    assert all("healthcheck" in service for service in SERVICES.values())
    assert set(SERVICES) == ENGINES | set(OURS)
    assert {package_of(service) for service in OURS.values()} == set(SETTINGS)


@pytest.mark.parametrize("name", OURS)
def test_every_environment_name_is_a_setting_of_the_service(name: str) -> None:
    service = OURS[name]
    fields = SETTINGS[package_of(service)].model_fields
    for variable in service["environment"]:
        assert variable.startswith(ENV_PREFIX), variable
        assert variable.removeprefix(ENV_PREFIX).lower() in fields, f"{name}: {variable}"
    settings_of(service)  # and every value is one that the service accepts


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_a_package_that_can_be_run_and_its_image_runs_the_same(name: str) -> None:
    service = OURS[name]
    package = package_of(service)
    assert importlib.util.find_spec(f"{package}.__main__") is not None
    dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
    (command,) = re.findall(r"^CMD (.*)$", dockerfile, re.MULTILINE)
    assert json.loads(command) == service["command"]
    (extra,) = re.findall(r'"\.\[(\w+)\]"', dockerfile)
    assert extra == package.split("_")[0]


def test_a_health_check_asks_the_port_and_the_model_that_its_service_serves() -> None:
    for name, service in OURS.items():
        if package_of(service) == "indexer_worker":
            assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "indexer_worker.probe"]
            continue
        *probe, address = service["healthcheck"]["test"][:5]
        assert probe == ["CMD", "python", "-m", "landmarks.probe"]
        settings = settings_of(service)
        if isinstance(settings, EncoderSettings):
            assert address == f"127.0.0.1:{settings.encoder_port}", name
            assert service["healthcheck"]["test"][5:] == list(settings.models), name
        elif isinstance(settings, SearchSettings):
            assert address == f"127.0.0.1:{settings.search_port}", name
            published = [settings.search_port, settings.page_port]
            assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in published]
            assert settings.page_host == settings.search_host


def test_every_target_is_a_service_that_serves_that_model_there() -> None:
    serving = {}
    for name, service in OURS.items():
        settings = settings_of(service)
        if isinstance(settings, EncoderSettings):
            (model,) = settings.models
            serving[model] = [f"dns:///{name}:{settings.encoder_port}"]
    assert set(serving) <= set(MODULES)
    for service in OURS.values():
        settings = settings_of(service)
        if isinstance(settings, (IndexerSettings, SearchSettings)):
            assert settings.encoders == serving


def test_metrics_are_served_inside_the_network_on_a_port_for_each_service() -> None:
    ports = [settings_of(service).metrics_port for service in OURS.values()]
    assert None not in ports
    others = {port for port in map(serving_port, OURS.values()) if port}
    assert len({*ports, *others}) == len(ports) + len(others)
    for name, service in OURS.items():
        assert settings_of(service).metrics_host == "0.0.0.0", name
        published = service.get("ports", [])
        assert not any(str(port) in entry for entry in published for port in ports), name


def test_every_model_has_a_worker() -> None:
    consumed = [
        model
        for service in OURS.values()
        if isinstance(settings := settings_of(service), IndexerSettings)
        for model in settings.models
    ]
    (search,) = (s for s in map(settings_of, OURS.values()) if isinstance(s, SearchSettings))
    assert sorted(consumed) == sorted(search.encoders)


def test_engines_are_named_and_listen_where_the_settings_say() -> None:
    qdrant_port = SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__GRPC_PORT"]
    valkey = SERVICES["valkey"]["command"]
    valkey_port = valkey[valkey.index("--port") + 1]
    for service in OURS.values():
        settings = settings_of(service)
        if isinstance(settings, (IndexerSettings, SearchSettings)):
            assert (settings.qdrant_host, str(settings.qdrant_port)) == ("qdrant", qdrant_port)
            assert settings.redis_url == f"redis://valkey:{valkey_port}/0"
    for option in (["--appendonly", "yes"], ["--maxmemory-policy", "noeviction"]):
        at = valkey.index(option[0])
        assert valkey[at : at + 2] == option


def test_the_processes_of_one_machine_have_the_same_ports_and_settings() -> None:
    encoders = {
        model: settings
        for service in OURS.values()
        if isinstance(settings := settings_of(service), EncoderSettings)
        for model in settings.models
    }
    defaults = {name: field.default for name, field in StackSettings.model_fields.items()}
    settings = StackSettings(
        **{
            **{name: defaults[name] for name in defaults if name.endswith("_port")},
            "metrics_port": 9464,
        }  # not this shell's
    )
    models = [model for model in MODULES if model not in ON_REQUEST]
    plan = plan_stack(models, {}, settings, Path("valkey-server"))
    metrics = {
        (package_of(service), *getattr(settings, "models", ())): settings.metrics_port
        for service in OURS.values()
        if (settings := settings_of(service))
    }
    for process in plan.processes:
        if process.role in (Role.ENCODER, Role.WORKER, Role.SEARCH):
            which = (process.command[-1], *filter(None, [process.model]))
            assert process.metrics_port == metrics[which]
        match process.role:
            case Role.ENCODER:
                assert process.port == encoders[process.model].encoder_port
            case Role.VECTORS:
                assert (
                    str(process.port)
                    == SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__GRPC_PORT"]
                )
            case Role.BROKER:
                assert str(process.port) in SERVICES["valkey"]["command"]
            case Role.SEARCH:
                assert str(process.port) == OURS["search"]["environment"]["LANDMARKS_SEARCH_PORT"]
                assert process.environment["LANDMARKS_PAGE_PORT"] == str(process.page_port)
                assert process.page_port == settings_of(OURS["search"]).page_port  # type: ignore[attr-defined]
    workers = {p.model: p for p in plan.processes if p.role == Role.WORKER}
    for service in OURS.values():
        if package_of(service) == "indexer_worker":
            names = set(service["environment"]) - {"LANDMARKS_LOG_LEVEL", "LANDMARKS_LOG_FORMAT"}
            (model,) = settings_of(service).models  # type: ignore[attr-defined]
            assert names <= set(workers[model].environment)


def test_an_image_without_torch_imports_none() -> None:
    for package in ("indexer_worker", "search_service"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                assert not any(
                    name.split(".")[0] in ("torch", "torchvision", "encoder_service")
                    for name in names
                ), file
