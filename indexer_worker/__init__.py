"""A gallery's photos → points in Qdrant, by Celery.

    settings   what a worker is told
    spec       `IndexSpec`: what a job indexes; names of tasks and queues
    jobs       `JobStore`: jobs, chunks and dead letters in Redis; `records`, `scripts` below it
    leases     `LeaseKeeper`: says that running chunks are alive
    patience   waiting out overload and outages
    plan       which photos are unchanged, need a new payload, or are to be encoded (pure)
    photos     reading the photos of a chunk
    encoding   photos → vectors, by BatchEncode within the encoder's limits
    listing    the task that lists a source and cuts it into chunks
    chunk      the task that indexes one chunk with one model
    sweeper    re-enqueues what a dead worker left
    context    what a worker process holds: connections and threads
    app        the Celery app; `tasks` are its tasks; `python -m indexer_worker` starts a worker

It reads bytes and never decodes a photo. `docs/indexing.md` says how jobs are started and what is
promised.
"""
