"""Figure 4: the service beside other servers around the very same ONNX model and decoding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    say,
    typical,
)
from benchmarks.load_generator import Load, Phase, traffic_of
from benchmarks.load_results import Traffic
from benchmarks.machine import cores
from benchmarks.models import onnx_of
from benchmarks.peers.catalogue import PEERS, Peer, serving
from benchmarks.peers.peer_model import Sharing
from benchmarks.processes import Server
from benchmarks.serve.loads import CLIENTS, phase, singles
from benchmarks.services import encoder
from encoder_service.onnx_cache import PreparedModel
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.rpc.channel import open_channel

_SAME = 0.9999
_TIMEOUT_SECONDS = 60


def cases(model: str) -> list[Case]:
    """Return the figures `serve-4`: photos/s and p95 with 32 clients, service ÷ each peer."""
    found = []
    for peer in PEERS:
        rate, late = _names(model, peer)
        goals = {rate: ">= 1.0", late: "<= 1.0"}
        found.append(Case(goals, partial(_measure, model, peer)))
    return found


def _names(model: str, peer: Peer) -> tuple[str, str]:
    name = f"serve-4-{model}-{peer.name}"
    return name, f"{name}-p95"


def _measure(model: str, peer: Peer, bench: Bench) -> Mapping[str, Measurement]:
    prepared = onnx_of(model)
    sharing, tried = _tuned(model, peer, prepared, bench)
    with (
        encoder(model, runtime="onnxruntime") as server,
        serving(peer, model, prepared, sharing, bench.cache) as other,
    ):
        for photo in bench.photos[:3]:
            _check_same(model, peer, server, other, photo.read_bytes())
        _warm_up(model, peer, other, bench)
        ours, theirs = in_turn(
            bench.effort.repetitions,
            lambda: singles(bench, server.target, model),
            lambda: _traffic(model, peer, other, bench, phase(bench)),
        )
    rates = [[each.rate() for each in side] for side in (ours, theirs)]
    late = [[each.p95() for each in side] for side in (ours, theirs)]
    setting = f"{peer.words}; {sharing}, the best of {tried}; {CLIENTS} clients on the same cores"
    rate_name, late_name = _names(model, peer)
    return {
        rate_name: Measurement(
            ratios(*rates),
            f"service {typical(rates[0], 'photos/s')}, peer {typical(rates[1], 'photos/s')};"
            f" {setting}",
        ),
        late_name: Measurement(
            ratios(*late),
            f"service {typical([1000 * each for each in late[0]], 'ms')}, peer"
            f" {typical([1000 * each for each in late[1]], 'ms')}; {setting}",
        ),
    }


def _tuned(model: str, peer: Peer, prepared: PreparedModel, bench: Bench) -> tuple[Sharing, int]:
    """Return the sharing by which a peer is fastest under this very load, and of how many."""
    effort = bench.effort
    candidates = peer.sharings(len(cores()))
    candidates = candidates[:1] if effort.quick else candidates
    rates: dict[Sharing, float] = {}
    for sharing in candidates:
        with serving(peer, model, prepared, sharing, bench.cache) as server:
            _warm_up(model, peer, server, bench)
            short = Phase(effort.tune_seconds, CLIENTS, warm=effort.warm_seconds)
            rates[sharing] = _traffic(model, peer, server, bench, short).rate()
        say(f"  {peer.name}, {sharing}: {rates[sharing]:.1f} photos/s")
    return max(rates, key=lambda sharing: rates[sharing]), len(rates)


def _traffic(model: str, peer: Peer, server: Server, bench: Bench, part: Phase) -> Traffic:
    photos = [str(photo) for photo in bench.photos]
    return traffic_of(Load(server.target, model, photos, [part], protocol=peer.protocol))


def _warm_up(model: str, peer: Peer, server: Server, bench: Bench) -> None:
    """Let all workers come up and adaptive batching learn, outside of what is measured."""
    _vector_of(peer, server, model, bench.photos[0].read_bytes())
    _traffic(model, peer, server, bench, Phase(bench.effort.tune_seconds, CLIENTS))


def _check_same(model: str, peer: Peer, server: Server, other: Server, photo: bytes) -> None:
    ours, theirs = _vector(server.target, model, photo), _vector_of(peer, other, model, photo)
    if ours.shape != theirs.shape or float(ours @ theirs) < _SAME:
        raise CannotMeasureError(f"{peer.name} makes other vectors than the service")


def _vector_of(peer: Peer, server: Server, model: str, photo: bytes) -> npt.NDArray[np.float32]:
    if peer.protocol == "http":
        return _vector_over_http(server.target, photo)
    return _vector(server.target, model, photo)


def _vector(target: str, model: str, photo: bytes) -> npt.NDArray[np.float32]:
    request = pb.EncodeRequest(model=model, photo=photo)
    with open_channel(target) as channel:
        answer = EncoderServiceStub(channel).Encode(request, timeout=_TIMEOUT_SECONDS)
    return np.asarray(answer.embedding.values, np.float32)


def _vector_over_http(target: str, photo: bytes) -> npt.NDArray[np.float32]:
    request = Request(f"http://{target}/encode", photo)
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        return np.frombuffer(answer.read(), np.float32)
