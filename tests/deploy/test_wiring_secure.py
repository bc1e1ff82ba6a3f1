"""docker-compose.yml with deploy/compose/secure.yml, as processes: who is let in, and who not."""

import subprocess
from pathlib import Path

import grpc
import pytest

from landmarks.errors import LandmarksError
from landmarks.probe import is_serving
from landmarks.settings import Settings
from tests.support.compose import ROOT, compose_config
from tests.support.photos import drawn_photo
from tests.support.wiring import running, wired

# It listens on the same ports as the plain stack, which other tests keep running.
pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(3600)]
FILES = ("docker-compose.yml", "deploy/compose/secure.yml")


def test_with_key_and_certificates_all_works_and_without_nothing_does(tmp_path: Path) -> None:
    from landmarks.client import Landmarks, Tls
    from landmarks.security import api_keys

    photos, secrets = tmp_path / "photos", tmp_path / "secrets"
    (photos / "Atomium").mkdir(parents=True)
    drawn_photo().save(photos / "Atomium" / "one.jpg")
    subprocess.run([ROOT / "deploy/compose/make-secrets", secrets], check=True)
    key = api_keys.create(secrets / "search" / "api_keys", "me", api_keys.Permission.WRITE)
    where = {"PHOTOS": str(photos), "LANDMARKS_SECRETS": str(secrets)}
    services = wired(compose_config(*FILES, environment=where), tmp_path, Settings.load().cache_dir)
    with running(services, tmp_path):
        trusted = Tls(ca=secrets / "ca.crt")
        with Landmarks("127.0.0.1:50050", api_key=key, tls=trusted) as landmarks:
            *_, last = landmarks.watch(landmarks.index(str(photos), gallery="secure").id)
            assert [progress.stored for progress in last.progress] == [1, 1, 1]
            photo = (photos / "Atomium" / "one.jpg").read_bytes()
            answer = landmarks.search(photo=photo, gallery="secure")
            assert not answer.partial
            assert {one.hits[0].point.landmark for one in answer.rankings} == {"Atomium"}
        with (
            Landmarks("127.0.0.1:50050", tls=trusted) as stranger,
            pytest.raises(LandmarksError, match="key"),
        ):
            stranger.models()
        # An encoder lets in nobody without a certificate, and nobody in the clear.
        assert not is_serving("127.0.0.1:50051", "scratch")
        assert not is_serving("127.0.0.1:50051", "scratch", tls=trusted)
        own = Tls(secrets / "search/tls.crt", secrets / "search/tls.key", secrets / "ca.crt")
        assert is_serving("127.0.0.1:50051", "scratch", tls=own)
        with grpc.insecure_channel("127.0.0.1:50050") as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary("/landmarkapi.search.v1.SearchService/Search")(b"", timeout=10)
