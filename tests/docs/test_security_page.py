"""docs/security.md: its commands work, and every setting that it names is one."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from encoder_service.settings import EncoderSettings
from indexer_worker.settings import IndexerSettings
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.edge_server.settings import EdgeSettings
from landmarks.rpc.channel import open_aio_channel
from landmarks.security.tls import Tls
from landmarks.settings import SECRETS_DIR, ClientSettings
from search_service.settings import SearchSettings
from tests.support.echo import echoing

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
CERTIFICATES, KEYS = BLOCKS
SETTINGS = (EncoderSettings, IndexerSettings, SearchSettings, ClientSettings, EdgeSettings)


def test_every_setting_that_is_named_is_one() -> None:
    fields = {f"LANDMARKS_{name.upper()}" for kind in SETTINGS for name in kind.model_fields}
    named = set(re.findall(r"LANDMARKS_[A-Z_]+[A-Z]", PAGE))
    assert named <= fields | {SECRETS_DIR}
    files = set(re.findall(r"`(landmarks_[a-z_]+)`", PAGE))
    assert {file.upper() for file in files} <= fields | {"LANDMARKS_FAILURES_TOTAL"}


def made_in(folder: Path) -> Path:
    """Make the certificates as the page says, and return where they are."""
    command = ["sh", "-eu", "-c", CERTIFICATES]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "certs"


@pytest.mark.integration
async def test_the_certificates_that_it_makes_let_parts_talk_and_nobody_else(
    tmp_path: Path,
) -> None:
    folder = made_in(tmp_path)

    def tls(part: str) -> Tls:
        return Tls(
            folder / f"{part}.pem",
            folder / f"{part}.key",
            folder / "ca.pem",
            demands_client_certificates=True,
        )

    async def answer() -> str:
        return "hello"

    async with (
        echoing(answer, tls("encoder-scratch")) as address,
        open_aio_channel(address, tls("worker")) as channel,
    ):
        said = await EncoderServiceStub(channel).GetModel(pb.GetModelRequest(), timeout=20)
    assert said.model.name == "hello"
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.integration
def test_the_commands_about_keys_work_as_they_are_written(tmp_path: Path) -> None:
    commands = KEYS.replace("/etc/landmarks", str(tmp_path))
    commands = commands.replace(
        "landmarks keys list", "landmarks keys create phone-2025-11\nlandmarks keys list"
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^lmk_", done.stdout, re.MULTILINE)) == 4
    left = [line.split()[:2] for line in (tmp_path / "keys").read_text().splitlines()]
    assert left[-3:] == [["phone-2026-05", "read"], ["ingest", "write"], ["museum", "write"]]
