"""Traces of a whole process: what is sent to a collector, and that nothing else is."""

import json
import signal
import time

import pytest

from tests.e2e.conftest import Authing, Serve, Service
from tests.support.otlp import attributes, collector
from tests.support.processes import soon

PARENT = "0123456789abcdef"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=c4nary-state"}
BRANCH = {"http.route": "/v1/sessions", "http.request.method": "POST"}


@pytest.fixture
def service(serve: Serve, settings: dict[str, str]) -> Serve:
    """Starts a service that sends its spans to this address."""

    def start(url: str, **more: str) -> Service:
        otel = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        return serve(**settings | otel | more)

    return start


def test_a_login_is_one_trace_of_the_request_the_exchange_and_the_store(
    service: Serve, authing: Authing
) -> None:
    with collector() as sent:
        running = service(sent.url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
        tokens = running.phone.post(
            "/v1/sessions", json={"ticket": authing.ticket()}, headers=TRACEPARENT
        ).json()
        soon(lambda: sent.named("POST /v1/sessions"))
        running.program.close()
    (request,) = sent.named("POST /v1/sessions")
    inner = [
        *sent.named("store acquire"),
        *sent.named("authing exchange"),
        *sent.named("store create_session"),
    ]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert [span.parent_span_id for span in inner] == [request.span_id] * 3
    assert attributes(request) == BRANCH | {"http.response.status_code": 201}
    assert sent.resources[0].items() >= {
        ("service.name", "ticketgate"),
        ("deployment.environment.name", "test"),
    }
    lines = [line for line in running.logged() if line["event"] == "request"]
    assert [line["trace_id"] for line in lines] == [TRACE]
    assert lines[0]["session_id"] == tokens["session"]["id"]


@pytest.mark.long
def test_no_path_query_header_or_credential_is_in_a_span(service: Serve, authing: Authing) -> None:
    secret = "c4nary-0f1e2d3c"
    with collector() as sent:
        running = service(sent.url)
        tokens = running.log_in(ticket := authing.ticket())
        authorization = {"Authorization": f"Bearer {tokens['access_token']}", **TRACEPARENT}
        authing.fail("http_500")
        running.phone.post("/v1/sessions", json={"ticket": authing.ticket()})
        running.phone.get(
            f"/authz/{secret}?{secret}={secret}", headers={**authorization, "X-Name": secret}
        )
        running.phone.request(secret.upper(), f"/{secret}")
        running.phone.get("/livez")
        running.phone.get(f"/v1/sessions/{secret}?ticket={secret}")
        soon(lambda: len(sent.named("GET none")) == 1)
        running.program.close()
    assert {span.name for span in sent.spans} >= {"GET /authz/{original:path}", "_OTHER none"}
    assert not any("livez" in span.name for span in sent.spans)
    failed = [attributes(span) for span in sent.spans if span.status.code == 2]
    assert {"error.type": "http_5xx"} in failed
    assert BRANCH | {"http.response.status_code": 503, "error.type": "503"} in failed
    personal = [tokens["user"]["sub"], tokens["session"]["id"], *tokens["user"].values()]
    for text in (secret, secret.upper(), ticket, tokens["access_token"], "127.0.0.1", *personal):
        assert str(text).encode() not in sent.received
    assert not any(span.trace_state or span.events for span in sent.spans)


@pytest.mark.long
def test_a_collector_that_is_down_costs_no_request_and_no_time_at_the_end(
    service: Serve, authing: Authing
) -> None:
    running = service("http://127.0.0.1:9", DRAIN_DELAY="1")
    running.log_in(authing.ticket())
    begun = time.monotonic()
    running.program.send(signal.SIGTERM)
    assert running.program.wait() == 0
    assert time.monotonic() - begun < 10
    lines = [line for line in running.logged() if line["event"] == "library"]
    assert all("127.0.0.1" not in json.dumps(line) for line in lines)
