"""Indexes galleries: Celery tasks that turn photos into points in Qdrant.

The worker reads bytes and headers, and never decodes a photo. `docs/indexing.md` says how jobs are
started and what is guaranteed.
"""
