"""The plan of `landmarks up`, as plain values."""

import json
from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.settings import QdrantSettings
from landmarks_tools.cli.up import parse_beside
from landmarks_tools.local_stack.plan import Role, StackPlan, plan_stack
from landmarks_tools.local_stack.settings import StackSettings

SETTINGS = StackSettings(
    data_dir=Path("/data"), search_port=1000, encoder_port=2000, qdrant_port=3000, redis_port=4000
)


def plan(
    models: list[str],
    scale: dict[str, int] | None = None,
    metrics_port: int | None = None,
    beside: dict[str, list[str]] | None = None,
) -> StackPlan:
    settings = SETTINGS.model_copy(update={"metrics_port": metrics_port})
    return plan_stack(models, scale or {}, settings, Path("/bin/valkey"), beside=beside or {})


def test_every_part_has_a_process_and_a_port_of_its_own() -> None:
    made = plan(["a", "b"])
    assert [(p.name, p.port) for p in made.processes] == [
        ("valkey", 4000),
        ("qdrant", 3000),
        ("encoder-a", 2000),
        ("encoder-b", 2001),
        ("worker-a", None),
        ("worker-b", None),
        ("search", 1000),
    ]
    assert made.server == "127.0.0.1:1000"


@pytest.mark.parametrize(
    ("port", "setting", "address"), [(5000, "5000", "http://localhost:5000"), (None, "", "")]
)
def test_the_page_is_served_by_the_search_service_where_asked_for(
    port: int | None, setting: str, address: str
) -> None:
    settings = SETTINGS.model_copy(update={"page_port": port})
    made = plan_stack(["a"], {}, settings, Path("/bin/valkey"))
    search = made.one(Role.SEARCH)
    assert (search.page_port, search.environment["LANDMARKS_PAGE_PORT"]) == (port, setting)
    assert search.ports == tuple(filter(None, (1000, port)))
    assert made.page == address


def test_a_port_of_the_page_that_another_part_has_is_refused() -> None:
    settings = SETTINGS.model_copy(update={"page_port": 3000})
    with pytest.raises(InvalidInputError, match="port 3000"):
        plan_stack(["a"], {}, settings, Path("/bin/valkey"))


def test_how_a_cluster_is_laid_out_is_not_for_the_embedded_engine() -> None:
    for process in plan(["a"]).processes[1:]:
        environment = process.environment
        for name in ("SHARD_NUMBER", "REPLICATION_FACTOR", "WRITE_CONSISTENCY_FACTOR"):
            assert environment[f"LANDMARKS_QDRANT_{name}"] == "1"


def test_a_qdrant_that_is_there_already_is_not_started_and_has_its_own_layout_key_and_tls() -> None:
    given = QdrantSettings(
        qdrant_host="q1,q2:7000", qdrant_tls=True, qdrant_tls_ca=Path("/ca.pem"), qdrant_api_key="k"
    )
    settings = SETTINGS.model_copy(update={"metrics_port": 5000})
    made = plan_stack(["a"], {}, settings, Path("/bin/valkey"), qdrant=given)
    assert made.qdrant == "q1:6334,q2:7000"
    own = plan(["a"], metrics_port=5000)
    assert [(p.name, p.ports) for p in made.processes] == [
        (p.name, p.ports) for p in own.processes if p.name != "qdrant"
    ]
    for process in made.processes[1:]:
        found = {
            name.removeprefix("LANDMARKS_QDRANT_"): value
            for name, value in process.environment.items()
            if "QDRANT" in name
        }
        assert found == {
            "HOST": "q1:6334,q2:7000", "PORT": "6334", "TLS": "true", "TLS_CA": "/ca.pem"
        }  # fmt: skip
        assert process.environment["LANDMARKS_TLS_CA"] == ""


def test_scaling_adds_processes_to_the_same_target_and_moves_no_port() -> None:
    made = plan(["a", "b"], {"a": 3})
    encoders = {p.name: p.port for p in made.processes if p.role == Role.ENCODER}
    assert encoders == {
        "encoder-a": 2000,
        "encoder-b": 2001,
        "encoder-a-2": 2002,
        "encoder-a-3": 2003,
    }
    targets = json.loads(made.one(Role.SEARCH).environment["LANDMARKS_ENCODERS"])
    assert targets == {
        "a": ["ipv4:127.0.0.1:2000,127.0.0.1:2002,127.0.0.1:2003"],
        "b": ["ipv4:127.0.0.1:2001"],
    }


def test_an_encoder_of_another_version_is_named_beside_the_own_to_all_that_ask() -> None:
    made = plan(["a", "b"], beside={"a": ["127.0.0.1:2100"]})
    assert [p.name for p in made.processes] == [p.name for p in plan(["a", "b"]).processes]
    expected = {"a": ["ipv4:127.0.0.1:2000", "127.0.0.1:2100"], "b": ["ipv4:127.0.0.1:2001"]}
    for process in made.processes:
        if process.role in (Role.SEARCH, Role.WORKER):
            assert json.loads(process.environment["LANDMARKS_ENCODERS"]) == expected


def test_an_encoder_beside_is_of_a_model_that_is_served_and_not_one_of_the_own() -> None:
    with pytest.raises(InvalidInputError, match="'c', which is not among"):
        plan(["a"], beside={"c": ["127.0.0.1:2100"]})
    with pytest.raises(InvalidInputError, match="starts an encoder itself"):
        plan(["a"], beside={"a": ["127.0.0.1:2000"]})
    with pytest.raises(InvalidInputError, match="MODEL=HOST:PORT"):
        parse_beside(["a"])


def test_metrics_are_served_only_where_asked_for() -> None:
    for process in plan(["a"]).processes:
        assert process.metrics_port is None
        assert not any("METRICS" in name for name in process.environment)


def test_every_process_of_ours_has_a_port_for_metrics_and_scaling_moves_none() -> None:
    made = plan(["a", "b"], {"a": 2}, metrics_port=5000)
    ports = {p.name: p.metrics_port for p in made.processes}
    assert ports == {
        "valkey": None,
        "qdrant": 5000,
        "encoder-a": 5001,
        "encoder-b": 5002,
        "worker-a": 5003,
        "worker-b": 5004,
        "search": 5005,
        "encoder-a-2": 5006,
    }
    for process in made.processes[1:]:
        assert process.environment["LANDMARKS_METRICS_PORT"] == str(process.metrics_port)
        assert process.environment["LANDMARKS_METRICS_HOST"] == "127.0.0.1"


def test_metrics_on_any_free_ports_are_so_for_each_process() -> None:
    for process in plan(["a"], metrics_port=0).processes[1:]:
        assert process.environment["LANDMARKS_METRICS_PORT"] == "0"


@pytest.mark.parametrize(("first", "said"), [(2000, "port 2000"), (65534, "65534 up")])
def test_ports_for_metrics_that_cannot_be_had_are_refused(first: int, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        plan(["a", "b"], metrics_port=first)


@pytest.mark.parametrize(
    ("models", "scale", "said"),
    [
        ([], {}, "no model"),
        (["a"], {"b": 2}, "'b'"),
        (["a"], {"a": 0}, "at least 1"),
        (["a"], {"a": 64_000}, "do not fit between port"),
        ([f"m{i}" for i in range(1001)], {}, "port 3000"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    models: list[str], scale: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        plan(models, scale)
