import pytest

from encoder_service.execution_plan import ExecutionPlan, PlanOverrides, choose_plan
from landmarks.errors import ConfigurationError


def plan_of(device="cpu", cores=4, bears=False, has=True, **overrides):
    return choose_plan(
        device,
        cores,
        supports_bfloat16=bears,
        has_bfloat16=has,
        overrides=PlanOverrides(**overrides),
    )


def test_on_a_cpu_each_core_has_a_batch_of_its_own_and_one_more_is_ready():
    assert plan_of() == ExecutionPlan("onnxruntime", "cpu", "float32", 5, 1, 2)


@pytest.mark.parametrize(
    ("overrides", "they_do"),
    [
        ({}, True),
        ({"threads": 2}, False),
        ({"runtime": "torch"}, False),
        ({"device": "cuda"}, False),
    ],
)
def test_workers_decode_where_each_has_one_core(overrides, they_do):
    assert plan_of(**overrides).workers_decode == they_do


def test_where_processor_and_model_allow_it_torch_computes_in_bfloat16_on_all_cores():
    assert plan_of(bears=True) == ExecutionPlan("torch", "cpu", "bfloat16", 1, 4, 4)
    assert plan_of(bears=True, has=False) == plan_of()


def test_on_a_gpu_it_is_torch_with_large_batches():
    assert plan_of("cuda:1", bears=True) == ExecutionPlan("torch", "cuda:1", "bfloat16", 1, 1, 32)
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
def test_cores_are_shared_out_as_asked_and_what_is_left_follows(overrides, shared):
    plan = plan_of(**overrides)
    assert (plan.workers, plan.threads) == shared


def test_a_wish_for_exactness_or_a_batch_is_met():
    exact = plan_of(bears=True, precision="float32", batch=7)
    assert (exact.runtime, exact.precision, exact.batch) == ("onnxruntime", "float32", 7)
    assert plan_of(bears=True, has=False, precision="bfloat16").precision == "bfloat16"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"precision": "bfloat16"}, "LANDMARKS_PRECISION"),
        ({"device": "cuda", "runtime": "onnxruntime"}, "LANDMARKS_DEVICE=cuda"),
        ({"bears": True, "precision": "bfloat16", "runtime": "onnxruntime"}, "bfloat16"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(overrides, named):
    with pytest.raises(ConfigurationError, match=named):
        plan_of(**overrides)


def test_a_plan_says_itself_in_words():
    assert str(plan_of()) == "onnxruntime on cpu in float32, 5 × 1 threads, batches of 2"
    assert str(plan_of("cuda")) == "torch on cuda in float32, batches of 32"
