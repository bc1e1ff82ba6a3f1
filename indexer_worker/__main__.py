"""`python -m indexer_worker`: one worker with threads, for the queues that its settings name."""

from __future__ import annotations

from indexer_worker.app import app, runtime, settings
from indexer_worker.spec import INDEX_QUEUE, encode_queue


def main() -> None:
    """Start a worker and run until it is told to stop; SIGTERM lets running chunks end."""
    queues = [INDEX_QUEUE, *(encode_queue(model) for model in settings.consumed_models)]
    app.worker_main(
        [
            "worker",
            # Threads: nothing may fork where gRPC is in use.
            "--pool=threads",
            f"--concurrency={settings.worker_concurrency}",
            f"--queues={','.join(queues)}",
            f"--hostname={runtime().name}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()
