"""Ways to get an error out of a running Ticketgate: each asks, and gives the answer."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias

import httpx

from app.authing.bulkhead import MAX_CONCURRENT
from app.sessions.models import Identity
from tests.support.running_app import RunningApp, bearer, phone_of

Provocation: TypeAlias = Callable[[RunningApp], Awaitable[httpx.Response]]
KEY = "9d1f0c5e-6a7b-4c3d-8e2f-a0b1c2d3e4f5"
CANARY = "canary-in-the-text-of-an-exception"
JSON = {"Content-Type": "application/json"}

# --- the request itself ---


def get(path: str, **headers: str) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        return await world.phone.get(path, headers=headers)

    return provoke


def login_with(**members: Any) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        return await world.phone.post("/v1/sessions", json=members)

    return provoke


def login_with_body(body: bytes, **headers: str) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        return await world.phone.post("/v1/sessions", content=body, headers=JSON | headers)

    return provoke


async def login_with_a_form(world: RunningApp) -> httpx.Response:
    return await world.phone.post("/v1/sessions", data={"ticket": world.ticket()})


async def login_with_endless_body(world: RunningApp) -> httpx.Response:
    ticket = world.ticket().encode()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield ticket

    return await world.phone.post("/v1/sessions", content=body(), headers=JSON)


async def login_with_an_invalid_device(world: RunningApp) -> httpx.Response:
    body = {"ticket": world.ticket(), "device": {"type": "a phone"}}
    return await world.phone.post("/v1/sessions", json=body)


async def ticket_in_the_query(world: RunningApp) -> httpx.Response:
    return await world.phone.get("/v1/launch", params={"ticket": world.ticket()})


async def access_token_in_the_query(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    query = {"access_token": tokens["access_token"]}
    return await world.phone.get("/v1/me", params=query, headers=bearer(tokens))


# --- Authing ---


def login_of(persona: str) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        return await world.phone.post("/v1/sessions", json={"ticket": world.ticket(persona)})

    return provoke


log_in = login_of("lin")


async def login_with_an_unknown_ticket(world: RunningApp) -> httpx.Response:
    ticket = "an-unknown-ticket"
    world.secrets.add(ticket)
    return await world.phone.post("/v1/sessions", json={"ticket": ticket})


async def login_with_an_old_ticket(world: RunningApp) -> httpx.Response:
    ticket = world.ticket()
    world.clock.advance(minutes=2)
    return await world.phone.post("/v1/sessions", json={"ticket": ticket})


async def login_in_a_crowd(world: RunningApp) -> httpx.Response:
    world.break_authing("slow", seconds=4)
    answers = await asyncio.gather(*(log_in(world) for _ in range(MAX_CONCURRENT + 1)))
    return max(answers, key=lambda answer: answer.status_code)


async def login_after_another(world: RunningApp) -> httpx.Response:
    await world.log_in()
    return await world.try_log_in(world.ticket())


async def refresh_after_another(world: RunningApp) -> httpx.Response:
    tokens = await world.refresh((await world.log_in())["refresh_token"])
    return await world.try_refresh(tokens["refresh_token"])


def login_when_authing_has(fault: str) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        world.break_authing(fault, seconds=7)
        return await log_in(world)

    return provoke


async def login_with_the_wrong_pool_secret(world: RunningApp) -> httpx.Response:
    world.switch_authing(user_pool_secret="another-pool-secret-0123456789abcdef")
    return await log_in(world)


async def login_without_tls_to_believe(world: RunningApp) -> httpx.Response:
    world.wire.failure = ssl.SSLCertVerificationError(CANARY)
    return await log_in(world)


# --- one ticket, one session ---


async def login_with_a_used_ticket(world: RunningApp) -> httpx.Response:
    ticket = world.ticket()
    world.tokens(await world.try_log_in(ticket, KEY), 201)
    return await world.try_log_in(ticket, KEY[::-1])


async def login_again_after_a_refresh(world: RunningApp) -> httpx.Response:
    ticket = world.ticket()
    tokens = world.tokens(await world.try_log_in(ticket, KEY), 201)
    await world.refresh(tokens["refresh_token"])
    return await world.try_log_in(ticket, KEY)


async def login_with_the_key_of_another_ticket(world: RunningApp) -> httpx.Response:
    world.tokens(await world.try_log_in(world.ticket(), KEY), 201)
    return await world.try_log_in(world.ticket(), KEY)


async def login_with_an_odd_key(world: RunningApp) -> httpx.Response:
    return await world.try_log_in(world.ticket(), f"{KEY} {KEY}")


def login_beside_another(seconds: int) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        ticket = world.ticket()
        await world.services.logins.tickets.acquire(world.lease_elsewhere(ticket, seconds))
        return await world.try_log_in(ticket, KEY)

    return provoke


# --- our own tokens ---


async def refresh_with_a_made_up_token(world: RunningApp) -> httpx.Response:
    token = "rt_made-up" + "A" * 63
    world.secrets.add(token)
    return await world.try_refresh(token)


async def refresh_after_logout(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    await world.log_out(tokens)
    return await world.try_refresh(tokens["refresh_token"])


async def refresh_after_two_weeks(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    world.clock.advance(days=14)
    return await world.try_refresh(tokens["refresh_token"])


async def refresh_with_a_spent_token(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    second = await world.refresh(tokens["refresh_token"])
    await world.refresh(second["refresh_token"])
    return await world.try_refresh(tokens["refresh_token"])


async def me_with_a_made_up_token(world: RunningApp) -> httpx.Response:
    world.secrets.add("a.made-up.access-token")
    return await world.get("/v1/me", {"access_token": "a.made-up.access-token"})


async def me_with_a_forged_token(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    header, claims, _signature = tokens["access_token"].split(".")
    return await world.get("/v1/me", {"access_token": f"{header}.{claims}.{'A' * 86}"})


async def me_with_two_tokens(world: RunningApp) -> httpx.Response:
    one, other = bearer(await world.log_in()), bearer(await world.log_in())
    return await world.phone.get("/v1/me", headers=[*one.items(), *other.items()])


async def me_after_ten_minutes(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    world.clock.advance(minutes=10)
    return await world.get("/v1/me", tokens)


async def me_after_logout(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    await world.log_out(tokens)
    return await world.get("/v1/me", tokens)


async def current_after_theft(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    second = await world.refresh(tokens["refresh_token"])
    await world.refresh(second["refresh_token"])
    await world.try_refresh(tokens["refresh_token"])
    return await world.get("/v1/sessions/current", second)


# --- ourselves ---


async def login_without_store(world: RunningApp) -> httpx.Response:
    world.break_store()
    return await log_in(world)


async def refresh_without_store(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    world.break_store()
    return await world.try_refresh(tokens["refresh_token"])


async def me_without_store(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    world.break_store()
    return await world.get("/v1/me", tokens)


async def logout_without_store(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    world.break_store()
    return await world.log_out(tokens)


def as_bearer_without_store(method: str, path: str) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        tokens = await world.log_in()
        world.break_store()
        return await world.phone.request(method, path, headers=bearer(tokens))

    return provoke


def as_backend_without_store(method: str, what: str, body: object = None) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        world.break_store()
        return await world.backend(method, "somebody", what, body)

    return provoke


EVERYTHING_ELSE_WITHOUT_STORE = (
    as_bearer_without_store("GET", "/v1/sessions"),
    as_bearer_without_store("DELETE", "/v1/sessions?scope=all"),
    as_bearer_without_store("DELETE", "/v1/sessions/somebodys"),
    as_bearer_without_store("DELETE", "/v1/me"),
    as_backend_without_store("GET", "sessions"),
    as_backend_without_store("DELETE", "sessions"),
    as_backend_without_store("PUT", "ban", {"reason": "spam"}),
    as_backend_without_store("GET", "ban"),
    as_backend_without_store("DELETE", "ban"),
)


class BuggyIdentityProvider:
    async def exchange(self, ticket: str) -> Identity:
        raise LookupError(CANARY, ticket)


async def login_with_a_bug_of_ours(world: RunningApp) -> httpx.Response:
    logins = replace(world.services.logins, identity_provider=BuggyIdentityProvider())
    async with phone_of(world.serve(replace(world.services, logins=logins))) as phone:
        return await phone.post("/v1/sessions", json={"ticket": world.ticket()})
