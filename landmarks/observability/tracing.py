"""Spans of gRPC calls and Celery tasks, sent to an OpenTelemetry collector.

Imported only if spans are sent (`landmarks.observability.telemetry`). OpenTelemetry's own
variables (OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES …) apply too.
Spans hold methods, times, statuses and ids, and never the contents of a message.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcAioInstrumentorServer,
    GrpcInstrumentorClient,
    filters,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator


class _Instrumentor(Protocol):
    def instrument(self, **options: object) -> object: ...
    def uninstrument(self) -> object: ...


# How long an ending process waits for a collector that does not answer.
_SEND_SECONDS = 5
_GRPC: tuple[Callable[..., _Instrumentor], ...] = (
    GrpcInstrumentorClient,
    GrpcAioInstrumentorClient,
    GrpcAioInstrumentorServer,
)
_TRACED = filters.negate(
    filters.any_of(
        # Called all the time, by machines.
        filters.service_name("grpc.health.v1.Health"),
        filters.service_prefix("grpc.reflection"),
        # As long as a job; and as a span, a client's stream could not be cancelled any more.
        filters.method_name("WatchIndexJob"),
    )
)


@contextmanager
def sending(endpoint: str, service: str) -> Iterator[None]:
    """Send spans to `endpoint` as those of `service` until the block ends. Once per process.

    Covers the channels and servers created inside, qdrant-client's among them, and Celery if the
    process has imported it.
    """
    resource = Resource.create({"service.name": service, "service.namespace": "landmarks"})
    provider = TracerProvider(resource=resource)
    insecure = endpoint.startswith("http://")
    exporter = OTLPSpanExporter(endpoint, insecure=insecure, timeout=_SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    instrumentors = [kind(_TRACED) for kind in _GRPC]
    if "celery" in sys.modules:
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        celery: Callable[[], _Instrumentor] = CeleryInstrumentor
        instrumentors.append(celery())
    for instrumentor in instrumentors:
        instrumentor.instrument(request_hook=_end_if_cancelled)
    try:
        yield
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
        provider.shutdown()


@contextmanager
def unsampled() -> Iterator[None]:
    """Run in a trace that is not recorded, here and in every service called."""
    ids = RandomIdGenerator()
    nothing = trace.SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(nothing)):
        yield


def add_trace_id(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the id of the current trace to a log line; a processor of structlog."""
    current = trace.get_current_span().get_span_context()
    if current.trace_flags.sampled:
        event["trace_id"] = trace.format_trace_id(current.trace_id)
    return event


def _end_if_cancelled(span: trace.Span, _request: object) -> None:
    """End a client's span when its call is cancelled, as by a search that is too late.

    The instrumentation ends spans of calls that have a status, and a cancelled one gets none.
    """

    def end(task: asyncio.Task[object]) -> None:
        if task.cancelled() and span.is_recording():
            span.set_status(trace.StatusCode.ERROR, "cancelled")
            span.end()

    try:
        task = asyncio.current_task()
    except RuntimeError:  # a call without an event loop
        return
    if task is not None:
        task.add_done_callback(end)
