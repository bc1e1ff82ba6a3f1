"""Which calls of the stores a worker retries: those that read, or that can be repeated.

Any other call is made once. Scans and lists of chunks yield: a retry would yield twice. Taking a
lease, counting an attempt and adding chunks change something each time. The sweeper and the thread
that renews leases repeat their calls anyway. Promotion must follow its checks at once.
"""

from __future__ import annotations

from landmarks.encoders.directory import EncoderDirectory
from landmarks.job_store.celery_app import TaskSender
from landmarks.job_store.copy_checks import CopyChecks
from landmarks.job_store.maps import MapStore
from landmarks.job_store.open_writes import OpenWrites
from landmarks.job_store.store import JobStore
from landmarks.photos.sources import Sources
from landmarks.vector_store.collections import Collections
from landmarks.vector_store.fenced_writes import FencedWrites
from landmarks.vector_store.held_photos import HeldPhotos
from landmarks.vector_store.point_store import PointStore

JOBS = (
    JobStore.create,  # an id makes one job
    JobStore.get,
    JobStore.chunk,
    JobStore.open_work,
    JobStore.dead_letters,
    JobStore.writing_to,
    JobStore.holds,
    JobStore.next_generation,  # a number that nobody uses is no loss
    JobStore.begin_listing,
    JobStore.listed_since,
    JobStore.set_targets,
    JobStore.set_not_pruned,
    JobStore.set_outcome,
    # These do nothing the second time, and say so.
    JobStore.end_listing,
    JobStore.end_chunk,
    JobStore.split,
    JobStore.postpone,
    JobStore.fail,
)
MAPS = (MapStore.keep,)
# The name of a write is its caller's, so it is noted once.
OPEN_WRITES = (OpenWrites.begin, OpenWrites.keep, OpenWrites.close, OpenWrites.find)
CHECKS = (CopyChecks.keep, CopyChecks.find)
COLLECTIONS = (
    Collections.live,
    Collections.find_live,
    Collections.exists,
    Collections.names,
    Collections.to_write,
    Collections.create_beside,
    Collections.note,
    Collections.index_columns_of,
    Collections.index_alike,
    Collections.ensure_indexes,
    Collections.kinds,
    Collections.live_of,
)
POINTS = (
    PointStore.payloads,
    PointStore.states,
    PointStore.vectors,
    PointStore.count,
    PointStore.query,
)
HELD_PHOTOS = (HeldPhotos.read, HeldPhotos.of_bytes, HeldPhotos.kept)
WRITES = (
    FencedWrites.claim,
    FencedWrites.write,
    FencedWrites.give_up_payloads,
    FencedWrites.settle_claim,
    FencedWrites.settled,
    FencedWrites.write_back,
    FencedWrites.delete,
    FencedWrites.delete_claimed,
    FencedWrites.release,
    FencedWrites.refused,
    FencedWrites.seen,
    FencedWrites.sweep,
)
ENCODERS = (EncoderDirectory.find, EncoderDirectory.find_another)
SOURCES = (Sources.version, Sources.read, Sources.facts)
SENDER = (TaskSender.send,)
