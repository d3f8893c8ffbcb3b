"""The exchange: permissions, single use, lifetime of tickets, and shapes of the user."""

import json
from typing import Any

import httpx
import pytest

from app.sandbox import Consent, Sandbox
from tests.sandbox.conftest import Exchange, Switch

SUCCESS = {"code": 200, "message": "获取用户信息成功"}


def refused(response: httpx.Response) -> int:
    """Return the business code of a refusal in Authing's envelope."""
    body = response.json()
    assert body.keys() == {"code", "message", "data"}
    assert (body["data"], type(body["code"])) == (None, int)
    return int(body["code"])


async def test_a_ticket_becomes_the_user_of_the_2020_documents(exchange: Exchange) -> None:
    response = await exchange(Consent("lin"))
    user = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert (user["nickname"], user["registerMethod"]) == ("林小满", "oauth:app2wxapp")
    assert (user["blocked"], user["isDeleted"], len(user["_id"])) == (False, False, 24)
    times = (user["lastLogin"], user["tokenExpiredAt"])
    assert times == ("2027-01-15T08:00:00.000Z", "2027-01-30T08:00:00.000Z")
    assert user["photo"] == json.loads(user["oauth"])["avatarUrl"]
    assert user["photo"] == "https://example.com/avatars/lin.png"


async def test_the_phone_number_is_masked_at_the_top_and_clear_inside_oauth_with_consent(
    exchange: Exchange,
) -> None:
    user = (await exchange(Consent(get_phone=True))).json()
    clear = json.loads(user["oauth"])["phone"]
    assert (clear[:9], len(clear)) == ("138001380", 11)
    assert user["phone"] == f"138****{clear[-4:]}"
    user = (await exchange(Consent(get_phone=False))).json()
    assert "phone" not in user
    assert "phone" not in json.loads(user["oauth"])


async def test_a_name_always_gives_the_same_persona(exchange: Exchange) -> None:
    users = [(await exchange(Consent(name))).json() for name in ("lin", "lin", "chen", "load-1")]
    for fact in ("_id", "openid", "unionid"):
        assert users[0][fact] == users[1][fact]
        assert len({user[fact] for user in users}) == 3
    assert users[3]["nickname"] == "load-1"


async def test_blocked_and_deleted_users_are_marked_as_such(exchange: Exchange) -> None:
    users = [(await exchange(Consent(name))).json() for name in ("blocked", "deleted")]
    assert [user["blocked"] for user in users] == [True, False]
    assert [user["isDeleted"] for user in users] == [False, True]


async def test_each_shape_carries_the_same_user(
    sandbox: Sandbox, switch: Switch, exchange: Exchange
) -> None:
    switch(single_use=False)
    ticket = sandbox.state.issue(Consent("tuan"))
    user = (await exchange(ticket)).json()
    dressed = {}
    for shape in ("envelope_object", "envelope_string", "nested"):
        switch(shape=shape)
        dressed[shape] = (await exchange(ticket)).json()
    assert dressed["envelope_object"] == {**SUCCESS, "data": user}
    assert dressed["nested"] == {**SUCCESS, "data": {**SUCCESS, "data": user}}
    inner = dressed["envelope_string"].pop("data")
    assert (dressed["envelope_string"], json.loads(inner)) == (SUCCESS, user)
    switch(shape="envelope_object", code_as_text=True)
    assert (await exchange(ticket)).json()["code"] == "200"


async def test_a_ticket_is_accepted_once(sandbox: Sandbox, exchange: Exchange) -> None:
    ticket = sandbox.state.issue(Consent())
    await exchange(ticket)
    assert refused(await exchange(ticket)) == 2207
    known = sandbox.state.tickets[ticket]
    assert (known.attempts, known.logins) == (2, 1)
    assert (sandbox.state.exchanges, sandbox.state.logins) == (2, 1)


async def test_a_ticket_is_valid_to_its_last_second(
    sandbox: Sandbox, switch: Switch, exchange: Exchange, clock: Any
) -> None:
    switch(single_use=False)
    ticket = sandbox.state.issue(Consent())
    clock.now += 119.999
    assert "_id" in (await exchange(ticket)).json()
    clock.now += 0.001
    assert refused(await exchange(ticket)) == 2206


@pytest.mark.parametrize("secret", ["made-up-but-wrong", "", None, 7, "密钥"])
@pytest.mark.parametrize("spends", [False, True])
async def test_a_refusal_of_the_secret_uses_the_ticket_only_if_it_is_told_to(
    sandbox: Sandbox, switch: Switch, exchange: Exchange, secret: object, *, spends: bool
) -> None:
    switch(refusal_spends=spends)
    ticket = sandbox.state.issue(Consent())
    assert refused(await exchange(ticket, secret=secret)) == 1001
    again = await exchange(ticket)
    assert ("_id" in again.json()) is not spends


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"pool": "5f0000000000000000000002"}, 2224),
        *(({"ticket": ticket}, 2231) for ticket in ("", None, 7, ["a"])),
        ({"ticket": "never-issued"}, 2207),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_a_refused_exchange_has_a_business_code_and_the_chosen_http_status(
    switch: Switch, exchange: Exchange, given: dict[str, Any], code: int, status: int
) -> None:
    switch(refusal_status=status)
    response = await exchange(**given)
    assert (response.status_code, refused(response)) == (status, code)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'["ticket"]', "application/json"),
        (b'{"ticket": "t"}', "text/plain"),
    ],
)
async def test_a_body_that_is_not_one_json_object_counts_as_empty(
    sandbox: Sandbox, switch: Switch, http: httpx.AsyncClient, body: bytes, content_type: str
) -> None:
    switch(need_secret=False)
    path = f"/oauth/app2wxapp/auth/{sandbox.state.options.user_pool_id}"
    response = await http.post(path, content=body, headers={"Content-Type": content_type})
    assert refused(response) == 2231


def test_the_pool_secret_is_not_in_the_repr_of_the_options(sandbox: Sandbox) -> None:
    assert sandbox.state.options.user_pool_secret not in repr(sandbox.state.options)
