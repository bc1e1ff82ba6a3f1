"""Which source a name stands for in a gallery, so that no other takes its points for its own.

landmarks:sources:<gallery>  hash: a source's name → `_Known` as JSON
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import redis
from redis.client import Pipeline

from landmarks.errors import InvalidInputError
from landmarks.job_store.records import JobState
from landmarks.job_store.redis_client import redis_address, redis_failures
from landmarks.job_store.spec import IndexSpec
from landmarks.photos.identity import SourceIdentity

_ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class _Known:
    """The root of the source of a name, the lists by which it was indexed, and the last job."""

    root: str
    listings: tuple[str, ...]
    job: str


class SourceNames:
    """Remembers the sources of galleries. Raises UnavailableError if Redis cannot be reached."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis = client
        self._address = redis_address(url)

    def check(
        self,
        spec: IndexSpec,
        name: str,
        identity: SourceIdentity,
        stored_uri: Callable[[], str | None],
        *,
        job_id: str = "",
    ) -> None:
        """Raise InvalidInputError if a spec's source would replace or delete another's points.

        `name` is the source's in points' ids. `stored_uri` returns the uri of some point of that
        name in the gallery, or None. With `job_id`, the job that is about to index it, the source
        has the name from now on.

        Where points of that name come from elsewhere, a name that the spec itself gives means that
        the source has moved. Where they were listed elsewhere too, only `prune` could harm them.
        """
        key = f"landmarks:sources:{spec.gallery}"

        def update(pipe: Pipeline) -> None:
            packed = pipe.hget(key, name)
            stored = stored_uri()
            known = _unpacked(packed) if packed else None
            if known is not None and stored is None and not self._is_running(pipe, known.job):
                known = None  # its points were deleted
            if known is None and stored is not None and identity.covers(stored):
                known = _Known(identity.root, (), "")  # of a time before names were kept
            _check(spec, name, identity, known, stored)
            pipe.multi()
            if job_id and not spec.dry_run:
                same = known is not None and known.root == identity.root
                before = known.listings if known and same and not spec.prune else ()
                listings = tuple(dict.fromkeys((*before, identity.listing)))
                now = _Known(identity.root, listings, job_id)
                pipe.hset(key, name, json.dumps(asdict(now)))

        with redis_failures(self._address):
            self._redis.transaction(update, key)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _is_running(self, pipe: Pipeline, job_id: str) -> bool:
        state = pipe.hget(f"landmarks:job:{job_id}", "state")
        return state is not None and _text(state) not in _ENDED


def _check(
    spec: IndexSpec,
    name: str,
    identity: SourceIdentity,
    known: _Known | None,
    stored: str | None,
) -> None:
    root = known.root if known else stored
    if root is None:
        return
    if known is None or root != identity.root:
        if not spec.source_name:
            raise InvalidInputError(
                f"the gallery {spec.gallery!r} has photos of another source called {name!r}, from"
                f" {root or 'a list of addresses'}; photos of the same path would replace each"
                f" other. Give this one another name with --source-name (`source_name`), or, if it"
                f" is the same source and has moved, that name: --source-name {name}",
                field="source_name",
            )
        return
    others = [listing for listing in known.listings if listing != identity.listing]
    if others and spec.prune and not spec.prune_confirmed:
        raise InvalidInputError(
            f"photos of the source {name!r} in the gallery {spec.gallery!r} were indexed by"
            f" {', '.join(others)} too, and pruning by {identity.listing} would delete those that"
            " it does not list. Index without --prune, give each a name of its own with"
            " --source-name (`source_name`), or confirm with --yes (`prune_confirmed`) that it has"
            " replaced the other",
            field="prune",
        )


def _unpacked(packed: bytes | str) -> _Known:
    values = json.loads(packed)
    return _Known(values["root"], tuple(values["listings"]), values["job"])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
