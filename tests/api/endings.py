"""Ways for a session to end, and what phones and the rest of the backend are told about it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

from tests.api.error_scenarios import Provocation, log_in
from tests.support.running_app import SERVICE_KEY, RunningApp

Tokens: TypeAlias = dict[str, Any]
End: TypeAlias = Callable[[RunningApp, Tokens], Awaitable[None]]


async def revoke(world: RunningApp, tokens: Tokens) -> None:
    other = await world.log_in()
    await world.delete(f"/v1/sessions/{tokens['session']['id']}", other)


async def revoke_all(world: RunningApp, tokens: Tokens) -> None:
    await world.delete("/v1/sessions?scope=all", tokens)


async def kick(world: RunningApp, tokens: Tokens) -> None:
    await world.backend("DELETE", tokens["user"]["sub"], "sessions")


async def ban(world: RunningApp, tokens: Tokens, until: str | None = None) -> None:
    body = {"reason": "spam", "until": until}
    answer = await world.backend("PUT", tokens["user"]["sub"], "ban", body)
    assert answer.status_code == 200


async def erase(world: RunningApp, tokens: Tokens) -> None:
    await world.delete("/v1/me", tokens)


def replace_by(device_type: str | None) -> End:
    """For a world in which a user may have one session."""

    async def end(world: RunningApp, tokens: Tokens) -> None:
        await world.log_in(device={"type": device_type})

    return end


ENDINGS: dict[str, End] = {
    "revoked": revoke,
    "kicked": kick,
    "banned": ban,
    "erased": erase,
}


def login_of_the_banned(until: str | None = None) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        tokens = await world.log_in()
        await ban(world, tokens, until=until)
        return await log_in(world)

    return provoke


def refresh_after(end: End) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        tokens = await world.log_in()
        await end(world, tokens)
        return await world.try_refresh(tokens["refresh_token"])

    return provoke


def list_after(end: End) -> Provocation:
    async def provoke(world: RunningApp) -> httpx.Response:
        tokens = await world.log_in()
        await end(world, tokens)
        return await world.get("/v1/sessions", tokens)

    return provoke


async def revoke_the_session_of_another(world: RunningApp) -> httpx.Response:
    mine, theirs = await world.log_in("lin"), await world.log_in("chen")
    return await world.delete(f"/v1/sessions/{theirs['session']['id']}", mine)


async def end_several_without_a_scope(world: RunningApp) -> httpx.Response:
    return await world.delete("/v1/sessions", await world.log_in())


async def end_an_odd_scope(world: RunningApp) -> httpx.Response:
    return await world.delete("/v1/sessions?scope=mine", await world.log_in())


# --- the rest of the backend ---


async def backend_without_a_key(world: RunningApp) -> httpx.Response:
    return await world.phone.get("/internal/v1/users/somebody/sessions")


async def backend_with_the_wrong_key(world: RunningApp) -> httpx.Response:
    return await world.backend("GET", "somebody", "sessions", key=SERVICE_KEY[:-1])


async def backend_with_an_access_token(world: RunningApp) -> httpx.Response:
    tokens = await world.log_in()
    return await world.backend("GET", tokens["user"]["sub"], "ban", key=tokens["access_token"])


async def show_a_ban_that_is_none(world: RunningApp) -> httpx.Response:
    return await world.backend("GET", "somebody", "ban")


async def ban_for_an_odd_reason(world: RunningApp) -> httpx.Response:
    return await world.backend("PUT", "somebody", "ban", {"reason": "two words"})
