"""`Idempotency-Key` over HTTP. tests/sessions/test_login.py shows its rules one by one."""

import httpx
import pytest

from tests.api.error_scenarios import KEY
from tests.support.running_app import RunningApp

ODD = (
    *(b"", b"x" * 15, b"x" * 256, b"two words in the key", b"a\ttab-in-the-key-here"),
    *(b"delete\x7fdelete-delete", "schlüssel-schlüssel".encode(), b"\xff" * 20),
    b"ends-with-a-newline-\n",
)


def same_session(first: httpx.Response, second: httpx.Response) -> bool:
    one, other = first.json(), second.json()
    return bool(
        (one["session"], one["refresh_token"]) == (other["session"], other["refresh_token"])
    )


async def test_a_lost_login_costs_nothing(app: RunningApp) -> None:
    ticket = app.ticket()
    lost, found = [await app.try_log_in(ticket, KEY) for _ in range(2)]
    assert (lost.status_code, found.status_code) == (201, 201)
    assert same_session(lost, found)
    assert lost.headers["Location"] == found.headers["Location"]
    assert "Idempotency-Replayed" not in lost.headers
    assert found.headers["Idempotency-Replayed"] == "true"
    assert app.sandbox.state.exchanges == 1


@pytest.mark.parametrize(
    "key", ["x" * 16, "x" * 255, "!~" * 8, "urn:uuid:9d1f0c5e", '"quoted-quoted-quoted"']
)
async def test_a_key_is_16_to_255_visible_characters(app: RunningApp, key: str) -> None:
    ticket = app.ticket()
    first, second = [await app.try_log_in(ticket, key) for _ in range(2)]
    assert same_session(first, second)


@pytest.mark.parametrize(
    "keys", [[KEY.encode()] * 2, [KEY.encode(), KEY[::-1].encode()], *([odd] for odd in ODD)]
)
async def test_an_odd_or_second_key_is_refused_before_authing_is_asked(
    app: RunningApp, keys: list[bytes]
) -> None:
    headers = [(b"Idempotency-Key", key) for key in keys]
    response = await app.phone.post("/v1/sessions", json={"ticket": app.ticket()}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert [e["pointer"] for e in response.json()["errors"]] == ["header/idempotency-key"]
    assert app.sandbox.state.exchanges == 0


async def test_an_odd_key_is_refused_at_a_refresh_too(app: RunningApp) -> None:
    tokens = await app.log_in()
    response = await app.try_refresh(tokens["refresh_token"], "short")
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert (await app.refresh(tokens["refresh_token"]))["outcome"] == "rotated"


async def test_a_refresh_with_a_key_is_replayed_to_the_same_key_and_ends_for_another(
    app: RunningApp,
) -> None:
    token = (await app.log_in())["refresh_token"]
    first, again = [(await app.try_refresh(token, "key-of-this-refresh")).json() for _ in range(2)]
    assert (first["outcome"], again["outcome"]) == ("rotated", "replayed")
    assert again["refresh_token"] == first["refresh_token"]
    for copy in (token, first["refresh_token"]):
        response = await app.try_refresh(copy, "key-of-a-thief-who-follows")
        assert (response.status_code, response.json()["reason"]) == (400, "refresh_reused")
