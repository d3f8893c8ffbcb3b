"""Faults inside one process, where there is no connection."""

import asyncio
import time

import httpx
import pytest

from app.sandbox import NO_FAULT, Consent, Fault, Sandbox
from tests.sandbox.conftest import Exchange


@pytest.fixture
def ticket(sandbox: Sandbox) -> str:
    return sandbox.state.issue(Consent())


async def test_a_fault_holds_for_the_given_number_of_exchanges(
    sandbox: Sandbox, exchange: Exchange, ticket: str
) -> None:
    sandbox.state.fault = Fault("http_500", times=2)
    statuses = [(await exchange(ticket)).status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert sandbox.state.fault == NO_FAULT
    assert sandbox.state.tickets[ticket].attempts == 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("http_500", (500, "application/json", None)),
        ("http_503", (503, "text/html; charset=utf-8", "8")),
        ("rate_limited", (429, "application/json", "8")),
        ("html", (200, "text/html; charset=utf-8", None)),
        ("redirect", (307, None, None)),
    ],
)
async def test_a_fault_before_the_exchange_leaves_the_ticket_unused(
    sandbox: Sandbox,
    exchange: Exchange,
    ticket: str,
    kind: str,
    expected: tuple[int, str | None, str | None],
) -> None:
    sandbox.state.fault = Fault(kind, times=1, seconds=7.5)
    response = await exchange(ticket)
    headers = response.headers
    seen = (response.status_code, headers.get("content-type"), headers.get("retry-after"))
    assert seen == expected
    assert "_id" not in response.text
    assert "_id" in (await exchange(ticket)).json()


async def test_a_followed_redirect_counts_as_a_second_exchange(
    sandbox: Sandbox, http: httpx.AsyncClient, ticket: str
) -> None:
    options = sandbox.state.options
    path = f"/oauth/app2wxapp/auth/{options.user_pool_id}"
    body = {"ticket": ticket, "secret": options.user_pool_secret}
    sandbox.state.fault = Fault("redirect", times=1)
    followed = await http.post(path, json=body, follow_redirects=True)
    assert "_id" in followed.json()
    assert sandbox.state.exchanges == 2


async def test_a_slow_answer_comes_after_the_wait(sandbox: Sandbox, exchange: Exchange) -> None:
    sandbox.state.fault = Fault("slow", seconds=0.2)
    started = time.monotonic()
    response = await exchange()
    assert time.monotonic() - started >= 0.2
    assert "_id" in response.json()


async def test_a_caller_that_cancels_a_slow_exchange_keeps_the_ticket(
    sandbox: Sandbox, exchange: Exchange, ticket: str
) -> None:
    sandbox.state.fault = Fault("slow", times=1, seconds=600)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(exchange(ticket), 0.05)
    assert "_id" in (await exchange(ticket)).json()


@pytest.mark.parametrize(("kind", "spent"), [("drop", 0), ("accept_then_drop", 1)])
async def test_a_drop_is_a_connection_error_and_may_use_the_ticket(
    sandbox: Sandbox, exchange: Exchange, ticket: str, kind: str, spent: int
) -> None:
    sandbox.state.fault = Fault(kind)
    with pytest.raises(ConnectionResetError):
        await exchange(ticket)
    assert sandbox.state.tickets[ticket].logins == spent


async def test_a_truncated_answer_ends_early_under_the_length_of_the_whole(
    sandbox: Sandbox, exchange: Exchange, ticket: str
) -> None:
    sandbox.state.fault = Fault("truncated")
    response = await exchange(ticket)
    assert int(response.headers["content-length"]) > len(response.content) > 0
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        response.json()
    assert sandbox.state.tickets[ticket].logins == 1
