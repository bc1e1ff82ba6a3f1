"""Photos in an object store: a real worker reads them over the S3 protocol, from a local server."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from landmarks.job_store.records import JobState
from tests.support.indexing_rig import Rig, draw_photo

pytestmark = pytest.mark.integration


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch):
    """An empty bucket; processes that are started find it by the AWS variables."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    store = boto3.resource("s3").create_bucket(Bucket="photos")
    yield store
    server.stop()


@pytest.mark.slow
def test_a_bucket_is_indexed_and_what_has_not_changed_is_not_read(own_rig: Rig, bucket, tmp_path):
    rig = own_rig
    for seed, key in enumerate(["Atomium/1.png", "Atomium/in/2 #é.png", "Soreq/3.png", "4.png"]):
        photo = draw_photo(tmp_path / f"{seed}.png", seed)
        bucket.upload_file(str(photo), f"gallery/{key}")
    bucket.put_object(Key="gallery/notes.txt", Body=b"no photo")
    bucket.put_object(Key="elsewhere/5.png", Body=photo.read_bytes())
    with rig.qdrant(), rig.encoder(), rig.worker(source_roots='["s3://photos/gallery"]'):
        job = rig.index("g", "s3://photos/gallery")
        assert job.state is JobState.SUCCEEDED, job.error
        assert (job.progress[0].listed, job.progress[0].stored) == (4, 4)
        payloads = rig.payloads("g")
        assert set(payloads) == {"Atomium/1.png", "Atomium/in/2 #é.png", "Soreq/3.png", "4.png"}
        assert payloads["Atomium/in/2 #é.png"]["landmark"] == "Atomium"
        assert payloads["4.png"]["uri"] == "s3://photos/gallery/4.png"
        etag = bucket.Object("gallery/4.png").e_tag
        assert payloads["4.png"]["file_version"] == etag

        bucket.upload_file(str(draw_photo(tmp_path / "new.png", 9)), "gallery/4.png")
        bucket.Object("gallery/Soreq/3.png").delete()
        (progress,) = rig.index("g", "s3://photos/gallery", prune=True).progress
        assert (progress.listed, progress.unchanged, progress.encoded) == (3, 2, 1)
        assert progress.pruned == 1

        refused = rig.index("g", "s3://photos/elsewhere")
        assert refused.state is JobState.FAILED
        assert "not below an allowed root" in refused.error
