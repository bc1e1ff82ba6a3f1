import os
import subprocess
import sys
from contextlib import nullcontext

import pytest

from encoder_service.execution_plan import PlanOverrides
from encoder_service.settings import EncoderSettings, cpu_quota
from landmarks.errors import ConfigurationError


def test_models_are_comma_separated(monkeypatch):
    monkeypatch.setenv("LANDMARKS_MODELS", "vgg16, scratch,,vgg16")
    assert EncoderSettings.load().models == ("vgg16", "scratch")


def test_files_of_weights_are_json(monkeypatch):
    monkeypatch.setenv("LANDMARKS_WEIGHTS_FILES", '{"vgg16": "/some/file.pth"}')
    assert str(EncoderSettings.load().weights_files["vgg16"]) == "/some/file.pth"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELS", ","),
        ("ENCODER_PORT", "99999"),
        ("MAX_PHOTO_BYTES", "999999999"),
        ("THREADS", "x"),
        ("RUNTIME", "tensorflow"),
        ("PRECISION", "int4"),
    ],
)
def test_settings_that_cannot_work_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"LANDMARKS_{name}", value)
    with pytest.raises(ConfigurationError):
        EncoderSettings.load()


def test_threads_default_to_the_physical_cores():
    settings = EncoderSettings.load()
    assert settings.decoders == settings.cores >= 1
    assert EncoderSettings.load({"decode_threads": 3}).decoders == 3


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_quota_of_cpu_is_read_in_both_versions_of_control_groups(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert cpu_quota(tmp_path) == quota


def test_unset_plan_settings_are_left_to_the_measured_default(monkeypatch):
    assert EncoderSettings.load().plan_overrides == PlanOverrides()
    monkeypatch.setenv("LANDMARKS_RUNTIME", "torch")
    monkeypatch.setenv("LANDMARKS_WORKERS", "3")
    assert EncoderSettings.load().plan_overrides == PlanOverrides(runtime="torch", workers=3)


def faulted_in_again(**variables):
    """Return how many pages ten equal buffers, one after another, fault in, tuned or not."""
    check = (
        "import resource, numpy\n"
        "from encoder_service.allocator import tune_allocator\n"
        "tuned = tune_allocator()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "numpy.ones(10_000_000); before = faults()\n"
        "for _ in range(10): numpy.ones(10_000_000)\n"
        "print(tuned, faults() - before)"
    )
    environment = {**os.environ, **variables}
    printed = subprocess.run(
        [sys.executable, "-c", check], env=environment, capture_output=True, check=True, text=True
    )
    tuned, faults = printed.stdout.split()
    return tuned == "True", int(faults)


@pytest.mark.needs(system="linux")
def test_the_allocator_keeps_what_the_next_batch_needs_unless_a_launcher_chose_otherwise():
    tuned, faults = faulted_in_again()
    left_alone, as_ever = faulted_in_again(MALLOC_ARENA_MAX="4")
    assert (tuned, left_alone) == (True, False)
    assert faults < as_ever / 10


@pytest.mark.parametrize(("level", "known"), [("debug", True), ("WARNING", True), ("LOUD", False)])
def test_an_unknown_log_level_is_refused(monkeypatch, level, known):
    monkeypatch.setenv("LANDMARKS_LOG_LEVEL", level)
    with nullcontext() if known else pytest.raises(ConfigurationError, match="LOG_LEVEL"):
        EncoderSettings.load()
