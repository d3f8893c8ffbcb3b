"""Spans of requests and commands, as a collector gets them."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from app.errors import AuthingTimeout, StoreUnavailable, TicketRejected
from app.telemetry.tracing import Tracing
from tests.support.otlp import Collector, attributes, collector

SCOPE = {"type": "http", "path": "/v1/me", "method": "GET", "headers": []}


async def traced(
    monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any], scope: dict[str, Any] | None
) -> Collector:
    """Run the command within a request, or without one, and return what was sent."""
    with collector() as sent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sent.url)
        tracing = Tracing()
        run = tracing.commands("store")("rotate", command)

        async def app(*_: object) -> None:
            await run()

        with suppress(Exception):
            await (app() if scope is None else tracing.requests(app)(scope, None, None))
        tracing.close()
    return sent


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (AuthingTimeout("deadline"), "deadline"),
        (StoreUnavailable(), "store_unavailable"),
        (TicketRejected(2207), "ticket_rejected"),
        (ValueError("c4nary"), "ValueError"),
    ],
)
async def test_a_failed_command_is_named_by_a_closed_word(
    monkeypatch: pytest.MonkeyPatch, error: Exception, error_type: str
) -> None:
    async def fail() -> None:
        raise error

    sent = await traced(monkeypatch, fail, SCOPE)
    (span,) = sent.named("store rotate")
    assert attributes(span) == {"error.type": error_type}
    assert b"c4nary" not in sent.received


@pytest.mark.parametrize(
    "scope",
    [None, SCOPE | {"path": "/readyz"}, {"type": "lifespan"}],
    ids=["none", "health", "start"],
)
async def test_a_command_outside_of_a_traced_request_has_no_span(
    monkeypatch: pytest.MonkeyPatch, scope: dict[str, Any] | None
) -> None:
    done = []

    async def command() -> None:
        done.append(True)

    assert (await traced(monkeypatch, command, scope)).spans == []
    assert done == [True]
