"""`landmarks up --qdrant`: the rest of the stack on a Qdrant that somebody else runs."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from landmarks.errors import InvalidInputError, UnavailableError
from landmarks.vector_store.client import connect
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks_tools.cli.output import ExitCode
from landmarks_tools.local_stack.backup import back_up, restore
from landmarks_tools.local_stack.qdrant_place import OWN, qdrant_elsewhere, remember, remembered
from landmarks_tools.local_stack.readiness import require_qdrant
from landmarks_tools.local_stack.settings import StackSettings
from tests.support.certificates import Authority
from tests.support.edge import edge_process
from tests.support.local_stack import Stack
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module

KEY = "a-key-of-somebody-else"


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    return StackSettings(data_dir=tmp_path)


def test_the_folder_remembers_whose_the_vectors_are_until_it_is_told_otherwise(
    settings: StackSettings,
) -> None:
    folder = settings.data_dir
    assert qdrant_elsewhere(settings, "") is None
    given = qdrant_elsewhere(settings, "q1,q2:7000")
    assert given is not None
    assert given.qdrant_addresses == ("q1:6334", "q2:7000")
    remember(folder, "q1:6334,q2:7000")
    again = qdrant_elsewhere(settings, "")
    assert again is not None
    assert again.qdrant_addresses == given.qdrant_addresses
    assert qdrant_elsewhere(settings, OWN) is None
    remember(folder, "")
    assert remembered(folder) == ""


def test_what_trusts_qdrant_is_not_taken_for_tls_of_the_stack(
    settings: StackSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDMARKS_QDRANT_TLS", "true")
    monkeypatch.setenv("LANDMARKS_TLS_CA", "/ca.pem")
    given = qdrant_elsewhere(settings, "q1")
    assert given is not None
    assert (given.qdrant_tls, given.qdrant_tls_ca, given.tls_ca) == (True, Path("/ca.pem"), None)


def test_an_address_that_is_none_is_refused_with_its_reason(settings: StackSettings) -> None:
    with pytest.raises(InvalidInputError, match="--qdrant: 'http://q:6333' is not host"):
        qdrant_elsewhere(settings, "http://q:6333")


def test_where_nothing_answers_it_is_said_what_to_look_at(settings: StackSettings) -> None:
    address = f"127.0.0.1:{free_port()}"
    given = qdrant_elsewhere(settings, address)
    assert given is not None
    with pytest.raises(UnavailableError, match=f"{address}.*Nothing was started.*6334.*{OWN}"):
        require_qdrant(given)


@pytest.mark.integration
def test_key_and_tls_are_those_of_the_environment(
    settings: StackSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Authority(tmp_path / "ca").issue("qdrant")
    port = free_port()
    served = {
        "qdrant_port": str(port),
        "qdrant_api_key": KEY,
        "qdrant_tls": "true",
        "tls_certificate": str(files.certificate),
        "tls_key": str(files.key),
        "edge_data_dir": str(tmp_path / "edge"),
    }

    def answer() -> bool:
        given = qdrant_elsewhere(settings, f"127.0.0.1:{port}")
        assert given is not None
        try:
            require_qdrant(given)
        except UnavailableError as error:
            said.append(str(error))
            return False
        return True

    said: list[str] = []
    monkeypatch.setenv("LANDMARKS_QDRANT_TLS", "true")
    monkeypatch.setenv("LANDMARKS_TLS_CA", str(files.ca))
    monkeypatch.setenv("LANDMARKS_QDRANT_API_KEY", KEY)
    with running_module("landmarks.edge_server", **served):
        eventually(answer, "it answers")
        monkeypatch.setenv("LANDMARKS_QDRANT_API_KEY", "another")
        assert not answer()
        assert "set LANDMARKS_QDRANT_API_KEY to the key" in said[-1]


def test_a_backup_of_jobs_alone_is_restored_as_such_and_touches_no_vectors(tmp_path: Path) -> None:
    data, kept, other = tmp_path / "data", tmp_path / "kept", tmp_path / "other"
    (data / "valkey").mkdir(parents=True)
    (data / "valkey" / "jobs").write_text("a job")
    (data / "qdrant").mkdir()
    (data / "qdrant" / "catalog").write_text("of an earlier stack")
    remember(data, "q1:6334")
    made = back_up(data, kept)
    assert (made.qdrant, made.collections, list(made.files)) == ("q1:6334", (), ["valkey/jobs"])
    (other / "qdrant").mkdir(parents=True)
    (other / "qdrant" / "catalog").write_text("kept")
    restored = restore(kept, other)
    assert restored == made
    assert (other / "valkey" / "jobs").read_text() == "a job"
    assert (other / "qdrant" / "catalog").read_text() == "kept"
    assert remembered(other) == "q1:6334"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "stack")
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()


@pytest.mark.integration
@pytest.mark.slow
def test_the_stack_works_on_a_qdrant_that_somebody_else_runs(
    stack: Stack, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANDMARKS_QDRANT_API_KEY", KEY)
    port = free_port()
    address = f"127.0.0.1:{port}"
    with edge_process(tmp_path / "edge", port, {"LANDMARKS_QDRANT_API_KEY": KEY}):
        stack.options = ["--qdrant", address]
        stack.start()
        assert f"Vectors in Qdrant at {address}" in stack.log.read_text()
        assert not any("edge_server" in line for line in stack.below().values())
        assert not (stack.data_dir / "qdrant").exists()
        stack.json("index", folder, "--gallery", "colours", "--wait")
        assert stack.points("colours") == 40
        assert stack.answers()
        page = f"http://localhost:{stack.ports['LANDMARKS_PAGE_PORT']}"
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert "<title>Landmarks</title>" in answer.read().decode()

        kept = tmp_path / "kept"
        said = stack.run("backup", kept, "--data-dir", stack.data_dir)
        assert said.returncode == ExitCode.OK, said.stderr
        words = " ".join(said.stdout.split())
        assert "the jobs alone" in words
        assert f"in Qdrant at {address}" in words
        assert "landmarks export" in words
        [job] = stack.json("jobs")
        assert stack.stop() == 0
        settings = VectorStoreSettings.load({"qdrant_port": port})
        with closing(connect(settings)) as client:
            [collection] = client.get_collections().collections
            assert client.count(collection.name).count == 40

        # As the folder remembers it, which a restored one does too.
        shutil.rmtree(stack.data_dir)
        said = stack.run("restore", kept, "--data-dir", stack.data_dir)
        assert said.returncode == ExitCode.OK, said.stderr
        assert f"Qdrant at {address}" in " ".join(said.stdout.split())
        stack.options = []
        stack.start()
        assert f"Vectors in Qdrant at {address}, as at the last start" in stack.log.read_text()
        assert stack.answers()
        assert [one["id"] for one in stack.json("jobs")] == [job["id"]]
        assert stack.stop() == 0
    failed = stack.run("up", "--models", "scratch", "--data-dir", stack.data_dir)
    assert failed.returncode == ExitCode.UNAVAILABLE
    assert f"Qdrant at {address}" in " ".join(failed.stderr.split())
