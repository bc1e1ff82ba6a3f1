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

    def choose(
        self,
        spec: IndexSpec,
        usual: str,
        identity: SourceIdentity,
        stored_uri: Callable[[str], str | None],
        is_there: Callable[[str], bool],
        *,
        job_id: str = "",
    ) -> str:
        """Return the name of a spec's source in points' ids, by which it replaces no other's.

        That is the name that the spec gives, or the `usual` one, or if that is another's, the one
        that this source got before, or a new one. `stored_uri` returns the uri of some point of a
        source's name in the gallery, or None; `is_there` says whether what has a uri can be read
        now. With `job_id`, the job that is about to index it, the source has the name from now on.

        Raises InvalidInputError if photos of the usual name are no longer where they were: the
        source may be the same, and have moved. Where they come from elsewhere, a name that the spec
        itself gives means that it has. Where they were listed elsewhere too, only `prune` could
        harm them, and is refused.
        """
        key = f"landmarks:sources:{spec.gallery}"
        chosen: list[str] = []

        def update(pipe: Pipeline) -> None:
            name, known = self._chosen(pipe, key, spec, usual, identity, stored_uri, is_there)
            _check_listings(spec, name, identity, known)
            pipe.multi()
            if job_id and not spec.dry_run:
                same = known is not None and known.root == identity.root
                before = known.listings if known and same and not spec.prune else ()
                listings = tuple(dict.fromkeys((*before, identity.listing)))
                now = _Known(identity.root, listings, job_id)
                pipe.hset(key, name, json.dumps(asdict(now)))
            chosen[:] = [name]

        with redis_failures(self._address):
            self._redis.transaction(update, key)
        return chosen[0]

    def _chosen(
        self,
        pipe: Pipeline,
        key: str,
        spec: IndexSpec,
        usual: str,
        identity: SourceIdentity,
        stored_uri: Callable[[str], str | None],
        is_there: Callable[[str], bool],
    ) -> tuple[str, _Known | None]:
        """Return the name, and what is known of the source that has it."""
        if spec.source_name:
            known, _ = self._known(pipe, key, spec.source_name, identity, stored_uri)
            return spec.source_name, known
        for name in identity.names(usual):
            known, stored = self._known(pipe, key, name, identity, stored_uri)
            if known is not None and known.root == identity.root:
                return name, known
            if known is None and stored is None:
                return name, None
            if not is_there(stored or (known.root if known else "")):
                raise _may_have_moved(spec, name, known.root if known else stored)
        raise _may_have_moved(spec, usual, "")  # no name is left

    def _known(
        self,
        pipe: Pipeline,
        key: str,
        name: str,
        identity: SourceIdentity,
        stored_uri: Callable[[str], str | None],
    ) -> tuple[_Known | None, str | None]:
        """Return what is known of the source of a name, and the uri of one of its points."""
        packed = pipe.hget(key, name)
        stored = stored_uri(name)
        known = _unpacked(packed) if packed else None
        if known is not None and stored is None and not self._is_running(pipe, known.job):
            known = None  # its points were deleted
        if known is None and stored is not None and identity.covers(stored):
            known = _Known(identity.root, (), "")  # of a time before names were kept
        return known, stored

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _is_running(self, pipe: Pipeline, job_id: str) -> bool:
        state = pipe.hget(f"landmarks:job:{job_id}", "state")
        return state is not None and _text(state) not in _ENDED


def _may_have_moved(spec: IndexSpec, name: str, root: str | None) -> InvalidInputError:
    return InvalidInputError(
        f"the gallery {spec.gallery!r} has photos of another source called {name!r}, from"
        f" {root or 'a list of addresses'}, which cannot be read now. If it is the same source and"
        f" has moved, index it by that name: --source-name {name} (`source_name`). If it is"
        " another, give it another name: photos of the same path would replace each other",
        field="source_name",
    )


def _check_listings(
    spec: IndexSpec, name: str, identity: SourceIdentity, known: _Known | None
) -> None:
    """Raise InvalidInputError if a prune would delete what another list names."""
    if known is None or known.root != identity.root:
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
