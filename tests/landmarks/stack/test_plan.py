"""The plan of `landmarks up`, as plain values."""

import json
from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError
from landmarks.stack.plan import Role, StackPlan, plan_stack
from landmarks.stack.settings import StackSettings

SETTINGS = StackSettings(
    data_dir=Path("/data"), search_port=1000, encoder_port=2000, qdrant_port=3000, redis_port=4000
)


def plan(models: list[str], scale: dict[str, int] | None = None) -> StackPlan:
    return plan_stack(models, scale or {}, SETTINGS, Path("/bin/valkey"))


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


@pytest.mark.parametrize(
    ("models", "scale", "said"),
    [
        ([], {}, "no model"),
        (["a"], {"b": 2}, "'b'"),
        (["a"], {"a": 0}, "at least 1"),
        ([f"m{i}" for i in range(1001)], {}, "port 3000"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    models: list[str], scale: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        plan(models, scale)
