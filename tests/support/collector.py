"""An OpenTelemetry collector: it takes spans over OTLP and keeps them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector(rpc.TraceServiceServicer):
    """The spans that came, each with the name of its service."""

    endpoint: str = ""
    received: list[tuple[str, Span]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def Export(  # noqa: N802 - gRPC's name
        self, request: pb.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> pb.ExportTraceServiceResponse:
        with self.lock:
            for resource in request.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                self.received += [
                    (names["service.name"], span)
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
        return pb.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[tuple[str, Span]]:
        with self.lock:
            return list(self.received)

    def trace_of(self, service: str, name: str) -> list[tuple[str, Span]]:
        """Return the spans of the trace that has a span of `service` called `name`."""
        traces = {
            span.trace_id for owner, span in self.spans if (owner, span.name) == (service, name)
        }
        return [(owner, span) for owner, span in self.spans if span.trace_id in traces]


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        rpc.add_TraceServiceServicer_to_server(collector, server)
        port = server.add_insecure_port("127.0.0.1:0")
        collector.endpoint = f"http://127.0.0.1:{port}"
        server.start()
        try:
            yield collector
        finally:
            server.stop(None).wait()
