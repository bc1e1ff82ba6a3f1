"""`python -m indexer_worker`: one worker with threads, for the queues in its settings."""

from __future__ import annotations

import sys

from landmarks.errors import LandmarksError
from landmarks.job_store.task_messages import INDEX_QUEUE, encode_queue
from landmarks.service import EXIT_CONFIGURATION


def main() -> int:
    """Run a worker until it is stopped; SIGTERM lets running chunks end."""
    try:
        from indexer_worker.app import app, context, settings  # reads the settings

        name = context().name
    except LandmarksError as error:
        sys.stderr.write(f"indexer_worker: {error}\n")
        return EXIT_CONFIGURATION
    queues = [INDEX_QUEUE, *(encode_queue(model) for model in settings.consumed_models)]
    app.worker_main(
        [
            "worker",
            # Threads, as a process that uses gRPC must not fork.
            "--pool=threads",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={','.join(queues)}",
            f"--hostname={name}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
