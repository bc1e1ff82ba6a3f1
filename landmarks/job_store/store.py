"""Jobs in Redis: created once, counted once, listed and followed. Thread-safe.

landmarks:job:<id>           hash: spec, state, counters per model
landmarks:job:<id>:chunks    hash: number → the packed entries of a chunk
landmarks:job:<id>:sizes     hash: number → how many entries that are
landmarks:job:<id>:again     set: the numbers of chunks whose entries are in earlier chunks too
landmarks:job:<id>:open      set: `<model>/<number>` of the chunks not yet done, `<model>/prune`
landmarks:job:<id>:tokens    hash: `<model>/<number>` or `listing` → the last fencing token
landmarks:job:<id>:attempts  hash: the same → how often that was begun
landmarks:job:<id>:dead      list of dead letters
landmarks:job:<id>:dead_photos  set of their photos, which may be dead for several models
landmarks:jobs               sorted set of job ids by creation
landmarks:active             set of the jobs that have not ended
landmarks:held               hash: `<job>/<field>` → `<renewal>:<milliseconds>:<expiry>`, of leases
landmarks:renewals           how many renewals there were
landmarks:generation         the last number given to a write
landmarks:listings:<source>  hash: splits → the generation of the latest listing
landmarks:request:<id>       the job of a request id
landmarks:alone:<what>       lock of work that one worker at a time may do
landmarks:changes            channel on which the id of a changed job is published
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, cast

import redis

from landmarks.batched import batched
from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from landmarks.job_store import lua_scripts as scripts
from landmarks.job_store.records import (
    ChunkOutcome,
    DeadLetter,
    Job,
    JobState,
    Lease,
    LeaseState,
    Listed,
    NotPruned,
    pack_chunk,
    unpack_chunk,
)
from landmarks.job_store.redis_client import TIMEOUT_SECONDS, redis_address, redis_failures
from landmarks.job_store.spec import IndexSpec
from landmarks.job_store.task_messages import LISTING, PROMOTION
from landmarks.photos.listing_counts import LabelCounts, Skipped

CHANGES_CHANNEL = "landmarks:changes"
# A generation is at least the time in milliseconds.
GENERATIONS_PER_SECOND = 1000
_LOST = "-"
_MAX_REQUEST_ID = 200
_TOKEN_DIGITS = 18
_HOLDER_BARS = 2
# Photos in a chunk of dead letters: few, as any of them may kill its worker.
_RETRY_CHUNK = 16


class LeaseLostError(Exception):
    """Another worker has the lease now, or the job has ended; results are not counted."""


@dataclass(frozen=True)
class CollectionTarget:
    """Where a job writes one model's vectors: the encoder's digest and the collection."""

    model: str
    digest: str
    collection: str


class JobStore:
    """Reads and changes jobs. Every method raises UnavailableError if Redis cannot be reached."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis = client
        self._address = redis_address(url)
        self._scripts = {
            text: client.register_script(text)
            for text in (
                scripts.CREATE,
                scripts.BEGIN,
                scripts.ATTEMPT,
                scripts.EXTEND,
                scripts.ADD_CHUNK,
                scripts.END_LISTING,
                scripts.END_CHUNK,
                scripts.SPLIT,
                scripts.ADD_BEFORE,
                scripts.FAIL,
                scripts.SET_OUTCOME,
                scripts.CANCEL,
                scripts.RESUME,
                scripts.RETRY,
                scripts.TAKE_EXPIRED,
                scripts.HELD,
                scripts.HOLDS,
                scripts.GENERATION,
                scripts.BEGIN_LISTING,
            )
        }

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    # Jobs

    def create(self, spec: IndexSpec, request_id: str = "", job_id: str = "") -> Job:
        """Create a job, or return the one that `request_id` or `job_id` has created already.

        Raises AlreadyExistsError if that one has another spec.
        """
        if len(request_id) > _MAX_REQUEST_ID:
            raise InvalidInputError(
                f"the request id is longer than {_MAX_REQUEST_ID} characters", field="request_id"
            )
        new = job_id or str(uuid.uuid4())
        found = self._run(scripts.CREATE, new, request_id, spec.to_json())
        return _same(self.get(_decoded(found)), spec, request_id or job_id)

    def of_request(self, request_id: str, spec: IndexSpec) -> Job | None:
        """Return the job that a request id has created, or None; raises AlreadyExistsError."""
        if not request_id:
            return None
        with redis_failures(self._address):
            job_id = self._redis.get(f"landmarks:request:{request_id}")
        if job_id is None:
            return None
        try:
            return _same(self.get(_decoded(job_id)), spec, request_id)
        except NotFoundError:  # it has expired
            return None

    def get(self, job_id: str) -> Job:
        """Return a job; raises NotFoundError."""
        fields: Mapping[bytes | str, bytes | str] = {}
        if ":" not in job_id:  # which other keys have
            with redis_failures(self._address):
                fields = self._redis.hgetall(f"landmarks:job:{job_id}")
        if not fields:
            raise no_such_job(job_id)
        return Job.from_fields(job_id, {_decoded(k): _decoded(v) for k, v in fields.items()})

    def page(
        self, gallery: str, size: int, token: str, among: Collection[str] = ()
    ) -> tuple[list[Job], str]:
        """Return up to `size` jobs, newest first, and the token of what follows, or "".

        Only those of `gallery`, and of galleries `among` these, unless empty.
        """
        jobs: list[Job] = []
        following = ""
        for created, job_id in self._newest(token):
            try:
                job = self.get(job_id)
            except NotFoundError:  # it has expired
                with redis_failures(self._address):
                    self._redis.zrem("landmarks:jobs", job_id)
                continue
            if gallery not in ("", job.spec.gallery):
                continue
            if among and job.spec.gallery not in among:
                continue
            if len(jobs) == size:
                return jobs, following
            jobs.append(job)
            following = f"{created}:{job_id}"
        return jobs, ""

    def _newest(self, token: str) -> Iterator[tuple[int, str]]:
        """Yield creation times and ids of jobs, newest first, after those up to `token`."""
        last, _, last_id = token.partition(":")
        highest = str(_number(last, "page_token")) if token else "+inf"
        with redis_failures(self._address):
            rows = cast(
                "list[tuple[bytes, float]]",
                self._redis.zrevrangebyscore("landmarks:jobs", highest, "-inf", withscores=True),
            )
        for member, score in rows:
            job_id = _decoded(member)
            # Jobs of the same moment are ordered by id, downwards.
            if not token or (int(score), job_id) < (int(last), last_id):
                yield int(score), job_id

    def active(self) -> list[str]:
        """Return the ids of the jobs that have not ended."""
        with redis_failures(self._address):
            return sorted(_decoded(one) for one in self._redis.smembers("landmarks:active"))

    def forget(self, job_id: str) -> None:
        """Remove a job that no longer exists from the active jobs."""
        with redis_failures(self._address):
            self._redis.srem("landmarks:active", job_id)

    def fail(self, job_id: str, reason: str) -> None:
        """Fail a job; one that has ended stays as it is."""
        self._run(scripts.FAIL, job_id, reason)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that has ended stays as it is. Raises NotFoundError."""
        self.get(job_id)
        self._run(scripts.CANCEL, job_id)
        return self.get(job_id)

    def resume(self, job_id: str) -> tuple[Job, bool]:
        """Resume a cancelled or failed job; return it, and whether there was anything to resume.

        Its work is open again, and has to be enqueued. Raises NotFoundError; InvalidInputError for
        a job that was refused.
        """
        models = self.get(job_id).spec.models
        if not models:
            raise InvalidInputError(
                f"job {job_id} was refused, so there is nothing to resume; start another job",
                field="id",
            )
        resumed = bool(self._run(scripts.RESUME, job_id, *models))
        return self.get(job_id), resumed

    def retry_dead_letters(self, job_id: str, chunk_size: int = _RETRY_CHUNK) -> tuple[Job, bool]:
        """Make chunks of a job's dead letters; return the job, and whether there were any.

        The chunks are open, and have to be enqueued. Raises NotFoundError; InvalidInputError for a
        job that was cancelled or has failed, which must be resumed first.
        """
        while True:
            job = self.get(job_id)
            if job.state in (JobState.CANCELLED, JobState.FAILED):
                raise InvalidInputError(
                    f"job {job_id} is {job.state.value}; resume it, and retry its dead letters once"
                    " it has succeeded",
                    field="job_id",
                )
            with redis_failures(self._address):
                rows = self._redis.lrange(f"landmarks:job:{job_id}:dead", 0, -1)
            letters = [DeadLetter.from_json(row) for row in rows]
            if not letters:
                return job, False
            arguments: list[str | int | bytes] = []
            for model in job.spec.models:
                entries = [
                    Listed(letter.entry, source=letter.source)
                    for letter in letters
                    if letter.model == model
                ]
                for chunk in batched(entries, chunk_size):
                    arguments += [model, pack_chunk(chunk), len(chunk)]
            # Dead letters may have been added, or taken by another call, since they were read.
            again = f"{job.spec.models[0]}/{PROMOTION}" if job.spec.reindex else ""
            if self._run(scripts.RETRY, job_id, len(letters), again, *arguments):
                return self.get(job_id), True

    def dead_letters(self, job_id: str, size: int, token: str) -> tuple[list[DeadLetter], str]:
        """Return up to `size` dead letters, oldest first, and the token of what follows, or ""."""
        self.get(job_id)
        start = _number(token, "page_token") if token else 0
        with redis_failures(self._address):
            rows = self._redis.lrange(f"landmarks:job:{job_id}:dead", start, start + size)
        following = str(start + size) if len(rows) > size else ""
        return [DeadLetter.from_json(row) for row in rows[:size]], following

    # Work

    def begin(self, job_id: str, field: str, seconds: float) -> Lease | None:
        """Take the lease of a piece of work; None if another worker holds it, or it is not open."""
        token, attempts = self._run(scripts.BEGIN, job_id, field, _milliseconds(seconds))
        return Lease(job_id, field, token, attempts) if token > 0 else None

    def attempt(self, lease: Lease) -> None:
        """Count an attempt, as the work begins; raises LeaseLostError."""
        if not self._run(scripts.ATTEMPT, lease.job_id, lease.field, lease.token):
            raise LeaseLostError

    def renew(self, lease: Lease, seconds: float) -> bool:
        """Extend a lease; return False if it was lost."""
        return bool(
            self._run(
                scripts.EXTEND, lease.job_id, lease.field, lease.token, _milliseconds(seconds), 0
            )
        )

    def postpone(self, lease: Lease, seconds: float, *, blameless: bool) -> None:
        """Give work back, to be begun again after some seconds.

        The lease is no longer renewed; when it expires, the work is enqueued again. `blameless`
        does not count the attempt, as an outage ended it and not the work.
        """
        self._run(
            scripts.EXTEND,
            lease.job_id,
            lease.field,
            lease.token,
            _milliseconds(seconds),
            int(blameless),
        )

    def held(self) -> list[LeaseState]:
        """Return all leases."""
        rows = self._run(scripts.HELD)
        return [
            LeaseState(_decoded(name), _decoded(value), bool(overdue))
            for name, value, overdue in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        ]

    def take_expired(self, leases: Sequence[LeaseState]) -> list[tuple[str, str]]:
        """Take leases, as `held` returned them, that were not renewed since.

        Returns job and field of each, to one caller only.
        """
        if not leases:
            return []
        pairs = [part for one in leases for part in (one.name, one.value)]
        members = [_decoded(one) for one in self._run(scripts.TAKE_EXPIRED, *pairs)]
        return [(job, field) for job, _, field in (one.partition("/") for one in members)]

    def holds(self, holder: str) -> bool:
        """Return whether somebody has this lease (`Lease.holder`) now."""
        job, field, token = holder.split("|") if holder.count("|") == _HOLDER_BARS else [""] * 3
        return bool(self._run(scripts.HOLDS, job, field, token))

    def next_generation(self, seen: int = 0) -> int:
        """Return the number of a write: higher than `seen`, and than any number before."""
        return int(self._run(scripts.GENERATION, seen))

    def begin_listing(self, job: Job, source_name: str) -> int:
        """Note that a job lists its source now; return the generation of the listing.

        Points that are newer were written by who knew the source later.
        """
        return int(
            self._run(
                scripts.BEGIN_LISTING,
                job.id,
                f"{job.spec.gallery}/{source_name}",
                json.dumps(sorted(job.spec.splits)),
                int(not job.spec.dry_run),
            )
        )

    def listed_since(self, job: Job) -> bool:
        """Return whether another job has listed photos of the job's source and splits later."""
        with redis_failures(self._address):
            found = self._redis.hgetall(f"landmarks:listings:{job.spec.gallery}/{job.source_name}")
        own = set(job.spec.splits)
        return any(
            int(generation) > job.listing
            and (not own or not (splits := json.loads(chosen)) or not own.isdisjoint(splits))
            for chosen, generation in found.items()
        )

    def set_targets(
        self, job_id: str, source_name: str, targets: Sequence[CollectionTarget]
    ) -> None:
        """Record the source's name in points' ids, and where vectors are written."""
        fields = ["source_name", source_name]
        for target in targets:
            fields += [f"collection:{target.model}", target.collection]
            fields += [f"digest:{target.model}", target.digest]
        with redis_failures(self._address):
            self._redis.hset(f"landmarks:job:{job_id}", items=fields)

    def set_not_pruned(self, job_id: str, why: NotPruned | None) -> None:
        """Record why a job must not prune; None: it may."""
        fields = ["not_pruned", why.reason if why else ""]
        fields += ["not_pruned_points", str(why.points if why else 0)]
        with redis_failures(self._address):
            self._redis.hset(f"landmarks:job:{job_id}", items=fields)

    def set_seen(self, job_id: str, skipped: Sequence[Skipped], labels: LabelCounts) -> None:
        """Record what a complete listing saw besides photos, and the labels, instead of before."""
        fields = ["skipped", json.dumps([asdict(one) for one in skipped])]
        fields += ["labels", json.dumps(asdict(labels))]
        with redis_failures(self._address):
            self._redis.hset(f"landmarks:job:{job_id}", items=fields)

    def add_chunk(self, lease: Lease, chunk: Sequence[Listed], models: Sequence[str]) -> int:
        """Add a chunk to do with each model and return its number; raises LeaseLostError."""
        number = int(
            self._run(
                scripts.ADD_CHUNK, lease.job_id, lease.token, pack_chunk(chunk), len(chunk), *models
            )
        )
        if number < 0:
            raise LeaseLostError
        return number

    def end_listing(self, lease: Lease, further: Sequence[str] = (), after: str = "") -> str:
        """Record that the listing is complete; raises LeaseLostError.

        `further` is work that is due now, as `<model>/prune`; `after` is due when all else is done.
        Returns `after` if it is due now and has to be enqueued, else "".
        """
        due = self._run(scripts.END_LISTING, lease.job_id, lease.token, after, *further)
        if _decoded(due) == _LOST:
            raise LeaseLostError
        return _decoded(due)

    def chunk(self, job_id: str, number: int) -> list[Listed]:
        """Return a chunk's entries; raises LeaseLostError if the job has ended."""
        with redis_failures(self._address):
            packed = self._redis.hget(f"landmarks:job:{job_id}:chunks", str(number))
        if packed is None:
            raise LeaseLostError
        return unpack_chunk(cast("bytes", packed))

    def chunks(self, job_id: str) -> Iterator[list[Listed]]:
        """Yield the chunks that were listed so far, in order."""
        with redis_failures(self._address):
            numbers = set(self._redis.hkeys(f"landmarks:job:{job_id}:chunks"))
            numbers -= self._redis.smembers(f"landmarks:job:{job_id}:again")
        for number in sorted(map(int, numbers)):
            yield self.chunk(job_id, number)

    def split(self, lease: Lease, model: str, parts: Sequence[Sequence[Listed]]) -> list[int]:
        """Replace a leased chunk by parts of it; return their numbers.

        There are none if the lease was lost or the job has ended.
        """
        arguments: list[bytes | int] = []
        for part in parts:
            arguments += [pack_chunk(part), len(part)]
        found = self._run(scripts.SPLIT, lease.job_id, lease.field, lease.token, model, *arguments)
        return [int(number) for number in found]

    def add_before(self, lease: Lease, model: str, chunks: Sequence[Sequence[Listed]]) -> list[int]:
        """Add chunks that have to be done before the leased work, which is due again after them.

        Returns their numbers; there are none if the lease was lost or the job has ended.
        """
        arguments: list[bytes | int] = []
        for chunk in chunks:
            arguments += [pack_chunk(chunk), len(chunk)]
        found = self._run(
            scripts.ADD_BEFORE, lease.job_id, lease.field, lease.token, model, *arguments
        )
        return [int(number) for number in found]

    def set_replaced(self, job_id: str, collection: str) -> None:
        """Record which collection was live before the one that the job built."""
        with redis_failures(self._address):
            self._redis.hset(f"landmarks:job:{job_id}", "replaced", collection)

    def writing_to(self, collection: str, but: str) -> list[str]:
        """Return the active jobs that write to a collection, except one."""
        found = []
        for job_id in self.active():
            with suppress(NotFoundError):  # it has expired meanwhile
                progress = self.get(job_id).progress
                if job_id != but and any(one.collection == collection for one in progress):
                    found.append(job_id)
        return found

    def set_outcome(self, job_id: str, outcome: str) -> None:
        """Record a job's outcome in words, or what it waits for; not once it has ended.

        An outcome that begins with "waiting" is cleared when the job ends.
        """
        self._run(scripts.SET_OUTCOME, job_id, outcome)

    def end_chunk(self, lease: Lease, model: str, outcome: ChunkOutcome) -> str | None:
        """Count a chunk's photos, once; return None if that was done, or the lease was lost.

        Else returns the work that is due now and has to be enqueued, or "".
        """
        due = _decoded(
            self._run(
                scripts.END_CHUNK,
                lease.job_id,
                lease.field,
                lease.token,
                model,
                outcome.stored,
                outcome.unchanged,
                outcome.duplicate,
                outcome.encoded,
                outcome.pruned,
                *(letter.to_json() for letter in outcome.dead),
            )
        )
        return None if due == _LOST else due

    def open_work(self, job_id: str) -> list[str]:
        """Return the fields of work that is not done."""
        with redis_failures(self._address):
            return sorted(
                _decoded(one) for one in self._redis.smembers(f"landmarks:job:{job_id}:open")
            )

    def unleased(self, job_id: str, queue_lengths: Mapping[str, int]) -> list[str]:
        """Return a job's open work that no worker holds, and whose queue is empty.

        `queue_lengths` are by model, and by `listing`.
        """
        key = f"landmarks:job:{job_id}"
        with redis_failures(self._address):
            fields = self.open_work(job_id)
            if self._redis.hget(key, "listing_complete") != b"1":
                fields.append(LISTING)
            idle = sorted(f for f in fields if queue_lengths.get(f.partition("/")[0], 0) == 0)
            return [
                field
                for field in idle
                if not self._redis.hexists("landmarks:held", f"{job_id}/{field}")
            ]

    @contextmanager
    def exclusive(self, what: str, seconds: float) -> Iterator[None]:
        """Hold a lock of the whole system, for some seconds at most.

        Raises UnavailableError, at once, if another worker holds it.
        """
        lock = self._redis.lock(f"landmarks:alone:{what}", timeout=seconds + TIMEOUT_SECONDS)
        with redis_failures(self._address):
            taken = lock.acquire(blocking=False)
        if not taken:
            raise UnavailableError(f"another worker holds the lock for {what}; waiting for it")
        try:
            yield
        finally:
            # It may have expired meanwhile, and be another worker's now.
            with redis_failures(self._address), suppress(redis.exceptions.LockError):
                lock.release()

    def queue_length(self, queue: str) -> int:
        """Return how many messages wait in a Celery queue."""
        with redis_failures(self._address):
            return int(self._redis.llen(queue))

    def announce_worker(self, name: str, description: str, seconds: int) -> None:
        """Announce that a worker is ready, for some seconds."""
        with redis_failures(self._address):
            self._redis.set(f"landmarks:worker:{name}", description, ex=seconds)

    def worker_is_announced(self, name: str) -> bool:
        """Return whether a worker has announced itself lately."""
        with redis_failures(self._address):
            return bool(self._redis.exists(f"landmarks:worker:{name}"))

    def retire_worker(self, name: str) -> None:
        """Withdraw the announcement of a worker."""
        with redis_failures(self._address):
            self._redis.delete(f"landmarks:worker:{name}")

    def _run(self, script: str, *arguments: str | int | bytes) -> Any:  # noqa: ANN401 - Lua's value
        with redis_failures(self._address):
            return self._scripts[script](args=arguments)


def no_such_job(job_id: str) -> NotFoundError:
    """Return the error for a job that does not exist."""
    return NotFoundError(
        f"there is no job {job_id!r}; ended jobs are kept for"
        f" {scripts.KEEP_ENDED_SECONDS // 86400} days"
    )


def _same(job: Job, spec: IndexSpec, request_id: str) -> Job:
    if job.spec != spec:
        raise AlreadyExistsError(
            f"the request id {request_id!r} was used for another job, {job.id}; use a new one, or"
            " repeat the request with the same gallery, source, models and splits"
        )
    return job


def _decoded(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _number(text: str, field: str) -> int:
    if not text.isdecimal() or len(text) > _TOKEN_DIGITS:
        raise InvalidInputError(
            f"the page token {text!r} is not valid; use one that a page returned", field=field
        )
    return int(text)
