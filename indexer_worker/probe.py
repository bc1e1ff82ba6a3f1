"""Probes the worker of this host: `python -m indexer_worker.probe`.

Exit status 0 if the worker has announced itself within the last seconds, 1 if not. A worker has no
port to probe; it refreshes a key in Redis instead.
"""

from __future__ import annotations

import sys

from indexer_worker.settings import IndexerSettings
from landmarks.errors import LandmarksError
from landmarks.job_store.redis_client import connect_redis
from landmarks.job_store.store import JobStore


def main() -> int:
    """Return the exit status."""
    try:
        settings = IndexerSettings.load()
        jobs = JobStore(connect_redis(settings.broker_url), settings.redis_url)
        return 0 if jobs.worker_is_announced(settings.name) else 1
    except LandmarksError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
