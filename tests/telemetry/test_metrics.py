"""Events are counted under closed labels."""

from typing import Any

import pytest

from app.events import EventName
from app.telemetry.metrics import CountedEvents
from tests.support.fakes import RecordedEvents


@pytest.fixture
def events() -> CountedEvents:
    return CountedEvents(RecordedEvents())


def test_a_counted_event_is_passed_on() -> None:
    inner, bug = RecordedEvents(), LookupError()
    CountedEvents(inner).record("serving", error=bug, port=8000)
    assert inner.entries == [("serving", "", {"port": 8000})]
    assert inner.errors == [bug]


RECORDED: list[tuple[EventName, dict[str, Any]]] = [
    *(
        (
            "request",
            {"method": "GET", "route": "/v1/me", "status": 200, "duration_ms": milliseconds},
        )
        for milliseconds in (100, 300)
    ),
    ("exchange", {"outcome": "rate_limited", "duration_ms": 50}),
    *(("rate_limits_local", {}), ("rate_limits_shared", {}), ("rate_limits_local", {})),
    *(("keys_reload_failed", {"reason": "json"}), ("keys_reloaded", {})),
    *(("user_looked_at", {"outcome": outcome}) for outcome in ("ok", "ok", "account_blocked")),
    *(("secret_reload_failed", {"setting": "X"}), ("secret_reloaded", {"setting": "X"})),
    ("store_failed", {"kind": "TimeoutError"}),
    *(("write_unconfirmed", {}),) * 2,
    *(("session_opened", {"session_id": name}) for name in ("session-a", "session-b")),
    ("session_ended", {"session_id": "session-a", "reason": "kicked"}),
    *(
        ("refresh_reused", {"session_id": "session-a", "kind": kind})
        for kind in ("recent_previous", "stale", "ahead", "stale")
    ),
]
REQUEST = {"method": "GET", "route": "/v1/me", "status": "200"}


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("request_seconds_count", REQUEST, 2),
        ("request_seconds_sum", REQUEST, 0.4),
        ("upstream_exchange_seconds_count", {"outcome": "rate_limited"}, 1),
        ("rate_limit_outages_total", {}, 2),
        ("reloads_total", {"event": "keys_reload_failed"}, 1),
        ("reloads_total", {"event": "keys_reloaded"}, 1),
        ("user_looks_total", {"outcome": "ok"}, 2),
        ("user_looks_total", {"outcome": "account_blocked"}, 1),
        ("reloads_total", {"event": "secret_reload_failed"}, 1),
        ("reloads_total", {"event": "secret_reloaded"}, 1),
        ("store_events_total", {"event": "store_failed", "detail": "TimeoutError"}, 1),
        ("store_events_total", {"event": "write_unconfirmed", "detail": ""}, 2),
        ("session_events_total", {"event": "session_opened", "detail": ""}, 2),
        ("session_events_total", {"event": "session_ended", "detail": "kicked"}, 1),
        ("session_events_total", {"event": "refresh_reused", "detail": "recent_previous"}, 1),
        ("session_events_total", {"event": "refresh_reused", "detail": "stale"}, 2),
        ("session_events_total", {"event": "refresh_reused", "detail": "ahead"}, 1),
    ],
)
def test_events_are_counted_under_closed_labels(
    events: CountedEvents, name: str, labels: dict[str, str], value: float
) -> None:
    for event, fields in RECORDED:
        events.record(event, **fields)
    found = events.registry.get_sample_value(f"ticketgate_{name}", labels)
    assert found == pytest.approx(value)
