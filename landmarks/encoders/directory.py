"""Finding the encoder that made a collection's vectors: targets by model and digest.

While an encoder is being replaced, a model may have targets of the old and of the new digest side
by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.errors import LandmarksError, LineageError, NotFoundError, UnavailableError
from landmarks.rpc.channel_pool import Channels
from landmarks.rpc.status import error_from_rpc
from landmarks.security.tls import NO_TLS, Tls

_DESCRIBE_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class ServedModel:
    """A revision of a model as one target serves it; `superseded_by` is the digest of a newer."""

    name: str
    dimension: int
    digest: str
    target: str
    limits: pb.InputLimits
    superseded_by: str = ""


def served_model(model: pb.Model, target: str) -> ServedModel:
    """Return a model as `target` describes it.

    Raises UnavailableError if it is not ready: a process that has just started, or cannot load the
    model, has no digest to compare.
    """
    if not model.ready:
        reason = model.failure or "it is still loading"
        raise UnavailableError(f"encoder {target} cannot serve {model.name!r}: {reason}")
    return ServedModel(
        model.name, model.dimension, model.digest, target, model.limits, model.superseded_by
    )


def served_revisions(answer: pb.GetModelResponse, target: str) -> list[ServedModel]:
    """Return a model's revisions as `target` describes them, newest first; raises as above."""
    return [served_model(one, target) for one in (answer.model, *answer.earlier)]


def newer_than(digest: str, served: Sequence[ServedModel]) -> Sequence[ServedModel]:
    """Return those of another digest that no target has replaced by a newer one."""
    replaced = {one.digest for one in served if one.superseded_by}
    return [one for one in served if one.digest != digest and one.digest not in replaced]


def choose_target(
    model: str, digest: str | None, served: Sequence[ServedModel], failures: Sequence[str]
) -> ServedModel:
    """Return the target for `model`: the one with `digest`, or the first if that is None.

    `failures` says why each target that did not answer failed.

    Raises UnavailableError if a target that did not answer might have been the one;
    LineageError if all answered and none has the digest.
    """
    for candidate in served:
        if digest in (None, candidate.digest):
            return candidate
    if failures:
        raise UnavailableError(f"no encoder of {model!r} could be reached: {'; '.join(failures)}")
    serving = ", ".join(sorted(candidate.digest[:8] for candidate in served))
    raise LineageError(
        f"the collection was made by {model!r} with digest {(digest or '')[:8]}, but the encoders"
        f" running now have {serving}; start an encoder of that digest, or index again"
    )


class EncoderDirectory:
    """The encoders for threads: one shared channel per target. Safe to use from many threads."""

    def __init__(self, targets: Mapping[str, Sequence[str]], tls: Tls = NO_TLS) -> None:
        self._targets = {model: tuple(addresses) for model, addresses in targets.items()}
        self._channels = Channels(tls)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models that have a target."""
        return tuple(self._targets)

    def stub(self, target: str) -> EncoderServiceStub:
        """Return the stub for `target`."""
        return EncoderServiceStub(self._channels.get(target))

    def find(self, model: str, digest: str | None = None) -> ServedModel:
        """Return the target that serves `model`, with `digest` if one is given.

        Raises NotFoundError for a model without a target, else as `choose_target`.
        """
        served, failures = self._served(model)
        return choose_target(model, digest, served, failures)

    def find_another(self, model: str, digest: str) -> ServedModel:
        """Return the first target that serves `model` with another digest than this.

        None of a revision that a target has replaced. Raises LineageError if all targets answered
        and none has such a digest, else as `find`.
        """
        served, failures = self._served(model)
        others = newer_than(digest, served)
        if not others and not failures:
            raise LineageError(
                f"no encoder of {model!r} has a newer digest than {digest[:8]}; start one of"
                " another digest, and name it in LANDMARKS_ENCODERS beside the one that serves"
                " searches"
            )
        return choose_target(model, None, others, failures)

    def close(self) -> None:
        """Close every channel."""
        self._channels.close()

    def _served(self, model: str) -> tuple[list[ServedModel], list[str]]:
        """Return the targets that serve `model`, and why the others did not answer."""
        targets = self._targets.get(model)
        if not targets:
            known = ", ".join(sorted(self._targets)) or "none"
            raise NotFoundError(f"no encoder is set up for model {model!r}; there are: {known}")
        served: list[ServedModel] = []
        failures: list[str] = []
        for target in targets:
            try:
                served += self._describe(model, target)
            except LandmarksError as error:
                failures.append(str(error))
        return served, failures

    def _describe(self, model: str, target: str) -> list[ServedModel]:
        try:
            answer = self.stub(target).GetModel(
                pb.GetModelRequest(model=model), timeout=_DESCRIBE_TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            raise error_from_rpc(error, f"encoder {target}") from error
        return served_revisions(answer, target)
