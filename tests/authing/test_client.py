"""The exchange over a real socket: the request, and the effect of each response."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product
from typing import Any

import pytest

from app.authing.response import deadline
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingError,
    AuthingMisconfigured,
    AuthingTimeout,
    AuthingTokenInvalid,
    AuthingUnavailable,
    TicketgateError,
    TicketRejected,
)
from app.sessions.models import Identity
from tests.authing.builders import (
    EPOCH,
    NOW,
    POOL,
    SECRET,
    TICKET,
    UNIONID,
    USER_ID,
    Answer,
    Request,
    authing,
    encoded,
    http_response,
    json_response,
    legacy_claims,
    make_user,
    peer,
    sign_token,
)


async def exchanged(response: bytes | Answer) -> Identity:
    async with peer(response) as seen, authing(seen.url) as client:
        return await client.exchange(TICKET)


async def refused(response: bytes | Answer, error: type[TicketgateError]) -> Any:
    async with peer(response) as seen, authing(seen.url) as client:
        with pytest.raises(error) as refusal:
            await client.exchange(TICKET)
        assert type(refusal.value) is error
        assert len(seen.requests) == 1  # nothing is sent twice
        return refusal.value


# --- the request ---


async def test_the_exchange_is_one_post_to_the_pools_address() -> None:
    async with peer(json_response(make_user())) as seen, authing(seen.url) as client:
        await client.exchange(TICKET)
        [request] = seen.requests
        assert (request.method, request.target) == ("POST", f"/oauth/app2wxapp/auth/{POOL}")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["user-agent"] == "ticketgate"
        assert request.json == {"ticket": TICKET, "secret": SECRET}
        assert not any(word in f"{request.target} {request.headers}" for word in (TICKET, SECRET))


@pytest.mark.parametrize(
    ("suffix", "target"),
    [
        ("", f"/oauth/app2wxapp/auth/{POOL}"),
        ("/", f"/oauth/app2wxapp/auth/{POOL}"),
        ("/behind/a/path/", f"/behind/a/path/oauth/app2wxapp/auth/{POOL}"),
    ],
)
async def test_the_configured_host_may_end_in_a_slash_or_have_a_path(
    suffix: str, target: str
) -> None:
    async with peer(json_response(make_user())) as seen, authing(seen.url + suffix) as client:
        await client.exchange(TICKET)
        assert seen.requests[0].target == target


# --- the identity ---


async def test_the_identity_is_the_signed_user_with_the_claims_of_the_body() -> None:
    identity = await exchanged(json_response({"code": "200", "data": encoded(make_user())}))
    assert identity.subject == USER_ID
    assert identity.claims["phone_number"] == "+8613800138000"
    assert identity.authenticated_at == datetime.fromtimestamp(EPOCH - 5, UTC)


@pytest.mark.parametrize("user_id", ["5e00000000000000000000bb", USER_ID.upper()])
async def test_body_and_token_must_name_the_same_user(user_id: str) -> None:
    trouble = await refused(json_response(make_user(_id=user_id)), AuthingTokenInvalid)
    assert trouble.outcome == "bad_token"


async def test_body_and_token_must_name_the_same_wechat_user() -> None:
    response = json_response(make_user(unionid="o-somebody-else"))
    assert (await refused(response, AuthingTokenInvalid)).outcome == "bad_token"


@pytest.mark.parametrize("where", ["body", "token"])
async def test_a_unionid_on_one_side_only_is_accepted(where: str) -> None:
    silent = sign_token(legacy_claims(data={"id": USER_ID, "clientId": POOL}))
    user = make_user(token=silent) if where == "body" else make_user(unionid=None)
    assert (await exchanged(json_response(user))).subject == USER_ID


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


# --- fields that decide nothing ---

UNREAD = {
    "cut-emoji": '"nickname": "ab\\ud83d"',
    "cut-emoji-elsewhere": '"company": "\\udc3c", "\\ud83d": {"\\ud83d": ["\\ud83d"]}',
    "integer-of-64-bits": '"customData": {"sid": 1234567890123456800}',
    "other-numbers": '"customData": [1e400, -Infinity, NaN, %s]' % ("9" * 5000),
    "key-twice": '"customData": {"a": 1, "a": 2}, "metadata": 1, "metadata": 1',
    "picture-of-70-kb": '"photo": "data:image/png;base64,%s"' % ("A" * 70_000),
    "control-characters": '"company": "a\tb\x00c", "nickname": "ab\\u0000\\u001b"',
    "deep": '"customData": %s' % ("[" * 50 + "]" * 50),
    "phone-twice": '"phone": "13800138000", "phone": "13900139000"',
    "oauth-twice": '"oauth": "{}", "oauth": "{}"',
}


def with_member(member: str, **changes: Any) -> bytes:
    """Return a user that has this text at its end; a member of the same name is left out."""
    user = {
        name: value for name, value in make_user(**changes).items() if f'"{name}"' not in member
    }
    return f"{encoded(user)[:-1]}, {member}}}".encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("shape", ["bare", "string"])
async def test_a_field_that_decides_nothing_never_costs_a_login(name: str, shape: str) -> None:
    body = with_member(UNREAD[name])
    if shape == "string":
        body = encoded({"code": 200, "data": body.decode()}).encode()
    identity = await exchanged(http_response(body))
    assert identity.subject == USER_ID
    encoded(identity.claims).encode()  # what is stored of it is UTF-8


@pytest.mark.parametrize(
    "member",
    [
        *(f'"{name}": 200, "{name}": 200' for name in ("code", "apiCode", "statusCode")),
        f'"_id": "{USER_ID}", "_id": "{USER_ID}"',
        f'"id": "{USER_ID}", "\\u0069d": "{USER_ID}"',
        f'"token": "{sign_token()}", "token": "{sign_token()}"',
        f'"id_token": "{sign_token()}", "id_token": "{sign_token()}"',
        f'"unionid": "{UNIONID}", "unionid": "{UNIONID}"',
        '"blocked": false, "blocked": false',
        '"isDeleted": false, "isDeleted": true',
        '"data": {}, "data": {}',
        '"userEntity": {}, "userEntity": {}',
        '"code": NaN',
        '"code": 1234567890123456800',
        '"blocked": 1e400',
    ],
)
async def test_a_field_that_decides_must_have_one_value(member: str) -> None:
    assert (
        await refused(http_response(with_member(member)), AuthingBadAnswer)
    ).outcome == "bad_json"


# --- statuses and codes: the last paragraph of the contract's section 9 ---

USER = {"code": 200, "data": make_user()}


@pytest.mark.parametrize("status", [200, 201])
async def test_success_is_200_or_201_with_code_200(status: int) -> None:
    assert (await exchanged(json_response(USER, status=status))).subject == USER_ID


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"statusCode": 499, "apiCode": "1000"}, AuthingUnavailable),
        ({"statusCode": 499, "apiCode": 2005}, AccountBlocked),
        ({"code": "2002", "message": "", "data": None}, AuthingMisconfigured),
        ({"code": 2206, "apiCode": 1000, "statusCode": 500}, TicketRejected),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 400, 401, 403, 404, 409, 422, 499])
async def test_below_500_the_first_business_code_decides(
    response: Any, error: type[TicketgateError], status: int
) -> None:
    refusal = await refused(json_response(response, status=status), error)
    assert refusal.authing_code == int(response.get("code", response.get("apiCode")))
    assert str(refusal) == ""


HTML: dict[str, Any] = {"content_type": "text/html", "body": "<html>"}
WITHOUT_CODE: tuple[dict[str, Any], ...] = (
    HTML,
    *({"body": body} for body in ("", "{}", "[]", '"Forbidden"', "{broken", "x" * 70_000)),
    {"body": '{"message": "no code"}'},
    {"body": "{}", "headers": {"Content-Encoding": "gzip"}},
)
BESIDE_5XX = (HTML, *({"body": body} for body in (encoded({"code": 400}), encoded(USER), "")))
STATUSES: dict[tuple[type[AuthingError], str], list[bytes]] = {
    (AuthingMisconfigured, "auth_config"): [
        http_response(status=status, **said)
        for status, said in product((401, 403, 404), WITHOUT_CODE)
    ],
    (AuthingUnavailable, "http_5xx"): [
        http_response(status=status, **said)
        for status, said in product((500, 501, 502, 503, 504, 520, 599), BESIDE_5XX)
    ],
    (AuthingBadAnswer, "bad_status"): [
        *(json_response(USER, status=status) for status in (202, 299, 400, 401, 404, 499, 600)),
        *(
            http_response(body, status=status)
            for status, body in product((202, 206, 400, 405, 451, 499, 600, 999), ("{}", "<html>"))
        ),
        b"HTTP/1.1 204 Whatever\r\n\r\n",
    ],
    (AuthingBadAnswer, "redirect"): [b"HTTP/1.1 304 Whatever\r\n\r\n"],
    (AuthingBadAnswer, "bad_shape"): [
        json_response({"code": "forbidden"}, status=status) for status in (200, 400, 403)
    ],
}


@pytest.mark.parametrize(
    ("error", "outcome", "response"),
    [(*told, response) for told, responses in STATUSES.items() for response in responses],
)
async def test_a_status_without_a_good_code_has_its_error(
    error: type[AuthingError], outcome: str, response: bytes
) -> None:
    trouble = await refused(response, error)
    assert trouble.outcome == outcome
    assert getattr(trouble, "retry_after", 2) == 2


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
async def test_a_redirect_is_a_bad_answer_and_is_not_followed(status: int) -> None:
    async with peer(json_response(USER)) as target:
        location = f"{target.url}/oauth/app2wxapp/auth/{POOL}"
        response = http_response(encoded(USER), status=status, headers={"Location": location})
        trouble = await refused(response, AuthingBadAnswer)
        assert trouble.outcome == "redirect"
        assert target.connections == 0


def in_http(instant: datetime) -> str:
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 2),
        ("3", 3),
        ("0", 1),
        ("60", 60),
        ("61", 60),
        ("1000000000", 60),
        ("9" * 5000, 60),
        ("-5", 2),
        ("1.5", 2),
        ("soon", 2),
        ("", 2),
        ("\N{ARABIC-INDIC DIGIT THREE}", 2),
        (in_http(NOW + timedelta(seconds=10)), 10),
        (in_http(NOW - timedelta(seconds=10)), 1),
        (in_http(NOW + timedelta(days=10)), 60),
        ("Sun, 99 Nov 2026 12:00:00 GMT", 2),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_429_and_503_is_clamped(
    status: int, header: str | None, seconds: int
) -> None:
    headers = {"Date": in_http(NOW)} | ({} if header is None else {"Retry-After": header})
    trouble = await refused(http_response("", status=status, headers=headers), AuthingUnavailable)
    assert trouble.retry_after == seconds
    assert trouble.outcome == ("rate_limited" if status == 429 else "http_5xx")


async def test_a_date_to_retry_after_needs_no_date_of_the_response() -> None:
    header = {"Retry-After": in_http(datetime.now(UTC) + timedelta(days=1))}
    trouble = await refused(http_response("", status=503, headers=header), AuthingUnavailable)
    assert trouble.retry_after == 60


@pytest.mark.parametrize("status", [200, 400])
async def test_code_429_is_unavailable_with_the_wait_of_the_header(status: int) -> None:
    response = json_response({"code": "429"}, status=status, Retry_After="7")
    trouble = await refused(response, AuthingUnavailable)
    assert (trouble.outcome, trouble.retry_after) == ("rate_limited", 7)


# --- the probe ---


async def test_the_probe_returns_the_hosts_time_and_sends_no_secret() -> None:
    response = http_response("", status=404, headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"})
    async with peer(response) as seen, authing(f"{seen.url}/") as client:
        assert await client.probe() == datetime(2026, 11, 22, 12, tzinfo=UTC)
        [request] = seen.requests
        assert (request.method, request.target, request.body) == ("GET", "/", b"")
        assert SECRET not in str(request)


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}])
async def test_the_probe_accepts_a_response_without_a_date(headers: dict[str, str]) -> None:
    async with peer(http_response("", headers=headers)) as seen, authing(seen.url) as client:
        assert await client.probe() is None


async def test_the_probe_raises_the_same_errors() -> None:
    async with peer(Answer(b"", "hang")) as seen, authing(seen.url) as client:
        with pytest.raises(AuthingTimeout) as trouble:
            async with deadline(0.1):
                await client.probe()
        assert trouble.value.outcome == "deadline"


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
