"""The ways to end a session, and requests after each."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

from tests.api.error_scenarios import Scenario, log_in
from tests.support.running_app import SERVICE_KEY, RunningApp

Tokens: TypeAlias = dict[str, Any]
End: TypeAlias = Callable[[RunningApp, Tokens], Awaitable[None]]


async def revoke(app: RunningApp, tokens: Tokens) -> None:
    other = await app.log_in()
    await app.delete(f"/v1/sessions/{tokens['session']['id']}", other)


async def kick(app: RunningApp, tokens: Tokens) -> None:
    await app.backend("DELETE", tokens["user"]["sub"], "sessions")


async def ban(app: RunningApp, tokens: Tokens, until: str | None = None) -> None:
    body = {"reason": "spam", "until": until}
    response = await app.backend("PUT", tokens["user"]["sub"], "ban", body)
    assert response.status_code == 200


async def erase(app: RunningApp, tokens: Tokens) -> None:
    await app.delete("/v1/me", tokens)


def replace_by(device_type: str | None) -> End:
    """For a app in which a user may have one session."""

    async def end(app: RunningApp, tokens: Tokens) -> None:
        await app.log_in(device={"type": device_type})

    return end


ENDINGS: dict[str, End] = {"revoked": revoke, "kicked": kick, "banned": ban, "erased": erase}


def login_of_the_banned(until: str | None = None) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await ban(app, tokens, until=until)
        return await log_in(app)

    return scenario


def refresh_after(end: End) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await end(app, tokens)
        return await app.try_refresh(tokens["refresh_token"])

    return scenario


def list_after(end: End) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await end(app, tokens)
        return await app.get("/v1/sessions", tokens)

    return scenario


async def revoke_the_session_of_another(app: RunningApp) -> httpx.Response:
    mine, theirs = await app.log_in("lin"), await app.log_in("chen")
    return await app.delete(f"/v1/sessions/{theirs['session']['id']}", mine)


async def end_several_without_a_scope(app: RunningApp) -> httpx.Response:
    return await app.delete("/v1/sessions", await app.log_in())


async def end_an_odd_scope(app: RunningApp) -> httpx.Response:
    return await app.delete("/v1/sessions?scope=mine", await app.log_in())


# --- the rest of the backend ---


async def backend_without_a_key(app: RunningApp) -> httpx.Response:
    return await app.phone.get("/internal/v1/users/somebody/sessions")


async def backend_with_the_wrong_key(app: RunningApp) -> httpx.Response:
    return await app.backend("GET", "somebody", "sessions", key=SERVICE_KEY[:-1])


async def backend_with_an_access_token(app: RunningApp) -> httpx.Response:
    tokens = await app.log_in()
    return await app.backend("GET", tokens["user"]["sub"], "ban", key=tokens["access_token"])


async def show_a_ban_that_is_none(app: RunningApp) -> httpx.Response:
    return await app.backend("GET", "somebody", "ban")


async def ban_for_an_odd_reason(app: RunningApp) -> httpx.Response:
    return await app.backend("PUT", "somebody", "ban", {"reason": "two words"})
