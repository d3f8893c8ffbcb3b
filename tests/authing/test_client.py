"""The exchange: the request over a real socket, and the effect of a response."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingError,
    AuthingMisconfigured,
    AuthingTokenInvalid,
    AuthingUnavailable,
    TicketgateError,
    TicketRejected,
)
from app.sessions.models import Identity
from tests.authing.builders import (
    EPOCH,
    POOL,
    SECRET,
    TICKET,
    USER_ID,
    Answer,
    Canned,
    Request,
    authing,
    authing_over,
    canned,
    encoded,
    http_response,
    json_response,
    legacy_claims,
    make_user,
    peer,
    sign_token,
)

# --- the request ---


@pytest.mark.parametrize("path", ["", "/", "/behind/a/path/"])
async def test_the_exchange_is_one_post_to_the_pools_address(path: str) -> None:
    async with peer(json_response(make_user())) as seen, authing(seen.url + path) as client:
        await client.exchange(TICKET)
        [request] = seen.requests
    target = f"{path.rstrip('/')}/oauth/app2wxapp/auth/{POOL}"
    assert (request.method, request.target) == ("POST", target)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "ticketgate"
    assert request.json == {"ticket": TICKET, "secret": SECRET}
    assert not any(word in f"{request.target} {request.headers}" for word in (TICKET, SECRET))


async def test_a_redirect_is_not_followed() -> None:
    async with peer(json_response(make_user())) as target:
        moved = http_response(status=307, headers={"Location": f"{target.url}/elsewhere"})
        async with peer(moved) as seen, authing(seen.url) as client:
            with pytest.raises(AuthingBadAnswer):
                await client.exchange(TICKET)
        assert (target.connections, len(seen.requests)) == (0, 1)


# --- the identity ---


async def exchanged(transport: Canned) -> Identity:
    async with authing_over(transport) as client:
        return await client.exchange(TICKET)


async def test_the_identity_is_the_signed_user_with_the_claims_of_the_body() -> None:
    identity = await exchanged(canned({"code": "200", "data": encoded(make_user())}, status=201))
    assert identity.subject == USER_ID
    assert identity.claims["phone_number"] == "+8613800138000"
    assert identity.authenticated_at == datetime.fromtimestamp(EPOCH - 5, UTC)


WITHOUT_UNIONID = sign_token(legacy_claims(data={"id": USER_ID, "clientId": POOL}))


@pytest.mark.parametrize(
    ("changes", "agree"),
    [
        ({"_id": "5e00000000000000000000bb"}, False),
        ({"_id": USER_ID.upper()}, False),
        ({"unionid": "o-somebody-else"}, False),
        ({"unionid": None}, True),
        ({"token": WITHOUT_UNIONID}, True),
    ],
)
async def test_body_and_token_must_not_contradict_each_other(
    changes: dict[str, Any], *, agree: bool
) -> None:
    transport = canned(make_user(**changes))
    if agree:
        assert (await exchanged(transport)).subject == USER_ID
        return
    with pytest.raises(AuthingTokenInvalid) as refusal:
        await exchanged(transport)
    assert refusal.value.outcome == "bad_token"


async def test_two_exchanges_share_nothing() -> None:
    ids = {f"ticket-{n}": f"5e{n:022d}" for n in range(40)}

    def says(request: Request) -> bytes:
        user_id = ids[request.json["ticket"]]
        data = {"id": user_id, "clientId": POOL}
        user = make_user(
            _id=user_id,
            unionid=None,
            nickname=user_id,
            metadata="x" * (int(user_id[2:]) * 500),
            token=sign_token(legacy_claims(data=data)),
        )
        return json_response(user)

    async with peer(says) as seen, authing(seen.url) as client:
        identities = await asyncio.gather(*(client.exchange(ticket) for ticket in ids))
    assert [identity.subject for identity in identities] == list(ids.values())
    assert [identity.claims["nickname"] for identity in identities] == list(ids.values())


UNREAD = (
    '"nickname": "ab\\ud83d"',
    '"company": "a\tb\x00\\udc3c", "\\ud83d": {"\\ud83d": ["\\ud83d"]}',
    '"customData": {"sid": 1234567890123456800, "a": 1, "a": [1e400, NaN, %s]}' % ("9" * 5000),
    '"metadata": 1, "metadata": 1, "photo": "data:image/png;base64,%s"' % ("A" * 70_000),
    '"phone": "13800138000", "phone": "13900139000", "oauth": "{}", "oauth": "{}"',
)


@pytest.mark.parametrize("member", UNREAD, ids=range(len(UNREAD)))
@pytest.mark.parametrize("shape", ["bare", "string"])
async def test_a_field_that_decides_nothing_never_costs_a_login(member: str, shape: str) -> None:
    user = {name: value for name, value in make_user().items() if f'"{name}"' not in member}
    body = f"{encoded(user)[:-1]}, {member}}}"
    document: Any = {"code": 200, "data": body} if shape == "string" else body.encode()
    identity = await exchanged(canned(document))
    assert identity.subject == USER_ID
    encoded(identity.claims).encode()  # what is stored of it is UTF-8


# --- statuses and codes: test_response.py and test_result.py have all of them ---


@pytest.mark.parametrize(
    ("transport", "error", "outcome"),
    [
        (canned(b"<html>", status=403, content_type="text/html"), AuthingMisconfigured, None),
        (canned({"code": 200, "data": make_user()}, status=401), AuthingBadAnswer, "bad_status"),
        (canned(b"", status=204), AuthingBadAnswer, "bad_status"),
        (canned({"code": "forbidden"}, status=403), AuthingBadAnswer, "bad_shape"),
        (canned({"statusCode": 499, "apiCode": 2005}, status=499), AccountBlocked, 2005),
        (canned({"code": 2206, "apiCode": 1000, "statusCode": 500}), TicketRejected, 2206),
        (canned({"code": "429"}, status=400), AuthingUnavailable, "rate_limited"),
    ],
)
async def test_status_and_code_decide_together(
    transport: Canned, error: type[TicketgateError], outcome: str | int | None
) -> None:
    with pytest.raises(error) as refusal:
        await exchanged(transport)
    assert type(refusal.value) is error
    told = (getattr(refusal.value, name, None) for name in ("outcome", "authing_code"))
    assert outcome is None or outcome in told
    assert str(refusal.value) == ""


# --- the probe ---


async def test_the_probe_returns_the_hosts_time_and_sends_no_secret() -> None:
    response = http_response("", status=404, headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"})
    async with peer(response) as seen, authing(f"{seen.url}/") as client:
        assert await client.probe() == datetime(2026, 11, 22, 12, tzinfo=UTC)
        [request] = seen.requests
        assert (request.method, request.target, request.body) == ("GET", "/", b"")
        assert SECRET not in str(request)


@pytest.mark.parametrize("date", [None, "yesterday"])
async def test_the_probe_accepts_a_response_without_a_date(date: str | None) -> None:
    async with authing_over(canned(b"", date=date)) as client:
        assert await client.probe() is None


async def test_the_probe_raises_the_same_errors() -> None:
    async with authing_over(Canned(ConnectionResetError())) as client:
        with pytest.raises(AuthingUnavailable):
            await client.probe()


# --- secrets ---


async def test_no_text_of_a_client_or_an_error_holds_a_secret() -> None:
    leaky = http_response(encoded(make_user(token="h.p.s", metadata=SECRET)))
    responses: list[Answer | bytes] = [
        leaky,
        Answer(leaky[:-9], "close"),
        Answer(b"HTTP/9 " + SECRET.encode(), "close"),
    ]
    for response in responses:
        async with peer(response) as seen, authing(seen.url) as client:
            assert SECRET not in repr(client)
            with pytest.raises(AuthingError) as refusal:
                await client.exchange(TICKET)
            error: BaseException | None = refusal.value
            while error is not None:
                assert not any(word in f"{error}{error!r}" for word in (SECRET, TICKET, "h.p.s"))
                error = error.__cause__
