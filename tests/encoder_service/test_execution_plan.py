import pytest

from encoder_service.execution_plan import ExecutionPlan, PlanOverrides, choose_plan
from landmarks.errors import ConfigurationError


def plan_of(device="cpu", cores=4, supported=False, has=True, **overrides):
    return choose_plan(
        device,
        cores,
        supports_bfloat16=supported,
        has_bfloat16=has,
        overrides=PlanOverrides(**overrides),
    )


def test_a_cpu_runs_a_batch_per_core_and_one_more():
    assert plan_of() == ExecutionPlan("onnxruntime", "cpu", "float32", 5, 1, 2)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, True),
        ({"threads": 2}, False),
        ({"runtime": "torch"}, False),
        ({"device": "cuda"}, False),
    ],
)
def test_workers_decode_where_each_has_one_core(overrides, expected):
    assert plan_of(**overrides).workers_decode == expected


def test_where_processor_and_model_allow_it_torch_computes_in_bfloat16_on_all_cores():
    assert plan_of(supported=True) == ExecutionPlan("torch", "cpu", "bfloat16", 1, 4, 4)
    assert plan_of(supported=True, has=False) == plan_of()


def test_a_gpu_runs_torch_with_large_batches():
    assert plan_of("cuda:1", supported=True) == ExecutionPlan(
        "torch", "cuda:1", "bfloat16", 1, 1, 32
    )
    assert plan_of("cuda", has=False).precision == "float32"


@pytest.mark.parametrize(
    ("overrides", "shared"),
    [
        ({"threads": 2}, (2, 2)),
        ({"threads": 3}, (1, 3)),
        ({"workers": 2}, (2, 2)),
        ({"workers": 8}, (8, 1)),
        ({"workers": 2, "threads": 5}, (2, 5)),
        ({"runtime": "torch"}, (1, 4)),
        ({"runtime": "torch", "workers": 4}, (4, 1)),
    ],
)
def test_overrides_divide_the_cores_and_the_rest_follows(overrides, shared):
    plan = plan_of(**overrides)
    assert (plan.workers, plan.threads) == shared


def test_precision_and_batch_size_can_be_overridden():
    exact = plan_of(supported=True, precision="float32", batch=7)
    assert (exact.runtime, exact.precision, exact.batch) == ("onnxruntime", "float32", 7)
    assert plan_of(supported=True, has=False, precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"precision": "bfloat16"}, "LANDMARKS_PRECISION"),
        ({"device": "cuda", "runtime": "onnxruntime"}, "LANDMARKS_DEVICE=cuda"),
        ({"supported": True, "precision": "bfloat16", "runtime": "onnxruntime"}, "bfloat16"),
    ],
)
def test_contradictory_overrides_are_refused(overrides, named):
    with pytest.raises(ConfigurationError, match=named):
        plan_of(**overrides)


def test_a_plan_describes_itself():
    assert str(plan_of()) == "onnxruntime on cpu in float32, 5 × 1 threads, batches of 2"
    assert str(plan_of("cuda")) == "torch on cuda in float32, batches of 32"
