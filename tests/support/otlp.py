"""A collector: an HTTP server that takes spans by OTLP."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.threads import Request, Response, http_server


@dataclass
class Collector:
    """The spans so far, and all bytes that were sent."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    received: bytes = b""

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for part in request.resource_spans:
            self.resources.append(
                {each.key: each.value.string_value for each in part.resource.attributes}
            )
            for scope in part.scope_spans:
                self.spans += scope.spans
        self.received += body

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


def attributes(span: Any) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()

    def answer(request: Request) -> Response:
        gzipped = ("Content-Encoding", "gzip") in request.headers
        found.take(gzip.decompress(request.body) if gzipped else request.body)
        return Response()

    with http_server(answer) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found
