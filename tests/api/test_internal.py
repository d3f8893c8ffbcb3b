"""`/internal/v1`: the rest of the backend lists, kicks and bans, with a service key."""

from typing import Any

import httpx
import pytest

from tests.api.routes import INTERNAL, ROUTES
from tests.support.running_app import OTHER_SERVICE_KEY, SERVICE, SERVICE_KEY, RunningApp

OPERATIONS = [(method, path) for path in sorted(INTERNAL) for method in sorted(ROUTES[path])]
UNTIL = "2026-11-23T20:00:00+08:00"


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def pointers(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [error["pointer"] for error in response.json()["errors"]]


async def ban(app: RunningApp, subject: str, **body: Any) -> httpx.Response:
    return await app.backend("PUT", subject, "ban", {"reason": "spam", **body})


# --- who may come in ---


@pytest.mark.parametrize("app", [{"service_api_keys": ()}], indirect=True)
async def test_the_internal_routes_need_service_keys_in_the_settings(app: RunningApp) -> None:
    for method, path in OPERATIONS:
        for headers in ({}, SERVICE, {"Authorization": "Bearer "}):
            response = await app.phone.request(method, path, headers=headers)
            assert refused(response) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_a_wrong_service_key_is_refused(app: RunningApp, method: str, path: str) -> None:
    tokens = await app.log_in()
    path = path.format(subject=tokens["user"]["sub"], session_id=tokens["session"]["id"])
    missing = await app.phone.request(method, path, json={"reason": "spam"})
    assert refused(missing) == (401, "service_key_invalid")
    assert missing.json()["client_action"] == "none"
    almost = SERVICE_KEY[:-1], SERVICE_KEY + "x", SERVICE_KEY.upper()
    both = f"{SERVICE_KEY},{OTHER_SERVICE_KEY}"
    for key in (*almost, both, tokens["access_token"], tokens["refresh_token"]):
        headers = {"Authorization": f"Bearer {key}"}
        response = await app.phone.request(method, path, json={"reason": "spam"}, headers=headers)
        assert refused(response) == (401, "service_key_invalid")
    assert (await app.get("/v1/me", tokens)).status_code == 200


async def test_each_of_several_keys_lets_in_but_not_two_at_once(app: RunningApp) -> None:
    for key in (SERVICE_KEY, OTHER_SERVICE_KEY):
        response = await app.backend("GET", "somebody", "sessions", key=key)
        assert response.status_code == 200
    path = "/internal/v1/users/somebody/sessions"
    response = await app.phone.get(path, headers=[*SERVICE.items(), *SERVICE.items()])
    assert refused(response) == (401, "service_key_invalid")
    assert refused(await app.phone.get("/v1/me", headers=SERVICE)) == (401, "access_token_invalid")


# --- sessions ---


async def test_the_backend_sees_the_sessions_of_a_user_none_of_them_its_own(
    app: RunningApp,
) -> None:
    first = await app.log_in(device={"type": "ios"})
    app.clock.advance(seconds=60)
    second = await app.log_in()
    await app.log_in("chen")
    response = await app.backend("GET", first["user"]["sub"], "sessions")
    assert response.status_code == 200
    assert response.json() == [
        {**tokens["session"], "last_used_at": tokens["server_time"], "current": False}
        for tokens in (first, second)
    ]


async def test_a_user_of_whom_nothing_is_known_has_no_sessions(app: RunningApp) -> None:
    assert (await app.backend("GET", "nobody", "sessions")).json() == []
    assert (await app.backend("DELETE", "nobody", "sessions")).status_code == 204


# --- bans ---


async def test_a_ban_is_shown_as_it_was_put_last(app: RunningApp) -> None:
    await ban(app, "somebody")
    app.clock.advance(seconds=60)
    put = await ban(app, "somebody", reason="fraud:card", until=UNTIL)
    shown = await app.backend("GET", "somebody", "ban")
    assert shown.status_code == 200
    until = "2026-11-23T12:00:00+00:00"
    expected = {"reason": "fraud:card", "created_at": app.clock.epoch, "until": until}
    assert shown.json() == put.json() == expected


async def test_the_bans_in_force_are_listed(app: RunningApp) -> None:
    path = "/internal/v1/bans"
    assert (await app.phone.get(path, headers=SERVICE)).json() == []
    forever, one = await ban(app, "a@b"), await ban(app, "one", until=UNTIL)
    listed = (await app.phone.get(path, headers=SERVICE)).json()
    assert listed == [{"sub": "a@b", **forever.json()}, {"sub": "one", **one.json()}]


async def test_the_reason_is_for_the_operator_and_not_for_the_user(app: RunningApp) -> None:
    tokens = await app.log_in()
    await ban(app, tokens["user"]["sub"], reason="c4nary-reason")
    responses = [
        await app.try_log_in(app.ticket()),
        await app.try_refresh(tokens["refresh_token"]),
        await app.get("/v1/me", tokens),
    ]
    assert [response.status_code for response in responses] == [403, 400, 401]
    assert not any("c4nary" in response.text for response in responses)


@pytest.mark.parametrize("reason", [None, "", 5, "two words", "spam\n", "<b>", "理由", "x" * 129])
async def test_the_reason_is_a_word(app: RunningApp, reason: object) -> None:
    tokens = await app.log_in()
    assert pointers(await ban(app, tokens["user"]["sub"], reason=reason)) == ["/reason"]
    assert (await app.get("/v1/me", tokens)).status_code == 200


@pytest.mark.parametrize(
    "until",
    [
        *("2026-11-23T12:00:00", "2026-11-23", "tomorrow", "", "P1D"),
        *(1_795_521_600, "1795521600", 1e300, True, [UNTIL], "9999-12-31T23:59:59-01:00"),
        *("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.900Z", "2026-11-22T19:59:59+08:00"),
        "0001-01-01T00:00:00+01:00",
    ],
)
async def test_a_past_or_ambiguous_end_sets_no_ban(app: RunningApp, until: object) -> None:
    tokens = await app.log_in()
    subject = tokens["user"]["sub"]
    assert pointers(await ban(app, subject, until=until)) == ["/until"]
    assert (await app.get("/v1/me", tokens)).status_code == 200
    assert (await app.backend("GET", subject, "ban")).status_code == 404


@pytest.mark.parametrize(
    "until",
    [
        *("9999-01-01T00:00:00.123456789Z", "9999-01-01T08:00:00+0800", "9999-01-01T08:00+08"),
        *("99990101T000000Z", "9999-01-01t00:00:00z", "9999-01-01 00:00:00Z"),
    ],
)
async def test_every_form_of_iso_8601_with_an_offset_is_an_end(app: RunningApp, until: str) -> None:
    told = (await ban(app, "somebody", until=until)).json()["until"]
    assert told == "9999-01-01T00:00:00+00:00"


# --- who a user may be ---


@pytest.mark.parametrize(
    "subject", ["a b", "a@b.test", "票", "a:b", "a;b", "..%2e", "%00", "%ff", "'--", "x" * 128]
)
async def test_a_user_is_named_by_any_text(app: RunningApp, subject: str) -> None:
    assert (await ban(app, subject)).status_code == 200
    assert (await app.backend("GET", subject, "sessions")).json() == []
    assert (await app.backend("GET", subject, "ban")).json()["reason"] == "spam"


async def test_a_name_that_is_too_long_or_none_is_refused(app: RunningApp) -> None:
    for method, what in (("GET", "sessions"), ("DELETE", "sessions"), ("GET", "ban")):
        assert pointers(await app.backend(method, "x" * 129, what)) == ["path/subject"]
        assert refused(await app.backend(method, "", what)) == (404, "not_found")
        assert refused(await app.backend(method, "a%2Fb", what)) == (404, "not_found")


async def test_the_log_does_not_name_the_user(app: RunningApp, log_lines: Any) -> None:
    tokens = await app.log_in()
    subject = tokens["user"]["sub"]
    for what in ("sessions", "history", "ban"):
        await app.backend("GET", subject, what)
    await app.backend("DELETE", subject, "sessions")
    await ban(app, subject)
    for path in ("bans", "revocations", f"sessions/{tokens['session']['id']}/history"):
        await app.phone.get(f"/internal/v1/{path}", headers=SERVICE)
    assert subject not in str(log_lines())
    assert SERVICE_KEY not in str(log_lines())
    assert {line["route"] for line in log_lines() if line["event"] == "request"} >= INTERNAL
