"""Functions that cause one error each in a running app and return the response."""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import httpx

from app.authing.resilience import MAX_CONCURRENT
from app.sessions.models import Identity
from app.sessions.ports import TicketLease
from tests.support.running_app import SERVICE, SERVICE_KEY, RunningApp, bearer, phone_of

Scenario: TypeAlias = Callable[[RunningApp], Awaitable[httpx.Response]]
Tokens: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[RunningApp, Tokens], Awaitable[None]]
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


async def login_with_the_key_of_another_ticket(app: RunningApp) -> httpx.Response:
    app.tokens(await app.try_log_in(app.ticket(), KEY), 201)
    return await app.try_log_in(app.ticket(), KEY)


async def login_with_an_odd_key(app: RunningApp) -> httpx.Response:
    return await app.try_log_in(app.ticket(), f"{KEY} {KEY}")


async def login_beside_another(app: RunningApp) -> httpx.Response:
    """Another instance has leased the ticket."""
    ticket, now = app.ticket(), app.clock()
    lease = TicketLease(
        ticket_hash=hashlib.sha256(ticket.encode()).digest(),
        key_hash=None,
        holder="another instance",
        now=now,
        lease_ends_at=now + timedelta(seconds=10),
        expires_at=now + timedelta(minutes=2),
    )
    await app.services.logins.tickets.acquire(lease)
    return await app.try_log_in(ticket, KEY)


# --- our own tokens ---


async def refresh_with_a_made_up_token(app: RunningApp) -> httpx.Response:
    token = "rt_made-up" + "A" * 63
    app.secrets.add(token)
    return await app.try_refresh(token)


async def me_with_a_made_up_token(app: RunningApp) -> httpx.Response:
    app.secrets.add("a.made-up.access-token")
    return await app.get("/v1/me", {"access_token": "a.made-up.access-token"})


# --- the end of a session ---


async def log_out(app: RunningApp, tokens: Tokens) -> None:
    await app.log_out(tokens)


def wait(**span: float) -> Change:
    async def change(app: RunningApp, _tokens: Tokens) -> None:
        app.clock.advance(**span)

    return change


async def log_in_with_android(app: RunningApp, _tokens: Tokens) -> None:
    await app.log_in(device={"type": "android"})


async def break_store(app: RunningApp, _tokens: Tokens) -> None:
    app.break_store()


def refresh_after(change: Change) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await change(app, tokens)
        return await app.try_refresh(tokens["refresh_token"])

    return scenario


def ask_after(change: Change, method: str, path: str) -> Scenario:
    """Send a request of the user, or of the rest of the backend."""

    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await change(app, tokens)
        headers = SERVICE if path.startswith("/internal/") else bearer(tokens)
        body = {"reason": "spam"} if method == "PUT" else None
        return await app.phone.request(method, path, json=body, headers=headers)

    return scenario


def login_of_the_banned(until: str | None = None) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        subject = (await app.log_in())["user"]["sub"]
        await app.backend("PUT", subject, "ban", {"reason": "spam", "until": until})
        return await app.try_log_in(app.ticket())

    return scenario


async def backend_with_the_wrong_key(app: RunningApp) -> httpx.Response:
    return await app.backend("GET", "somebody", "ban", key=SERVICE_KEY[:-1])


async def backend_about_a_stranger(app: RunningApp) -> httpx.Response:
    return await app.backend("GET", "somebody", "ban")


# --- ourselves ---


class BuggyIdentityProvider:
    async def exchange(self, ticket: str, network: str) -> Identity:
        raise LookupError(CANARY, ticket)


async def login_with_a_bug_of_ours(app: RunningApp) -> httpx.Response:
    logins = replace(app.services.logins, identity_provider=BuggyIdentityProvider())
    async with phone_of(app.serve(replace(app.services, logins=logins))) as phone:
        return await phone.post("/v1/sessions", json={"ticket": app.ticket()})
