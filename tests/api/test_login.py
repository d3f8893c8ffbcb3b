"""`POST /v1/sessions`: a ticket becomes a session."""

from typing import Any

import httpx
import pytest

from app.sandbox import Consent
from app.sandbox.control import mini_program_answer
from tests.support.running_app import RunningApp


async def refusals(phone: httpx.AsyncClient, **members: Any) -> list[str]:
    """Give the pointers of a 422."""
    answer = await phone.post("/v1/sessions", json=members)
    assert answer.status_code == 422, answer.text
    return [error["pointer"] for error in answer.json()["errors"]]


async def test_a_ticket_becomes_a_session_with_the_token_answer(world: RunningApp) -> None:
    answer = await world.phone.post("/v1/sessions", json={"ticket": world.ticket()})
    assert answer.status_code == 201
    tokens = answer.json()
    tokens.pop("refresh_after")
    assert tokens.pop("access_token").count(".") == 2
    assert tokens.pop("refresh_token").startswith("rt_")
    session_id = tokens["session"]["id"]
    assert tokens == {
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_expires_in": 14 * 86400,
        "server_time": world.clock.epoch,
        "session": {
            "id": session_id,
            "created_at": world.clock.epoch,
            "expires_at": world.clock.epoch + 30 * 86400,
        },
        "user": tokens["user"],
    }
    assert answer.headers["Location"] == f"/v1/sessions/{session_id}"


async def test_the_user_is_told_in_openid_claims_with_the_phone_number_in_full(
    world: RunningApp,
) -> None:
    user = (await world.log_in("lin"))["user"]
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


async def test_a_claim_that_is_not_known_is_absent_rather_than_null(world: RunningApp) -> None:
    ticket = world.ticket(get_phone=False)
    answer = await world.phone.post("/v1/sessions", json={"ticket": ticket})
    assert "phone_number" not in answer.json()["user"]
    assert None not in answer.json()["user"].values()


async def test_the_raw_string_that_wechat_returned_does_as_well(world: RunningApp) -> None:
    ext_msg = mini_program_answer(world.sandbox.state, Consent("chen"))["ext_msg"]
    answer = await world.phone.post("/v1/sessions", json={"ext_msg": ext_msg})
    assert answer.status_code == 201
    assert answer.json()["user"]["nickname"] == "陈一诺"


async def test_a_ticket_beside_a_null_ext_msg_is_one_credential(world: RunningApp) -> None:
    body = {"ticket": world.ticket(), "ext_msg": None}
    assert (await world.phone.post("/v1/sessions", json=body)).status_code == 201


@pytest.mark.parametrize(
    "members",
    [{}, {"ticket": None}, {"ticket": "a", "ext_msg": "b"}],
    ids=["neither", "null", "both"],
)
async def test_exactly_one_of_ticket_and_ext_msg_is_expected(
    phone: httpx.AsyncClient, members: dict[str, Any]
) -> None:
    assert await refusals(phone, **members) == [""]


@pytest.mark.parametrize("ticket", ["a b", "票", "a\nb", "<a>", " ", "a" * 4097, "%00"])
async def test_what_cannot_be_a_ticket_is_not_sent_to_authing(
    world: RunningApp, ticket: str
) -> None:
    assert await refusals(world.phone, ticket=ticket) == ["/ticket"]
    assert world.sandbox.state.exchanges == 0


@pytest.mark.parametrize("ticket", ["", 5, True, ["a"], {"a": "b"}, "a" * 8193])
async def test_a_ticket_is_a_text_of_bounded_length(
    phone: httpx.AsyncClient, ticket: object
) -> None:
    body = {"ticket": ticket}
    answer = await phone.post("/v1/sessions", json=body)
    assert answer.status_code == (413 if ticket == "a" * 8193 else 422)


async def test_the_device_is_told_again_without_what_was_not_said_of_it(world: RunningApp) -> None:
    device = {"id": "5d6c", "type": "ios", "name": "小满的 iPhone 📱", "app_version": "1.2.3"}
    assert (await world.log_in(device=device))["session"]["device"] == device
    some = {"type": "android", "name": None}
    assert (await world.log_in(device=some))["session"]["device"] == {"type": "android"}


@pytest.mark.parametrize("device", [None, {}, {"id": None}, {"colour": "red"}])
async def test_a_device_of_which_nothing_was_said_is_absent(
    world: RunningApp, device: dict[str, Any] | None
) -> None:
    assert "device" not in (await world.log_in(device=device))["session"]


@pytest.mark.parametrize(
    ("device", "pointer"),
    [
        ({"id": "a b"}, "/device/id"),
        ({"type": ""}, "/device/type"),
        ({"type": "a" * 129}, "/device/type"),
        ({"name": "two\nlines"}, "/device/name"),
        ({"name": "\x7f"}, "/device/name"),
        ({"name": "a" * 65}, "/device/name"),
        ({"app_version": 1}, "/device/app_version"),
        ("iPhone", "/device"),
    ],
)
async def test_a_device_is_told_in_short_printable_words(
    world: RunningApp, device: object, pointer: str
) -> None:
    assert await refusals(world.phone, ticket=world.ticket(), device=device) == [pointer]
    assert world.sandbox.state.exchanges == 0


async def test_all_that_is_wrong_is_told_at_once(phone: httpx.AsyncClient) -> None:
    device = {"id": "a b", "name": "\n"}
    assert await refusals(phone, ticket=7, device=device) == [
        "/ticket",
        "/device/id",
        "/device/name",
    ]


async def test_unknown_members_are_ignored(world: RunningApp) -> None:
    assert (await world.log_in(channel="app store"))["session"]


async def test_apps_that_sign_in_together_do_not_come_back_together(world: RunningApp) -> None:
    logins = [await world.log_in() for _ in range(12)]
    moments = {tokens["refresh_after"] for tokens in logins}
    assert len(moments) > 1
    assert all(type(moment) is int and 360 <= moment < 480 for moment in moments)


async def test_every_login_is_a_session_of_its_own(world: RunningApp) -> None:
    one, other = await world.log_in(), await world.log_in()
    assert one["user"] == other["user"]
    assert one["session"]["id"] != other["session"]["id"]


async def test_a_ticket_is_good_for_one_session(world: RunningApp) -> None:
    ticket = world.ticket()
    assert (await world.try_log_in(ticket)).status_code == 201
    again = await world.try_log_in(ticket)
    assert (again.status_code, again.json()["code"]) == (400, "ticket_used")
    assert world.sandbox.state.exchanges == 1
