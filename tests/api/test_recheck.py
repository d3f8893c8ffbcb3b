"""Users who are blocked at Authing after their login, through HTTP and the fake Authing."""

import asyncio
import json
import random
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretStr

from app.sandbox import NO_FAULT, Fault
from app.sandbox.personas import Persona
from tests.support.processes import until
from tests.support.running_app import RunningApp

SECRET = "made-up-webhook-secret-0123456789"
SETTINGS = {
    "authing_management_url": "http://localhost",
    "authing_webhook_secret": (SecretStr(SECRET),),
}
USER = Persona("lin").user_id
rechecked = pytest.mark.parametrize("app", [SETTINGS], indirect=True)


def suspend(app: RunningApp, persona: str = "lin") -> None:
    app.sandbox.state.statuses[Persona(persona).user_id] = "Suspended"


async def webhook(app: RunningApp, content: bytes | str, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given = given or {"X-Authing-Webhook-Secret": SECRET}
    response = await app.phone.post("/webhooks/authing", content=content, headers=given)
    return response.status_code


async def is_ended(app: RunningApp, tokens: dict[str, Any]) -> bool:
    response = await app.get("/v1/sessions/current", tokens)
    if response.status_code == 200:
        return False
    assert (response.status_code, response.json()["reason"]) == (401, "account_blocked")
    return True


async def soon_ended(app: RunningApp, tokens: dict[str, Any]) -> None:
    async with asyncio.timeout(30):
        while not await is_ended(app, tokens):  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.002)


@rechecked
async def test_a_refresh_succeeds_and_then_the_sessions_of_a_blocked_user_end(
    app: RunningApp,
) -> None:
    tokens, other = await app.log_in(), await app.log_in("chen")
    suspend(app)
    app.clock.advance(seconds=3599)
    tokens = await app.refresh(tokens["refresh_token"])
    app.clock.advance(seconds=1)
    tokens = await app.refresh(tokens["refresh_token"])
    await app.refresh(other["refresh_token"])
    await until(lambda: app.sandbox.state.users_read == 2)
    response = await app.try_refresh(tokens["refresh_token"])
    async with asyncio.timeout(30):
        while response.status_code == 200:
            response = await app.try_refresh(response.json()["refresh_token"])
    assert (response.status_code, response.json()["reason"]) == (400, "account_blocked")
    assert response.json()["client_action"] == "relaunch_wechat"


@rechecked
async def test_a_refresh_does_not_wait_for_authing(app: RunningApp) -> None:
    tokens = await app.log_in()
    app.clock.advance(hours=2)
    app.wire.open.clear()
    for _ in range(3):
        tokens = await app.refresh(tokens["refresh_token"])
    app.wire.open.set()


@rechecked
async def test_a_failure_of_the_management_api_ends_no_session(app: RunningApp) -> None:
    tokens = await app.log_in()
    suspend(app)
    app.sandbox.state.fault = Fault("http_500", of="management")
    for _ in range(3):
        app.clock.advance(hours=1)
        tokens = await app.refresh(tokens["refresh_token"])
        assert not await is_ended(app, tokens)
    app.sandbox.state.fault = NO_FAULT
    assert await webhook(app, BODIES[0]) == 204
    await soon_ended(app, tokens)


# --- the webhook ---

BODIES = [
    json.dumps({"eventName": "user:blocked", "data": {"user": {"id": USER, "password": "x"}}}),
    json.dumps({"eventName": "user:deleted", "data": {"users": [{"_id": "other"}, {"_id": USER}]}}),
    json.dumps({"eventName": "login", "data": {"userId": USER, "status": "Activated"}}),
    json.dumps({"_id": USER, "nickname": "小明"}),
    json.dumps({"data": json.dumps({"user": {"id": USER}})}),
    "\ufeff" + json.dumps({"users": [{"id": USER}]}),
    urlencode({"eventName": "user:blocked", "data": json.dumps({"user": {"id": USER}})}),
    urlencode({"eventName": "user:blocked", "data[user][id]": USER}),
    urlencode({"data[users][0][_id]": "other", "data[users][1][_id]": USER}),
    urlencode({"data.user.userId": USER}),
    urlencode({"id": USER}),
    json.dumps({"data": {"user": {"id": USER, "padding": "x" * 60_000}}}),
]


@rechecked
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_hint_in_any_form_makes_us_ask_at_once(app: RunningApp, body: str) -> None:
    tokens = await app.log_in()
    suspend(app)
    assert await webhook(app, body) == 204
    await soon_ended(app, tokens)


@rechecked
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"\xff\xfe", b"[" * 65_000, b'{"a":' * 10_000, b"null", b"[]", b"9" * 6_000),
        b'{"description": "test"}',
        b'{"data": [{"id": 7}], "user": "x"}',
        b'{"data": {"users": {"id": "a"}, "user": [1]}, "id": {"id": "a"}}',
        b'{"data": {"user": {"id": "\\ud83d"}}}',
        b"=&&data[]=&[=x&data[user][id]=%ff",
        b"data[other][id]=5f&id=" + b"a" * 129,
    ],
)
async def test_an_odd_body_is_accepted_and_believed_in_nothing(
    app: RunningApp, body: bytes
) -> None:
    tokens = await app.log_in()
    assert await webhook(app, body) == 204
    assert not await is_ended(app, tokens)


@rechecked
async def test_a_hint_that_claims_a_block_is_not_believed(app: RunningApp) -> None:
    tokens = await app.log_in()
    body = {"eventName": "user:blocked", "data": {"user": {"id": USER, "status": "Suspended"}}}
    assert await webhook(app, json.dumps(body)) == 204
    await until(lambda: app.sandbox.state.users_read == 1)
    assert not await is_ended(app, tokens)


@rechecked
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Authing-Webhook-Secret": SECRET}, 204),
        ({"X-Authing-Token": SECRET}, 204),
        ({"X-GenAuth-Token": SECRET}, 204),
        ({"X-Authing-Webhook-Secret": SECRET, "X-Authing-Token": SECRET}, 204),
        ({"X-Authing-Webhook-Secret": SECRET, "X-Authing-Token": "wrong"}, 401),
        ({"X-Authing-Webhook-Secret": "wrong"}, 401),
        ({"X-Authing-Token": ""}, 401),
        ({"X-Other": SECRET}, 401),
        ({"Authorization": f"Bearer {SECRET}"}, 401),
    ],
)
async def test_every_secret_that_is_given_must_be_right(
    app: RunningApp, headers: dict[str, str], status: int
) -> None:
    tokens = await app.log_in()
    suspend(app)
    assert await webhook(app, BODIES[0], **headers) == status
    if status == 204:
        await until(lambda: app.sandbox.state.users_read == 1)
    else:
        assert not await is_ended(app, tokens)


async def test_without_a_secret_there_is_no_webhook(app: RunningApp) -> None:
    assert await webhook(app, BODIES[0]) == 404


@rechecked
async def test_a_larger_body_is_refused_and_other_routes_keep_their_limit(app: RunningApp) -> None:
    assert await webhook(app, b"x" * (64 * 1024)) == 204
    assert await webhook(app, b"x" * (64 * 1024 + 1)) == 413
    response = await app.phone.post("/v1/sessions", content=b"x" * (8 * 1024 + 1))
    assert response.status_code == 413


@rechecked
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]
)
async def test_blocked_users_are_gone_within_the_bound_whatever_the_webhooks_do(
    app: RunningApp, seed: int
) -> None:
    """Half a day of 30 users. Webhooks are lost, sent twice, forged, and come late."""
    choices = random.Random(seed)  # noqa: S311  # repeatable
    recheck: Any = app.services.hint.func.__self__  # type: ignore[attr-defined]  # a partial
    names = [f"user-{number}" for number in range(30)]
    alive = {name: await app.log_in(name) for name in names}
    blocked_at: dict[str, int] = {}
    late: list[str] = []
    for step in range(72):
        app.clock.advance(minutes=10)
        if choices.random() < 0.3:
            name = choices.choice(names)
            suspend(app, name)
            blocked_at.setdefault(name, step)
            late += [name] * choices.choice([0, 1, 2])
        choices.shuffle(late)
        for name in [*late[:2], choices.choice(names)]:  # the last one is forged
            body = {"data": {"user": {"id": Persona(name).user_id}}}
            secret = choices.choice([SECRET, "a forged secret"])
            await webhook(app, json.dumps(body), X_Authing_Token=secret)
        del late[:2]
        for name, tokens in list(alive.items()):
            response = await app.try_refresh(tokens["refresh_token"])
            if response.status_code == 200:
                alive[name] = response.json()
                # An hour, the refresh that finds the look due, and one during that look.
                assert step <= blocked_at.get(name, step) + 8, f"{name} is still signed in"
            else:
                assert response.json()["reason"] == "account_blocked"
                assert name in blocked_at
                del alive[name]
        await until(lambda: not recheck._causes)
    assert set(names) - set(alive) >= {n for n, step in blocked_at.items() if step < 62}
