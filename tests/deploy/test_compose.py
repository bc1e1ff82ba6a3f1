"""docker-compose.yml against the code that it starts."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from encoder_service.models.registry import MODULES, ON_REQUEST
from encoder_service.settings import EncoderSettings
from indexer_worker.settings import IndexerSettings
from landmarks.settings import ENV_PREFIX, Settings
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.local_stack.plan import Role, plan_stack
from landmarks_tools.local_stack.settings import StackSettings
from search_service.settings import SearchSettings
from tests.support.compose import compose_config, environment_of, target_of
from tests.support.dockerfile import stages

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "deploy/compose/secure.yml")
EVERYTHING = ("cluster", "gpu", "observability")
SERVICES: dict[str, dict[str, Any]] = compose_config()["services"]
ALL: dict[str, dict[str, Any]] = compose_config(profiles=EVERYTHING)["services"]
SECURE: dict[str, dict[str, Any]] = compose_config(*FILES, profiles=EVERYTHING)["services"]
SETTINGS: dict[str, type[Settings]] = {
    "encoder_service": EncoderSettings,
    "indexer_worker": IndexerSettings,
    "search_service": SearchSettings,
}
OURS = {name: service for name, service in SERVICES.items() if target_of(service)}
ENGINES = {"valkey", "qdrant"}
# The processes of one machine listen on loopback.
ONLY_IN_CONTAINERS = {"LANDMARKS_ALLOW_UNAUTHENTICATED"}
# Variables that are read before any settings are.
BEFORE_SETTINGS = {"LANDMARKS_SECRETS_DIR"}


def package_of(service: dict[str, Any]) -> str:
    python, dash_m, package = service["command"]
    assert (python, dash_m) == ("python", "-m")
    return str(package)


def variables(service: dict[str, Any]) -> dict[str, str]:
    """The settings that a service is given, by field."""
    return {
        name.removeprefix(ENV_PREFIX).lower(): value
        for name, value in environment_of(service).items()
        if name not in BEFORE_SETTINGS
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


def published_ports(service: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Where a service can be reached from outside: address, port there, port inside."""
    return [
        (port.get("host_ip", ""), int(port["published"]), port["target"])
        for port in service.get("ports", ())
    ]


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_valid_by_the_compose_specification(file: str) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    arguments = ["--builtin-schema", "vendor.compose-spec", file]
    result = subprocess.run([checker, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_services_are_the_engines_and_ours() -> None:
    assert all("healthcheck" in service for service in SERVICES.values())
    assert set(SERVICES) == ENGINES | set(OURS)
    assert {package_of(service) for service in OURS.values()} == set(SETTINGS)


def test_a_profile_adds_its_services_and_changes_no_others() -> None:
    for profile, added in {
        "cluster": {"qdrant-2", "qdrant-3"},
        "gpu": {"encoder-vgg16-gpu", "encoder-efficientnet-lite0-landmarks-gpu"},
        "observability": {"prometheus", "grafana", "collector"},
    }.items():
        services = compose_config(profiles=[profile])["services"]
        assert set(services) == set(SERVICES) | added
        assert all(services[name] == service for name, service in SERVICES.items())


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("services", [ALL, SECURE], ids=["plain", "secure"])
def test_every_environment_name_is_a_setting_of_the_service(
    services: dict[str, dict[str, Any]], name: str
) -> None:
    fields = SETTINGS[package_of(services[name])].model_fields
    for variable in services[name]["environment"]:
        if variable not in BEFORE_SETTINGS:
            assert variable.startswith(ENV_PREFIX), variable
            assert variable.removeprefix(ENV_PREFIX).lower() in fields, f"{name}: {variable}"
    settings_of(services[name])  # and every value is one that the service accepts


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_a_package_that_can_be_run_and_its_image_runs_the_same(name: str) -> None:
    package = package_of(OURS[name])
    assert importlib.util.find_spec(f"{package}.__main__") is not None
    target = target_of(OURS[name])
    assert target == package.split("_")[0]
    assert json.loads(stages()[target].last("CMD")) == OURS[name]["command"]


def test_an_image_of_ours_is_built_once_and_pulled_by_nobody() -> None:
    built: dict[str, list[dict[str, Any]]] = {}
    for service in ALL.values():
        if target_of(service):
            assert service["pull_policy"] == "never"
            built.setdefault(service["image"], []).extend(filter(None, [service.get("build")]))
        else:
            assert "build" not in service
    for image, builds in built.items():
        (build,) = builds  # or one would be tagged over the other
        assert (ROOT / build["dockerfile"]).samefile(ROOT / "deploy/docker/Dockerfile")
        assert re.match(rf"landmarks/{build['target']}(-cuda)?:", image)
        given = {"TORCH_BACKEND": ""} if "-cuda" in image else {}
        if build["target"] == "indexer":
            given = {"MAPS": "maps"}
        assert build.get("args", {}) == given


@pytest.mark.parametrize("name", ALL)
def test_no_container_fills_the_memory_or_the_disk_of_its_machine(name: str) -> None:
    service = ALL[name]
    assert 0 < int(service["mem_limit"]) <= 8 << 30
    options = service["logging"]["options"]
    assert {"max-size", "max-file"} <= set(options)
    for mount in service["tmpfs"]:
        # Without a mode, a folder that a first start made is root's alone at the next.
        path, _, given = mount.partition(":")
        assert path == "/tmp"
        assert {"size=256m", "mode=1777"} == set(given.split(","))


def test_valkey_refuses_to_write_before_its_container_is_killed() -> None:
    command = SERVICES["valkey"]["command"]
    assert command[command.index("--maxmemory") + 1] == "512mb"
    assert int(SERVICES["valkey"]["mem_limit"]) >= 2 * (512 << 20)  # a copy while it rewrites


def test_the_operators_page_says_of_every_pinned_image_until_when_it_is_supported() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    for service in ALL.values():
        if not target_of(service):
            name, _, tag = service["image"].partition(":")
            version = re.sub(r"^v|-.*", "", tag)
            assert f"| {name} | {version}" in page, service["image"]
    base = stages()["base"].base
    assert f"| {re.split(':|-', base)[1]} on Debian" in page, base


def test_a_folder_of_photos_that_is_not_there_is_not_made() -> None:
    for name, service in OURS.items():
        for mount in service.get("volumes", ()):
            if mount["target"] == "/photos":
                assert mount["type"] == "bind", name
                assert not mount["bind"].get("create_host_path"), name  # which is so by default
                assert mount["read_only"] is True, name


def test_a_health_check_of_ours_is_that_of_its_image_and_starts_no_python() -> None:
    for name, service in OURS.items():
        assert service["healthcheck"]["test"] == ["CMD", "healthy"], name
        assert isinstance(settings_of(service).metrics_port, int), name  # where it asks
    for name, service in ALL.items():
        check = service.get("healthcheck", {"test": []})["test"]
        assert not any("python" in word for word in check), name


def test_the_front_door_is_published_where_it_listens() -> None:
    settings = settings_of(OURS["search"])
    assert isinstance(settings, SearchSettings)
    published = [settings.search_port, settings.page_port]
    assert published_ports(OURS["search"]) == [("127.0.0.1", port, port) for port in published]
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
        inside = [port for _, _, port in published_ports(service)]
        assert not set(inside) & set(ports), name


@pytest.mark.parametrize("services", [ALL, SECURE], ids=["plain", "secure"])
def test_nothing_is_published_but_front_doors_on_loopback(
    services: dict[str, dict[str, Any]],
) -> None:
    published = {name: published_ports(one) for name, one in services.items() if "ports" in one}
    assert set(published) == {"search", "grafana"}
    assert {address for ports in published.values() for address, _, _ in ports} == {"127.0.0.1"}


def test_an_encoder_can_be_scaled_and_one_on_a_gpu_answers_under_the_same_name() -> None:
    for name, service in ALL.items():
        if name.startswith(("encoder-", "worker-")):
            # Either would keep a second replica from starting.
            assert "container_name" not in service
            assert "ports" not in service
        if name.endswith("-gpu"):
            cpu = ALL[name.removesuffix("-gpu")]
            assert service["networks"]["default"]["aliases"] == [name.removesuffix("-gpu")]
            assert service["environment"] == {**cpu["environment"], "LANDMARKS_DEVICE": "cuda"}
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            assert device["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", ALL)
def test_a_container_can_write_its_volumes_and_nothing_else_and_gains_no_rights(name: str) -> None:
    service = ALL[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    *_, tag = service["image"].rpartition(":")
    assert tag[:1].isdigit() or tag[:1] == "v", f"{service['image']} is not pinned"


def test_whoever_needs_an_engine_starts_when_it_is_healthy() -> None:
    for name, service in ALL.items():
        settings = settings_of(service) if target_of(service) else None
        if isinstance(settings, (IndexerSettings, SearchSettings)):
            needed = {other: it["condition"] for other, it in service["depends_on"].items()}
            assert needed == dict.fromkeys(ENGINES, "service_healthy"), name


def test_in_a_cluster_collections_have_shards_and_copies_and_elsewhere_not() -> None:
    config = compose_config(profiles=["cluster"], env_file="deploy/compose/cluster.env")
    nodes = [config["services"][name] for name in ("qdrant", "qdrant-2", "qdrant-3")]
    assert all(node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true" for node in nodes)
    assert SERVICES["qdrant"]["environment"]["QDRANT__CLUSTER__ENABLED"] == "false"
    # Each says under which name the others find it, and the first is none that `qdrant` may be.
    aliases = config["services"]["qdrant"]["networks"]["default"]["aliases"]
    assert aliases == ["qdrant-1"]
    assert [node["command"][-1] for node in nodes] == [
        f"http://qdrant-{number}:6335" for number in (1, 2, 3)
    ]
    for name in OURS:
        clustered, single = settings_of(config["services"][name]), settings_of(SERVICES[name])
        if isinstance(clustered, VectorStoreSettings):
            assert layout(clustered) == (6, 2, 1)
            assert isinstance(single, VectorStoreSettings)
            assert layout(single) == (None, None, None)


def layout(settings: VectorStoreSettings) -> tuple[int | None, int | None, int | None]:
    return (
        settings.qdrant_shard_number,
        settings.qdrant_replication_factor,
        settings.qdrant_write_consistency_factor,
    )


def test_with_the_override_everybody_has_a_certificate_and_nobody_comes_in_without() -> None:
    for name, service in SECURE.items():
        if target_of(service):
            given = environment_of(service)
            assert given["LANDMARKS_ALLOW_UNAUTHENTICATED"] == "false", name
            secrets = [m["source"] for m in service["volumes"] if m["target"] == "/run/secrets"]
            assert [Path(one).name for one in secrets] == [name.removesuffix("-gpu")]
            assert given["LANDMARKS_TLS_CERTIFICATE"] == "/run/secrets/tls.crt"
    door = environment_of(SECURE["search"])
    assert door["LANDMARKS_TLS_CLIENT_CERTIFICATES"] == "false"
    assert door["LANDMARKS_API_KEYS_FILE"] == "/run/secrets/api_keys"


def test_the_script_makes_what_the_override_mounts_with_the_names_of_each_service(
    tmp_path: Path,
) -> None:
    script = ROOT / "deploy/compose/make-secrets"
    subprocess.run([script, tmp_path], check=True, capture_output=True)
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.crt")}
    subprocess.run([script, tmp_path], check=True, capture_output=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.crt")} == first  # all is kept
    services = compose_config(
        *FILES, profiles=EVERYTHING, environment={"LANDMARKS_SECRETS": str(tmp_path)}
    )["services"]
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            if mount["source"].startswith(str(tmp_path)):
                assert Path(mount["source"]).exists(), mount
                # Read by the users of the containers, who are nobody's here.
                for file in Path(mount["source"]).rglob("*"):
                    assert file.stat().st_mode & 0o004, file
        folder = tmp_path / ("qdrant" if name.startswith("qdrant") else name.removesuffix("-gpu"))
        if (folder / "tls.crt").exists():
            certificate = subprocess.run(
                ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", folder / "tls.crt"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            names = set(re.findall(r"DNS:([\w.-]+)", certificate))
            called = {*((service["networks"]["default"] or {}).get("aliases", ()) or [name])}
            assert name.startswith("worker-") or called <= names, name


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
            names = set(environment_of(service)) - ONLY_IN_CONTAINERS
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
