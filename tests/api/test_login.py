"""`POST /v1/sessions` and its refresh: a ticket becomes a session, and that goes on."""

import json
from typing import Any

import httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox import Consent
from app.sandbox.personas import Persona, SigningKeys
from tests.support.running_app import RunningApp


async def test_a_login_returns_a_token_response(app: RunningApp) -> None:
    response = await app.phone.post("/v1/sessions", json={"ticket": app.ticket()})
    assert response.status_code == 201
    tokens = response.json()
    tokens.pop("refresh_after")
    assert tokens.pop("access_token").count(".") == 2
    assert tokens.pop("refresh_token").startswith("rt_")
    session_id = tokens["session"]["id"]
    assert tokens == {
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_expires_in": 14 * 86400,
        "server_time": app.clock.epoch,
        "session": {
            "id": session_id,
            "created_at": app.clock.epoch,
            "expires_at": app.clock.epoch + 30 * 86400,
        },
        "user": tokens["user"],
    }
    assert response.headers["Location"] == f"/v1/sessions/{session_id}"


async def test_the_user_has_openid_claims_with_the_full_phone_number(app: RunningApp) -> None:
    user = (await app.log_in("lin"))["user"]
    assert user == {
        "sub": user["sub"],
        "nickname": "林小满",
        "preferred_username": "林小满",
        "picture": "https://example.com/avatars/lin.png",
        "locale": "zh-CN",
        "phone_number": user["phone_number"],
    }
    assert user["phone_number"].startswith("+86138001380")
    assert len(user["sub"]) == 24


async def test_an_unknown_claim_is_absent_and_not_null(app: RunningApp) -> None:
    ticket = app.ticket(get_phone=False)
    response = await app.phone.post("/v1/sessions", json={"ticket": ticket})
    assert "phone_number" not in response.json()["user"]
    assert None not in response.json()["user"].values()


async def test_the_raw_string_that_wechat_returned_does_as_well(app: RunningApp) -> None:
    ext_msg = app.sandbox.state.issue_ticket(Consent("chen"))["ext_msg"]
    response = await app.phone.post("/v1/sessions", json={"ext_msg": ext_msg})
    assert response.status_code == 201
    assert response.json()["user"]["nickname"] == "陈一诺"


async def test_a_ticket_beside_a_null_ext_msg_is_one_credential(app: RunningApp) -> None:
    for nothing in (None, "", " "):
        body = {"ticket": app.ticket(), "ext_msg": nothing}
        assert (await app.phone.post("/v1/sessions", json=body)).status_code == 201


@pytest.mark.parametrize(
    "members",
    [{}, {"ticket": None}, {"ticket": "a", "ext_msg": "b"}],
    ids=["neither", "null", "both"],
)
async def test_exactly_one_of_ticket_and_ext_msg_is_expected(
    phone: httpx.AsyncClient, members: dict[str, Any]
) -> None:
    response = await phone.post("/v1/sessions", json=members)
    message = "exactly one of ticket and ext_msg is expected"
    assert response.json()["errors"] == [{"pointer": "", "message": message}]


@pytest.mark.parametrize(
    "ticket", ["", "a b", "票", "a\nb", "<a>", " ", "a" * 4097, "%00", 5, True, ["a"], {"a": "b"}]
)
async def test_an_impossible_ticket_is_not_sent_to_authing(app: RunningApp, ticket: object) -> None:
    response = await app.phone.post("/v1/sessions", json={"ticket": ticket})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/ticket"]
    assert app.sandbox.state.exchanges == 0


async def test_a_device_is_returned_without_its_unknown_members(app: RunningApp) -> None:
    device = {"id": "5d6c", "type": "ios", "name": "小满的 iPhone 📱", "app_version": "1.2.3"}
    assert (await app.log_in(device=device))["session"]["device"] == device
    some = {"type": "android", "name": None}
    assert (await app.log_in(device=some))["session"]["device"] == {"type": "android"}


@pytest.mark.parametrize(
    ("device", "kept"),
    [
        *((nothing, None) for nothing in (None, {}, {"id": None}, {"colour": "red"})),
        ({"type": "iPhone14,2", "name": ""}, {"type": "iPhone142"}),
        (
            {"id": "a b", "type": "", "app_version": "1.2 (3)"},
            {"id": "ab", "app_version": "1.2 (3)"},
        ),
        ({"type": "a" * 300, "name": "名" * 300}, {"type": "a" * 128, "name": "名" * 64}),
        ({"name": " two\r\nlines\x00\x7f "}, {"name": "twolines"}),
        ({"name": "\x1b", "type": "安卓", "id": "   "}, None),
        ({"type": 5, "name": ["a"], "id": {"a": 1}, "app_version": True}, None),
        ("iPhone", None),
        ([{"type": "ios"}], None),
        (7, None),
    ],
)
async def test_a_device_decorates_and_never_decides_about_a_login(
    app: RunningApp, device: object, kept: dict[str, str] | None
) -> None:
    assert (await app.log_in(device=device))["session"].get("device") == kept


async def test_half_an_emoji_is_replaced_in_a_device_and_malformed_in_a_ticket(
    app: RunningApp,
) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"ticket": app.ticket(), "device": {"name": "小满 \ud83d"}})
    response = await app.phone.post("/v1/sessions", content=body, headers=headers)
    assert (response.status_code, response.json()["session"]["device"]) == (201, {"name": "小满 ?"})
    body = json.dumps({"ticket": app.ticket() + "\ud83d"})
    response = await app.phone.post("/v1/sessions", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


ONLINE = {
    "authing_token_mode": "online",
    "authing_online_url": "http://localhost/authing/token?access_token",
}


@pytest.mark.parametrize("app", [ONLINE], indirect=True)
async def test_a_pool_whose_signing_key_is_not_known_signs_in_online(app: RunningApp) -> None:
    key = "a-key-that-no-document-names-0123456789"

    async def check(request: Request) -> Response:
        token = request.query_params["access_token"]
        try:
            claims = jwt.decode(token, key, ["HS256"], options={"verify_iat": False})
        except jwt.InvalidSignatureError:
            return JSONResponse({"status": False, "code": 2207, "token": None})
        return JSONResponse({"status": True, "code": 200, "token": claims})

    app.sandbox.app.routes.append(Route("/authing/token", check))
    app.sandbox.state.keys = SigningKeys(key)
    assert (await app.log_in())["user"]["sub"] == Persona("lin").user_id
    app.break_authing("bad_token")
    response = await app.try_log_in(app.ticket())
    assert (response.status_code, response.json()["code"]) == (502, "authing_token_invalid")


# --- refresh ---


DAY = 86400


async def test_a_refresh_returns_a_token_response_with_outcome_rotated(app: RunningApp) -> None:
    first = await app.log_in(device={"type": "ios"})
    app.clock.advance(seconds=400)
    second = await app.refresh(first["refresh_token"])
    assert second.keys() == first.keys() | {"outcome"}
    assert second["outcome"] == "rotated"
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["server_time"] == first["server_time"] + 400
    assert (second["session"], second["user"]) == (first["session"], first["user"])
    assert (second["expires_in"], second["refresh_expires_in"]) == (600, 14 * DAY)


@pytest.mark.parametrize("token", ["", None, 5, "a" * 257])
async def test_a_refresh_token_is_a_text_of_bounded_length(
    phone: httpx.AsyncClient, token: object
) -> None:
    response = await phone.post("/v1/sessions/refresh", json={"refresh_token": token})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/refresh_token"]
