"""Events are counted under closed labels, which start at 0."""

import re
from collections.abc import Collection
from itertools import cycle, islice, product
from typing import Any, get_args

import pytest

from app.errors import (
    AuthingError,
    LoginRefused,
    Outcome,
    ProofError,
    RefreshRefused,
    StoreUnavailable,
)
from app.events import EventName
from app.sessions.models import EndReason
from app.sessions.outcomes import ProofFault, ReuseKind
from app.telemetry.metrics import CountedEvents
from tests.api.routes import OAUTH, ROUTES, WEBHOOKS
from tests.support.fakes import RecordedEvents

GATE = {"/authz": {"GET"}, "/authz/{original:path}": {"GET", "POST"}}
REFUSALS = (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 431, 500, 503)


SESSION = {"session_id": "session-a"}


@pytest.fixture
def events() -> CountedEvents:
    return CountedEvents(RecordedEvents())


def request(
    route: str, status: int = 200, method: str = "POST", **fields: Any
) -> tuple[EventName, dict[str, Any]]:
    told = {"method": method, "route": route, "status": status, "duration_ms": 1}
    return "request", told | fields


def of(kind: str) -> dict[str, Any]:
    return SESSION | {"kind": kind}


def came(outcome: str) -> dict[str, Any]:
    return {"outcome": outcome, "duration_ms": 50}


def value(events: CountedEvents, name: str, **labels: str) -> float | None:
    found: float | None = events.registry.get_sample_value(f"ticketgate_{name}", labels)
    return found


def test_a_counted_event_is_passed_on() -> None:
    inner, bug = RecordedEvents(), LookupError()
    CountedEvents(inner).record("serving", error=bug, port=8000)
    assert inner.entries == [("serving", "", {"port": 8000})]
    assert inner.errors == [bug]


LOGIN, REFRESH = "/v1/sessions", "/v1/sessions/refresh"
TABLE: list[tuple[EventName, dict[str, Any], str, str]] = [
    (*request("/v1/me", method="GET"), "http_requests_total", "method=GET route=/v1/me status=200"),
    (*request("/v1/me", method="GET"), "http_request_duration_seconds_count", "route=/v1/me"),
    (*request("none", 404), "http_requests_total", "method=other route=none status=404"),
    (*request("/v1/me", 405), "http_requests_total", "method=other route=/v1/me status=405"),
    (*request("/authz"), "http_requests_total", "method=any route=/authz status=200"),
    (*request("/livez", 0), "http_requests_total", "method=POST route=/livez status=0"),
    (*request("/v1/me", 505), "http_requests_total", "method=POST route=/v1/me status=505"),
    ("session_opened", SESSION, "logins_total", "outcome=opened"),
    ("login_replayed", SESSION, "logins_total", "outcome=replayed"),
    (*request(LOGIN, 400, code="ticket_used"), "logins_total", "outcome=ticket_used"),
    (*request(LOGIN, 422, code="invalid_request"), "logins_total", "outcome=other"),
    ("session_rotated", SESSION, "refreshes_total", "outcome=rotated"),
    ("session_rolled_forward", SESSION, "refreshes_total", "outcome=rolled_forward"),
    ("refresh_replayed", of("again"), "refreshes_total", "outcome=replayed"),
    (*request(REFRESH, 400, code="session_ended"), "refreshes_total", "outcome=session_ended"),
    ("refresh_replayed", of("first"), "refresh_replays_total", "kind=first"),
    ("refresh_replayed_repeatedly", SESSION, "suspicious_replays_total", ""),
    ("refresh_reused", of("stale"), "refresh_reuses_total", "kind=stale"),
    ("refresh_reused", of("stale"), "sessions_ended_total", "reason=refresh_reused"),
    ("proof_refused", of("other_key"), "proofs_refused_total", "kind=other_key"),
    ("session_bound", SESSION, "sessions_bound_total", ""),
    ("session_ended", SESSION | {"reason": "kicked"}, "sessions_ended_total", "reason=kicked"),
    ("exchange", came("http_5xx"), "exchanges_total", "outcome=http_5xx"),
    ("exchange", came("http_5xx"), "exchange_duration_seconds_count", "result=failed"),
    ("exchange", came("ok"), "exchange_duration_seconds_count", "result=ok"),
    ("exchange", came("ticket_rejected"), "exchange_duration_seconds_count", "result=refused"),
    ("exchange", came("breaker_open"), "exchanges_total", "outcome=breaker_open"),
    ("user_looked_at", came("account_blocked"), "user_looks_total", "outcome=account_blocked"),
    ("user_looked_at", came("dns"), "user_looks_total", "outcome=other"),
    ("store_failed", {"kind": "TimeoutError"}, "store_failures_total", ""),
    ("write_unconfirmed", {}, "store_unconfirmed_writes_total", ""),
    (*request(LOGIN, 429, code="rate_limited"), "rate_limited_total", "limit=login"),
    (*request(REFRESH, 429, code="rate_limited"), "rate_limited_total", "limit=refresh"),
    (*request(LOGIN, 429, "GET", code="rate_limited"), "rate_limited_total", "limit=list"),
    ("rate_limits_local", {}, "rate_limit_outages_total", ""),
    ("keys_reloaded", {}, "reloads_total", "event=keys_reloaded"),
    ("keys_reload_failed", {"reason": "json"}, "reloads_total", "event=keys_reload_failed"),
    ("secret_reloaded", {"setting": "X"}, "reloads_total", "event=secret_reloaded"),
    ("secret_reload_failed", {"setting": "X"}, "reloads_total", "event=secret_reload_failed"),
]


@pytest.mark.parametrize(("event", "fields", "name", "series"), TABLE)
def test_an_event_is_counted_under_closed_labels(
    events: CountedEvents, event: EventName, fields: dict[str, Any], name: str, series: str
) -> None:
    labels = dict(label.split("=") for label in series.split())
    before = value(events, name, **labels)
    events.record(event, **fields)
    events.record(event, **fields)
    assert (before or 0, value(events, name, **labels)) == (0, 2)
    assert before == 0 or name.startswith("http_")  # paths are no closed set
    assert "session-a" not in str(list(events.registry.collect()))


def test_an_exchange_that_authing_was_not_asked_for_has_no_duration(events: CountedEvents) -> None:
    events.record("exchange", outcome="bulkhead", duration_ms=0)
    name = "exchange_duration_seconds_count"
    assert {value(events, name, result=each) for each in ("ok", "refused", "failed")} == {0}


def test_a_store_that_loses_data_is_shown(events: CountedEvents) -> None:
    assert value(events, "store_durable") == 1
    events.record("store_not_durable", reason="no_append_only_file")
    assert value(events, "store_durable") == 0


def test_durations_are_counted_up_to_the_bound_of_each_bucket(events: CountedEvents) -> None:
    for milliseconds in (50, 51, 5900, 6001):
        events.record("exchange", outcome="ok", duration_ms=milliseconds)
    name = "exchange_duration_seconds"
    counts = [
        value(events, f"{name}_bucket", result="ok", le=bound)
        for bound in ("0.05", "0.1", "6.0", "+Inf")
    ]
    assert counts == [1, 2, 3, 4]
    assert value(events, f"{name}_sum", result="ok") == pytest.approx(12.002)


@pytest.mark.parametrize(("command", "label"), [("touch", "touch"), ("list_bans", "other")])
async def test_a_command_is_timed_even_if_it_fails(
    events: CountedEvents, command: str, label: str
) -> None:
    async def fail() -> None:
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        await events.timed(command, fail)()
    assert value(events, "store_command_duration_seconds_count", command=label) == 1


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("exchanges", "outcome", get_args(Outcome)),
        ("sessions_ended", "reason", [*EndReason]),
        ("refresh_reuses", "kind", get_args(ReuseKind)),
        ("proofs_refused", "kind", {*get_args(ProofFault)} - {"nonce"}),
        ("logins", "outcome", {error.code for error in LoginRefused.__subclasses__()}),
        ("logins", "outcome", {error.code for error in AuthingError.__subclasses__()}),
        ("refreshes", "outcome", {error.code for error in RefreshRefused.__subclasses__()}),
        ("refreshes", "outcome", {error.code for error in ProofError.__subclasses__()}),
    ],
)
def test_every_word_of_the_code_starts_at_0(
    events: CountedEvents, name: str, label: str, values: Collection[str]
) -> None:
    assert {value(events, f"{name}_total", **{label: each}) for each in values} == {0}


def test_every_counted_event_exists() -> None:
    assert CountedEvents(RecordedEvents())._counted.keys() <= {*get_args(EventName)}


async def test_there_are_at_most_500_series_after_100_000_users(events: CountedEvents) -> None:
    kinds = [
        (route, method, status)
        for route, methods in ({"none": {"GET"}} | ROUTES | OAUTH | WEBHOOKS | GATE).items()
        for method, status in product([*sorted(methods), "PUT", "other"], (200, *REFUSALS))
    ]
    for number, (route, method, status) in enumerate(islice(cycle(kinds), 100_000)):
        session = f"session-{number}"
        events.record("session_opened", session_id=session)
        events.record("request", **request(route, status, method)[1])
    text = (await events.render()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert 400 < len(lines) < 480  # the gauges of a whole service are not among them
    counts = [
        float(line.split()[1]) for line in lines if line.startswith("ticketgate_http_requests")
    ]
    assert sum(counts) == 100_000
    assert "session-" not in text
    assert not any(re.match(r"\w+_created[ {]", line) for line in lines)
