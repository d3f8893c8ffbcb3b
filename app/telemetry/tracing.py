"""Traces through OpenTelemetry, whose own variables configure everything.

Imported only if they ask for traces, because the packages are an extra. A span has closed words,
templates of routes and numbers: never a path, a query, a header, or the text of an exception.
"""

from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Any, TypeAlias

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__
from app.errors import AuthingError, TicketgateError
from app.events import CONTEXT
from app.telemetry.metrics import Command, Wrap

_Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNTRACED = frozenset({"/livez", "/readyz"})
_QUIET: Any = {"record_exception": False, "set_status_on_exception": False}
"""The texts of exceptions may hold secrets."""
_SERVER_ERROR = 500
_CLOSE_SECONDS = 2.0


class Tracing:
    """Makes spans of requests, of the exchange and of store commands, and sends them by OTLP."""

    def __init__(self) -> None:
        ours = Resource({"service.name": "ticketgate", "service.version": __version__})
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("ticketgate", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is queued, for at most two seconds."""
        # A thread, because a collector that is down would hold up the end of the process.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)

    def commands(self, owner: str) -> Wrap:
        """Return what makes a span of each command of a traced request, with both names."""

        def wrap(name: str, command: Command) -> Command:
            async def run(*args: Any, **kwargs: Any) -> Any:
                if not get_current_span().is_recording():
                    return await command(*args, **kwargs)
                with self._tracer.start_as_current_span(
                    f"{owner} {name}", kind=SpanKind.CLIENT, **_QUIET
                ) as span:
                    try:
                        return await command(*args, **kwargs)
                    except Exception as error:
                        _fail(span, _error_type(error))
                        raise

            return run

        return wrap

    def requests(self, app: _Application) -> _Application:
        """Return the ASGI application with a span around each request but those for health.

        A `traceparent` of the request is its parent (W3C Trace Context); `tracestate` is ignored,
        because it is a text of the client. The log lines of the request get the trace's id.
        """

        async def traced(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["path"] in _UNTRACED:
                await app(scope, receive, send)
                return
            status = 0

            async def note_status(message: Any) -> None:
                nonlocal status
                status = message.get("status", status)
                await send(message)

            given = [value for name, value in scope["headers"] if name == b"traceparent"]
            parent = self._propagator.extract({"traceparent": b"".join(given).decode("latin-1")})
            with self._tracer.start_as_current_span(
                "request", context=parent, kind=SpanKind.SERVER, **_QUIET
            ) as span:
                context = CONTEXT.set({"trace_id": f"{span.get_span_context().trace_id:032x}"})
                try:
                    await app(scope, receive, note_status)
                finally:
                    CONTEXT.reset(context)
                    _describe(span, scope, status)

        return traced


def _describe(span: Span, scope: Any, status: int) -> None:
    """Name the span by the semantic conventions for HTTP; 0 is a client that has gone."""
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    route = getattr(scope.get("route"), "path", "none")
    span.update_name(f"{method} {route}")
    told = {"request.method": method, "route": route, "response.status_code": status}
    span.set_attributes({f"http.{name}": value for name, value in told.items()})
    if status >= _SERVER_ERROR:
        _fail(span, str(status))


def _fail(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


def _error_type(error: Exception) -> str:
    if isinstance(error, AuthingError):
        return error.outcome
    return error.code if isinstance(error, TicketgateError) else type(error).__name__
