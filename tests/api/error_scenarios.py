"""Functions that cause one error each in a running app and return the response."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import httpx

from app.authing.resilience import MAX_CONCURRENT
from app.sessions.models import Identity
from app.sessions.ports import TicketLease
from tests.support.running_app import RunningApp, bearer, phone_of

Scenario: TypeAlias = Callable[[RunningApp], Awaitable[httpx.Response]]
KEY = "9d1f0c5e-6a7b-4c3d-8e2f-a0b1c2d3e4f5"
CANARY = "canary-in-the-text-of-an-exception"
JSON = {"Content-Type": "application/json"}

# --- the request itself ---


def get(path: str, **headers: str) -> Scenario:
    return lambda app: app.phone.get(path, headers=headers)


def login_with(**members: Any) -> Scenario:
    return lambda app: app.phone.post("/v1/sessions", json=members)


def login_with_body(body: bytes) -> Scenario:
    return lambda app: app.phone.post("/v1/sessions", content=body, headers=JSON)


async def login_with_a_form(app: RunningApp) -> httpx.Response:
    return await app.phone.post("/v1/sessions", data={"ticket": app.ticket()})


async def login_with_endless_body(app: RunningApp) -> httpx.Response:
    ticket = app.ticket().encode()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield ticket

    return await app.phone.post("/v1/sessions", content=body(), headers=JSON)


async def ticket_in_the_query(app: RunningApp) -> httpx.Response:
    return await app.phone.get("/v1/launch", params={"ticket": app.ticket()})


async def access_token_in_the_query(app: RunningApp) -> httpx.Response:
    tokens = await app.log_in()
    query = {"access_token": tokens["access_token"]}
    return await app.phone.get("/v1/me", params=query, headers=bearer(tokens))


# --- Authing ---


def login_of(persona: str) -> Scenario:
    return lambda app: app.try_log_in(app.ticket(persona))


log_in = login_of("lin")


async def login_with_a_made_up_proof(app: RunningApp) -> httpx.Response:
    return await app.try_log_in(app.ticket(), KEY, "a.made-up.proof")


async def login_with_an_unknown_ticket(app: RunningApp) -> httpx.Response:
    app.secrets.add("an-unknown-ticket")
    return await app.try_log_in("an-unknown-ticket")


async def login_with_an_old_ticket(app: RunningApp) -> httpx.Response:
    ticket = app.ticket()
    app.clock.advance(minutes=2)
    return await app.try_log_in(ticket)


async def login_in_a_crowd(app: RunningApp) -> httpx.Response:
    app.wire.open.clear()
    logins = [asyncio.ensure_future(log_in(app)) for _ in range(MAX_CONCURRENT + 1)]
    done, _ = await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
    app.wire.open.set()
    await asyncio.gather(*logins)
    return await done.pop()


async def login_after_another(app: RunningApp) -> httpx.Response:
    await login_with_an_unknown_ticket(app)
    return await login_with_an_unknown_ticket(app)


async def refresh_after_another(app: RunningApp) -> httpx.Response:
    tokens = await app.refresh((await app.log_in())["refresh_token"])
    return await app.try_refresh(tokens["refresh_token"])


def login_when(change: Callable[[RunningApp], object]) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        change(app)
        return await log_in(app)

    return scenario


def login_when_authing_has(fault: str) -> Scenario:
    return login_when(lambda app: app.break_authing(fault, seconds=7))


def untrusted(app: RunningApp) -> None:
    app.wire.failure = ssl.SSLCertVerificationError(CANARY)


# --- one ticket, one session ---


async def login_with_a_used_ticket(app: RunningApp) -> httpx.Response:
    ticket = app.ticket()
    app.tokens(await app.try_log_in(ticket, KEY), 201)
    return await app.try_log_in(ticket, KEY[::-1])


async def login_again_after_a_refresh(app: RunningApp) -> httpx.Response:
    ticket = app.ticket()
    tokens = app.tokens(await app.try_log_in(ticket, KEY), 201)
    await app.refresh(tokens["refresh_token"])
    return await app.try_log_in(ticket, KEY)


async def login_with_the_key_of_another_ticket(app: RunningApp) -> httpx.Response:
    app.tokens(await app.try_log_in(app.ticket(), KEY), 201)
    return await app.try_log_in(app.ticket(), KEY)


async def login_with_an_odd_key(app: RunningApp) -> httpx.Response:
    return await app.try_log_in(app.ticket(), f"{KEY} {KEY}")


def login_beside_another(seconds: int) -> Scenario:
    """Another instance has leased the ticket."""

    async def scenario(app: RunningApp) -> httpx.Response:
        ticket, now = app.ticket(), app.clock()
        lease = TicketLease(
            ticket_hash=hashlib.sha256(ticket.encode()).digest(),
            key_hash=None,
            holder="another instance",
            now=now,
            lease_ends_at=now + timedelta(seconds=seconds),
            expires_at=now + timedelta(minutes=2),
        )
        await app.services.logins.tickets.acquire(lease)
        return await app.try_log_in(ticket, KEY)

    return scenario


# --- our own tokens ---


async def refresh_with_a_made_up_token(app: RunningApp) -> httpx.Response:
    token = "rt_made-up" + "A" * 63
    app.secrets.add(token)
    return await app.try_refresh(token)


async def me_with_a_made_up_token(app: RunningApp) -> httpx.Response:
    app.secrets.add("a.made-up.access-token")
    return await app.get("/v1/me", {"access_token": "a.made-up.access-token"})


async def me_with_a_forged_token(app: RunningApp) -> httpx.Response:
    tokens = await app.log_in()
    header, claims, _signature = tokens["access_token"].split(".")
    return await app.get("/v1/me", {"access_token": f"{header}.{claims}.{'A' * 86}"})


async def me_with_two_tokens(app: RunningApp) -> httpx.Response:
    one, other = bearer(await app.log_in()), bearer(await app.log_in())
    return await app.phone.get("/v1/me", headers=[*one.items(), *other.items()])


# --- ourselves ---


class BuggyIdentityProvider:
    async def exchange(self, ticket: str, network: str) -> Identity:
        raise LookupError(CANARY, ticket)


async def login_with_a_bug_of_ours(app: RunningApp) -> httpx.Response:
    logins = replace(app.services.logins, identity_provider=BuggyIdentityProvider())
    async with phone_of(app.serve(replace(app.services, logins=logins))) as phone:
        return await phone.post("/v1/sessions", json={"ticket": app.ticket()})
