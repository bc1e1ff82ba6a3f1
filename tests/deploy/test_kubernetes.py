"""deploy/kubernetes, rendered by the real kustomize, against schemas and the code it starts."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import REGISTRY

import encoder_service.metrics  # noqa: F401 - registers what an encoder exports
from encoder_service.settings import EncoderSettings
from indexer_worker.settings import IndexerSettings
from landmarks.job_store.celery_app import TaskSender, celery_app
from landmarks.job_store.task_messages import CHUNK_TASK, TaskMessage, encode_queue
from landmarks.observability.telemetry import HEALTH_PATH
from landmarks.settings import ENV_PREFIX, Settings
from search_service.settings import SearchSettings
from tests.support import compose
from tests.support.kustomize import (
    KUBERNETES,
    Object,
    component_of,
    container_of,
    environment_of,
    named,
    objects,
    pod_of,
    selects,
    workloads,
)
from tests.support.promtool import selectors
from tests.support.valkey import running_valkey

pytestmark = pytest.mark.needs(program="kubectl")

FOLDERS = ("base", "overlays/keda", "overlays/secure", "overlays/gpu", "overlays/production")
SECURE = ("overlays/secure", "overlays/production")
SCALED_BY_KEDA = ("overlays/keda", "overlays/production")
# The oldest release that has all that is used (a preStop hook that sleeps), and a late one.
VERSIONS = ("1.30", "1.37")
# Of other parts' own making, which Kubernetes' schemas do not know.
CUSTOM = ("keda.sh/", "cert-manager.io/")
SETTINGS: dict[str, type[Settings]] = {
    "encoder": EncoderSettings,
    "worker": IndexerSettings,
    "search": SearchSettings,
}
BEFORE_SETTINGS = {"LANDMARKS_SECRETS_DIR"}
# Made by hand, as components/secure says.
MADE_BY_HAND = {"passwords", "api-keys"}

every_folder = pytest.mark.parametrize("folder", FOLDERS)


def settings_of(deployment: Object, folder: str) -> Any:
    values = {
        name.removeprefix(ENV_PREFIX).lower(): json.loads(text)
        if text.startswith(("[", "{"))
        else text
        for name, text in environment_of(deployment, folder).items()
        if name not in BEFORE_SETTINGS
    }
    return SETTINGS[component_of(deployment)].load(values)


def deployments(folder: str, component: str = "") -> dict[str, Object]:
    found = named(folder, "Deployment")
    return {k: v for k, v in found.items() if component in ("", component_of(v))}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_by_the_schema_of_kubernetes(version: str) -> None:
    every = {json.dumps(one) for folder in FOLDERS for one in objects(folder)}
    for one in map(json.loads, sorted(every)):
        if not one["apiVersion"].startswith(CUSTOM):
            kubernetes_validate.validate(one, version, strict=True)


@every_folder
def test_every_environment_name_is_a_setting_and_every_value_one_that_is_accepted(
    folder: str,
) -> None:
    for name, deployment in deployments(folder).items():
        fields = SETTINGS[component_of(deployment)].model_fields
        for variable in environment_of(deployment, folder).keys() - BEFORE_SETTINGS:
            assert variable.startswith(ENV_PREFIX), variable
            assert variable.removeprefix(ENV_PREFIX).lower() in fields, f"{name}: {variable}"
        settings_of(deployment, folder)


@pytest.mark.parametrize(
    ("folder", "files"),
    [
        ("base", ["docker-compose.yml"]),
        ("overlays/secure", ["docker-compose.yml", "deploy/compose/secure.yml"]),
    ],
)
def test_services_are_told_the_same_things_as_in_the_compose_file(
    folder: str, files: list[str]
) -> None:
    services = compose.compose_config(*files)["services"]
    # Set by a variable of the shell there, and left at their defaults here.
    optional = {"LANDMARKS_LOG_LEVEL", "LANDMARKS_OTLP_ENDPOINT"}
    for name, deployment in deployments(folder).items():
        here = set(environment_of(deployment, folder))
        assert here == set(services[name]["environment"]) - optional, name


@every_folder
def test_every_target_is_a_headless_service_of_the_encoders_of_that_model(folder: str) -> None:
    services, encoders = named(folder, "Service"), deployments(folder, "encoder")
    serving = {settings_of(one, folder).models: one for one in encoders.values()}
    for component in ("search", "worker"):
        for deployment in deployments(folder, component).values():
            targets = settings_of(deployment, folder).encoders
            assert {(model,) for model in targets} == set(serving)
            for model, (target,) in targets.items():
                host, port = target.removeprefix("dns:///").split(":")
                assert services[host]["spec"]["clusterIP"] == "None"
                assert services[host]["spec"]["ports"][0]["port"] == int(port)
                selector = {"matchLabels": services[host]["spec"]["selector"]}
                chosen = [
                    one
                    for one in deployments(folder).values()
                    if selects(selector, pod_of(one)["metadata"]["labels"])
                ]
                assert chosen == [serving[model,]]


@every_folder
def test_every_model_that_is_served_has_workers(folder: str) -> None:
    served = [settings_of(one, folder).models for one in deployments(folder, "encoder").values()]
    consumed = [settings_of(one, folder).models for one in deployments(folder, "worker").values()]
    assert sorted(served) == sorted(consumed)


@every_folder
def test_ports_and_probes_are_those_that_services_listen_on(folder: str) -> None:
    for name, deployment in deployments(folder).items():
        settings, container = settings_of(deployment, folder), container_of(deployment)
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert ports["metrics"] == settings.metrics_port
        for probe in (container["startupProbe"], container["readinessProbe"]):
            assert probe["httpGet"] == {"path": HEALTH_PATH, "port": "metrics"}, name
        if component_of(deployment) == "worker":
            continue
        is_encoder = component_of(deployment) == "encoder"
        assert ports["grpc"] == (settings.encoder_port if is_encoder else settings.search_port)
        if not is_encoder:
            assert ports["page"] == settings.page_port


@every_folder
def test_a_pod_has_time_to_drain_before_it_is_killed(folder: str) -> None:
    for name, deployment in deployments(folder).items():
        settings, pod = settings_of(deployment, folder), pod_of(deployment)["spec"]
        pause = container_of(deployment).get("lifecycle", {}).get("preStop", {})
        seconds = pause.get("sleep", {}).get("seconds", 0)
        match component_of(deployment):
            case "encoder":
                drain = settings.drain_seconds
            case "search":
                drain = settings.search_drain_seconds
            case _:
                drain = settings.encode_timeout_seconds  # a chunk that runs may end
        assert pod["terminationGracePeriodSeconds"] >= seconds + drain + 10, name
        # Callers look a name up every few seconds; a worker has none.
        assert seconds >= 5 or component_of(deployment) == "worker"


@every_folder
def test_no_container_has_rights_that_it_does_not_need(folder: str) -> None:
    for workload in workloads(folder):
        pod, container = pod_of(workload)["spec"], container_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        for volume in pod.get("volumes", ()):
            assert volume.get("emptyDir") is None or "sizeLimit" in volume["emptyDir"]
        _, _, tag = container["image"].partition(":")
        assert tag[:1].isdigit(), f"{container['image']} is not pinned"


@every_folder
def test_selectors_choose_what_they_are_meant_for(folder: str) -> None:
    labels = {
        one["metadata"]["name"]: pod_of(one)["metadata"]["labels"] for one in workloads(folder)
    }
    labels["qdrant"] = {"app.kubernetes.io/name": "qdrant"}  # as its chart has them

    def chosen(selector: Object) -> list[str]:
        return [name for name, its in labels.items() if selects(selector, its)]

    budgets = objects(folder, "PodDisruptionBudget")
    spared = [name for one in budgets for name in chosen(one["spec"]["selector"])]
    assert sorted(spared) == sorted(deployments(folder))
    for name, service in named(folder, "Service").items():
        pods = name.removesuffix("-nodes")  # Qdrant's, beside the Service of its chart
        assert chosen({"matchLabels": service["spec"]["selector"]}) == [pods]
    for policy in objects(folder, "NetworkPolicy"):
        assert chosen(policy["spec"]["podSelector"]), policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", ()):
            for peer in rule["from"]:
                assert "namespaceSelector" in peer or chosen(peer["podSelector"])


def scaling(folder: str) -> dict[str, tuple[int, int]]:
    """Least and most replicas of every deployment."""
    found = {
        name: (one["spec"]["replicas"],) * 2
        for name, one in deployments(folder).items()
        if "replicas" in one["spec"]
    }
    for one in objects(folder, "HorizontalPodAutoscaler"):
        spec = one["spec"]
        found[spec["scaleTargetRef"]["name"]] = (spec["minReplicas"], spec["maxReplicas"])
    for one in objects(folder, "ScaledObject"):
        spec = one["spec"]
        found[spec["scaleTargetRef"]["name"]] = (spec["minReplicaCount"], spec["maxReplicaCount"])
    return found


@every_folder
def test_every_encoder_has_its_own_autoscaler_and_no_workers_are_more_than_encoders_take(
    folder: str,
) -> None:
    kind = "ScaledObject" if folder in SCALED_BY_KEDA else "HorizontalPodAutoscaler"
    targets = [one["spec"]["scaleTargetRef"]["name"] for one in objects(folder, kind)]
    assert set(targets) >= set(deployments(folder, "encoder"))
    assert len(set(targets)) == len(targets)
    counts = scaling(folder)
    assert set(counts) == set(deployments(folder))
    for name, worker in deployments(folder, "worker").items():
        encoder = name.replace("worker-", "encoder-")
        settings = settings_of(worker, folder)
        queued = settings_of(deployments(folder)[encoder], folder).max_queued_photos
        in_hand = settings.worker_concurrency * settings.chunk_size
        for workers, encoders in zip(counts[name], counts[encoder], strict=True):
            assert workers * in_hand <= encoders * queued / 2  # the rest is for searches


def exported_metrics() -> set[str]:
    """Return the metrics that an encoder has, by what their kinds are called when scraped."""
    parts = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {
        family.name + part for family in REGISTRY.collect() for part in parts.get(family.type, ())
    }


def test_autoscalers_read_metrics_that_encoders_export() -> None:
    read = {
        metric["pods"]["metric"]["name"]
        for one in objects("base", "HorizontalPodAutoscaler")
        for metric in one["spec"]["metrics"]
    }
    adapter = yaml.safe_load((KUBERNETES / "prometheus-adapter-values.yaml").read_text())
    queries = [rule["seriesQuery"] for rule in adapter["rules"]["custom"]]
    assert read == {one.metric for query in queries for one in selectors(query)}
    for one in objects("overlays/keda", "ScaledObject"):
        model = one["metadata"]["name"].partition("-")[2].replace("-", "_")
        for trigger in one["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                for selector in selectors(trigger["metadata"]["query"]):
                    read.add(selector.metric)
                    assert ("model", model) in {(name, value) for name, _, value in selector.labels}
    assert len(read) > 3
    assert read <= exported_metrics()


@pytest.mark.parametrize("folder", SECURE)
def test_whoever_has_a_certificate_has_one_for_the_names_by_which_it_is_called(
    folder: str,
) -> None:
    certificates = {
        one["spec"]["secretName"]: one["spec"] for one in objects(folder, "Certificate")
    }
    for name, deployment in deployments(folder).items():
        given = environment_of(deployment, folder)
        assert given["LANDMARKS_ALLOW_UNAUTHENTICATED"] == "false"
        (mounted,) = (
            volume["projected"]["sources"]
            for volume in pod_of(deployment)["spec"]["volumes"]
            if volume["name"] == "secrets"
        )
        (place,) = (
            mount["mountPath"]
            for mount in container_of(deployment)["volumeMounts"]
            if mount["name"] == "secrets"
        )
        secrets = {source["secret"]["name"] for source in mounted}
        (own,) = secrets & set(certificates)
        assert secrets - {own} <= MADE_BY_HAND
        assert Path(given["LANDMARKS_TLS_CERTIFICATE"]) == Path(place) / "tls.crt"
        assert given["LANDMARKS_SECRETS_DIR"] == place
        assert certificates[own]["ipAddresses"] == ["127.0.0.1"]  # its own probes
        if component_of(deployment) == "encoder":
            assert name in certificates[own]["dnsNames"]
        else:
            assert "passwords" in secrets


def test_keda_comes_to_valkey_as_whoever_is_let_in() -> None:
    folder = "overlays/production"
    (authentication,) = objects(folder, "TriggerAuthentication")
    known = {one["spec"]["secretName"] for one in objects(folder, "Certificate")} | MADE_BY_HAND
    given = {one["parameter"]: one["name"] for one in authentication["spec"]["secretTargetRef"]}
    assert set(given) == {"password", "ca", "cert", "key"}
    assert set(given.values()) <= known
    triggers = [one["spec"]["triggers"][0] for one in objects(folder, "ScaledObject")]
    for trigger in triggers:
        if trigger["type"] == "redis":
            assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]
            assert trigger["metadata"]["enableTLS"] == "true"


@pytest.mark.parametrize("folder", ["overlays/production"])
def test_weights_that_are_in_the_image_are_not_hidden_by_a_mount(folder: str) -> None:
    for encoder in deployments(folder, "encoder").values():
        paths = {mount["mountPath"] for mount in container_of(encoder)["volumeMounts"]}
        assert paths == {"/tmp", "/run/secrets/landmarks"}


@pytest.mark.integration
@pytest.mark.parametrize("folder", SCALED_BY_KEDA)
def test_the_lists_that_keda_measures_are_those_in_which_chunks_wait(
    folder: str, tmp_path: Path
) -> None:
    """By a real Celery on a real Valkey: which key a message lands in is Celery's own affair."""
    lists = {
        settings_of(deployments(folder)[one["spec"]["scaleTargetRef"]["name"]], folder).models: one[
            "spec"
        ]["triggers"][0]["metadata"]
        for one in objects(folder, "ScaledObject")
        if one["metadata"]["name"].startswith("worker-")
    }
    assert len(lists) == 3
    with running_valkey(tmp_path) as valkey, valkey.client() as client:
        with TaskSender(celery_app(valkey.url)) as sender:
            for (model,) in lists:
                sender.send(TaskMessage(CHUNK_TASK, {}, encode_queue(model)))
        for trigger in lists.values():
            assert client.llen(trigger["listName"]) == 1
            assert trigger["address"].endswith(":6379")


@every_folder
def test_a_gateway_is_told_whether_the_front_door_speaks_tls(folder: str) -> None:
    for service in objects(folder, "Service"):
        if service["metadata"]["name"] == "search":
            marked = [port for port in service["spec"]["ports"] if "appProtocol" in port]
            assert bool(marked) == (folder not in SECURE)


def test_qdrants_chart_is_told_the_name_and_the_nodes_that_collections_need() -> None:
    values = yaml.safe_load((KUBERNETES / "qdrant-values.yaml").read_text())
    settings = settings_of(deployments("base")["search"], "base")
    nodes = named("base", "Service")[settings.qdrant_host]["spec"]
    assert nodes["clusterIP"] == "None"  # else callers would stay with one node
    assert nodes["ports"][0]["port"] == settings.qdrant_port
    [spread] = values["topologySpreadConstraints"]
    assert nodes["selector"] == spread["labelSelector"]["matchLabels"]
    assert values["replicaCount"] >= 3 > settings.qdrant_replication_factor
    assert settings.qdrant_write_consistency_factor < settings.qdrant_replication_factor
    assert settings.qdrant_shard_number % values["replicaCount"] == 0
    assert values["containerSecurityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert values["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert values["updateVolumeFsOwnership"] is False
    image = compose.compose_config()["services"]["qdrant"]["image"]
    assert image == f"qdrant/qdrant:{values['image']['tag']}-unprivileged"
