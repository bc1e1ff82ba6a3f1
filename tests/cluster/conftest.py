"""The three nodes that the tests of clusters run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.qdrant_cluster.clusters import Cluster, cluster_running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, real ones where their program is named; each test leaves them running."""
    with cluster_running(tmp_path_factory.mktemp("cluster")) as running:
        yield running
