"""The ways to end a session, and requests after each."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx

from tests.api.error_scenarios import Scenario
from tests.support.running_app import SERVICE, SERVICE_KEY, RunningApp, bearer

Tokens: TypeAlias = dict[str, Any]
End: TypeAlias = Callable[[RunningApp, Tokens], Awaitable[object]]


async def log_out(app: RunningApp, tokens: Tokens) -> None:
    await app.log_out(tokens)


async def revoke(app: RunningApp, tokens: Tokens) -> None:
    await app.delete(f"/v1/sessions/{tokens['session']['id']}", await app.log_in())


async def kick(app: RunningApp, tokens: Tokens) -> None:
    await app.backend("DELETE", tokens["user"]["sub"], "sessions")


async def ban(app: RunningApp, tokens: Tokens, until: str | None = None) -> None:
    body = {"reason": "spam", "until": until}
    response = await app.backend("PUT", tokens["user"]["sub"], "ban", body)
    assert response.status_code == 200


async def erase(app: RunningApp, tokens: Tokens) -> None:
    await app.delete("/v1/me", tokens)


async def steal(app: RunningApp, tokens: Tokens) -> None:
    """Present a token again whose successor was used."""
    second = await app.refresh(tokens["refresh_token"])
    await app.refresh(second["refresh_token"])
    await app.try_refresh(tokens["refresh_token"])


async def break_store(app: RunningApp, _tokens: Tokens) -> None:
    app.break_store()


def replace_by(device_type: str | None) -> End:
    """For an app in which a user may have one session."""
    return lambda app, _tokens: app.log_in(device={"type": device_type})


def wait(**span: float) -> End:
    async def end(app: RunningApp, _tokens: Tokens) -> None:
        app.clock.advance(**span)

    return end


def login_of_the_banned(until: str | None = None) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        await ban(app, await app.log_in(), until=until)
        return await app.try_log_in(app.ticket())

    return scenario


def refresh_after(end: End) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await end(app, tokens)
        return await app.try_refresh(tokens["refresh_token"])

    return scenario


def ask_after(end: End, method: str, path: str) -> Scenario:
    """Send a request of the user, or of the rest of the backend."""

    async def scenario(app: RunningApp) -> httpx.Response:
        tokens = await app.log_in()
        await end(app, tokens)
        if path.startswith("/internal/"):
            return await app.phone.request(method, path, json={"reason": "spam"}, headers=SERVICE)
        return await app.phone.request(method, path, headers=bearer(tokens))

    return scenario


def delete(path: str) -> Scenario:
    async def scenario(app: RunningApp) -> httpx.Response:
        return await app.delete(path, await app.log_in())

    return scenario


async def revoke_the_session_of_another(app: RunningApp) -> httpx.Response:
    mine, theirs = await app.log_in("lin"), await app.log_in("chen")
    return await app.delete(f"/v1/sessions/{theirs['session']['id']}", mine)


# --- the rest of the backend ---


def as_backend(method: str, what: str, body: object = None) -> Scenario:
    return lambda app: app.backend(method, "somebody", what, body)


async def backend_with_the_wrong_key(app: RunningApp) -> httpx.Response:
    return await app.backend("GET", "somebody", "sessions", key=SERVICE_KEY[:-1])


async def backend_with_an_access_token(app: RunningApp) -> httpx.Response:
    tokens = await app.log_in()
    return await app.backend("GET", tokens["user"]["sub"], "ban", key=tokens["access_token"])
