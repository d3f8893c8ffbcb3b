"""`/v1/sessions` and `/v1/me`: the user lists and ends sessions, and is erased."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.leaks import found
from tests.support.running_app import RunningApp, running_app


def ids(sessions: list[dict[str, Any]]) -> list[str]:
    return [session["id"] for session in sessions]


async def listed(app: RunningApp, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    response = await app.get("/v1/sessions", tokens)
    assert response.status_code == 200
    sessions: list[dict[str, Any]] = response.json()
    return sessions


async def fate(app: RunningApp, tokens: dict[str, Any]) -> str:
    """What both tokens say has become of their session."""
    bearer = (await app.get("/v1/sessions/current", tokens)).json().get("reason", "alive")
    response = (await app.try_refresh(tokens["refresh_token"])).json()
    assert response.get("reason", "alive") == bearer
    return str(bearer)


# --- this session ---


async def test_a_bearer_sees_the_own_session_and_user(app: RunningApp) -> None:
    tokens = await app.log_in(device={"type": "harmony"})
    app.clock.advance(seconds=60)
    refreshed = await app.refresh(tokens["refresh_token"])
    app.clock.advance(seconds=60)
    response = await app.get("/v1/sessions/current", refreshed)
    assert response.status_code == 200
    assert response.json() == {
        **tokens["session"],
        "last_used_at": tokens["server_time"] + 60,
        "user": tokens["user"],
    }
    assert (await app.get("/v1/me", refreshed)).json() == tokens["user"]


async def test_logging_out_twice_is_no_error(app: RunningApp) -> None:
    tokens = await app.log_in()
    for _ in range(2):
        response = await app.log_out(tokens)
        assert (response.status_code, response.content) == (204, b"")
        assert "Content-Type" not in response.headers


# --- the list ---


async def test_the_list_has_the_sessions_of_the_user_oldest_first(app: RunningApp) -> None:
    phone = await app.log_in(device={"type": "ios", "name": "小满的 iPhone"})
    app.clock.advance(seconds=60)
    tablet = await app.log_in(device={"type": "android"})
    app.clock.advance(seconds=60)
    nameless = await app.log_in()
    await app.log_in("chen")
    app.clock.advance(seconds=60)
    tablet = await app.refresh(tablet["refresh_token"])
    assert await listed(app, tablet) == [
        {**phone["session"], "last_used_at": phone["server_time"], "current": False},
        {**tablet["session"], "last_used_at": tablet["server_time"], "current": True},
        {**nameless["session"], "last_used_at": nameless["server_time"], "current": False},
    ]


async def test_an_older_access_token_does_not_learn_when_its_session_was_refreshed(
    app: RunningApp,
) -> None:
    stolen = await app.log_in()
    app.clock.advance(seconds=60)
    newest = await app.refresh(stolen["refresh_token"])
    for tokens in (stolen, newest):
        (own,) = await listed(app, tokens)
        current = (await app.get("/v1/sessions/current", tokens)).json()
        assert own["last_used_at"] == current["last_used_at"] == tokens["server_time"]


# --- ending one ---


async def test_one_session_is_revoked_and_no_other(app: RunningApp) -> None:
    mine, lost = await app.log_in(), await app.log_in()
    for _ in range(2):
        response = await app.delete(f"/v1/sessions/{lost['session']['id']}", mine)
        assert (response.status_code, response.content) == (204, b"")
    assert await fate(app, lost) == "revoked"
    assert await fate(app, mine) == "alive"


async def test_a_session_of_another_user_does_not_exist(app: RunningApp) -> None:
    mine, theirs = await app.log_in("lin"), await app.log_in("chen")
    path = f"/v1/sessions/{theirs['session']['id']}"
    other = await app.delete(path, mine)
    none = await app.delete("/v1/sessions/none", mine)
    assert (other.status_code, none.status_code) == (404, 404)
    own = {"request_id", "instance"}
    assert {k: v for k, v in other.json().items() if k not in own} == {
        k: v for k, v in none.json().items() if k not in own
    }
    assert await fate(app, theirs) == "alive"


@pytest.mark.parametrize(
    "name", ["none", "%00", "%ff", "a%20b", "..%2e", "' OR 1=1 --", "票", "x" * 1500]
)
async def test_a_session_that_never_was_is_not_found(app: RunningApp, name: str) -> None:
    response = await app.delete(f"/v1/sessions/{name}", await app.log_in())
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


# --- ending several ---


async def test_the_others_are_ended_and_this_one_stays(app: RunningApp) -> None:
    mine, one, two = [await app.log_in() for _ in range(3)]
    theirs = await app.log_in("chen")
    for _ in range(2):
        response = await app.delete("/v1/sessions?scope=others", mine)
        assert (response.status_code, response.content) == (204, b"")
    assert [await fate(app, tokens) for tokens in (one, two)] == ["revoked", "revoked"]
    assert [await fate(app, tokens) for tokens in (mine, theirs)] == ["alive", "alive"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        *((query, 400, "malformed_request") for query in ("", "?", "?Scope=all")),
        *((f"?scope{odd}", 422, "invalid_request") for odd in ("", "=", "=ALL", "=current")),
    ],
)
async def test_a_missing_or_unknown_scope_ends_nothing(
    app: RunningApp, query: str, status: int, code: str
) -> None:
    mine, other = await app.log_in(), await app.log_in()
    response = await app.delete(f"/v1/sessions{query}", mine)
    assert (response.status_code, response.json()["code"]) == (status, code)
    if status == 422:
        assert [e["pointer"] for e in response.json()["errors"]] == ["query/scope"]
    assert await fate(app, other) == "alive"


async def test_a_missing_token_is_401_before_any_other_error(app: RunningApp) -> None:
    for query in ("", "?scope=mine"):
        response = await app.phone.delete(f"/v1/sessions{query}")
        assert (response.status_code, response.json()["code"]) == (401, "access_token_missing")


# --- `DELETE /v1/me`: the store names an erased user no longer ---


def at_rest(folder: Path) -> str:
    """All that the store has on the disk, byte for byte."""
    files = folder.glob("sessions.db*")
    return "".join(file.read_bytes().decode("latin-1") for file in files)


async def test_an_erased_user_is_nowhere_in_the_store_at_once(tmp_path: Path) -> None:
    async with running_app(tmp_path) as app:
        subject, remaining = await erase_one_of_two(app)
        running = at_rest(tmp_path)
    for stored in (running, at_rest(tmp_path)):
        assert remaining in stored
        assert found({"sub": subject}, stored) == set()


async def erase_one_of_two(app: RunningApp) -> tuple[str, str]:
    """Leave traces of two users wherever there may be some, and erase one."""
    ended, theirs = await app.log_in(), await app.log_in("chen")
    await app.log_out(ended)
    subject = ended["user"]["sub"]
    await app.backend("PUT", subject, "ban", {"reason": "spam"})
    await app.backend("DELETE", subject, "ban")
    tokens, other = await app.log_in(), await app.log_in()
    response = await app.delete("/v1/me", tokens)
    assert (response.status_code, response.content) == (204, b"")
    for erased in (tokens, other):
        assert (await app.get("/v1/me", erased)).json()["reason"] == "erased"
        assert (await app.try_refresh(erased["refresh_token"])).json()["reason"] == "erased"
    assert (await app.get("/v1/me", theirs)).status_code == 200
    return subject, theirs["user"]["sub"]
