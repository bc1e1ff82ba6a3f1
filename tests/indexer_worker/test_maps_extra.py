"""A worker without the extra `maps`, as in an image that was built without it."""

from pathlib import Path

import pytest

from landmarks.job_store.records import JobState
from landmarks.job_store.spec import JobKind
from tests.support.indexing_rig import Rig

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_a_map_that_a_worker_cannot_draw_fails_with_what_to_do(
    own_rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['sklearn'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with own_rig.worker():
        job = own_rig.ended(own_rig.create("any", "", kind=JobKind.MAP))
    assert job.state == JobState.FAILED
    assert "MAPS=maps" in job.error
    assert "extra `maps`" in job.error
