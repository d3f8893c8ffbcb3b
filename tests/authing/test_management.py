"""The management API: the token, and which answers about a user are definite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.authing.client import PoolSecrets
from app.authing.management import ManagementClient
from app.authing.transport import AuthingTransport
from app.errors import (
    AuthingBadAnswer,
    AuthingError,
    AuthingMisconfigured,
    AuthingTimeout,
    AuthingUnavailable,
)
from tests.authing.builders import (
    POOL,
    SECRET,
    SMALL_CA_FILE,
    USER_ID,
    Answer,
    Peer,
    Request,
    http_response,
    json_response,
    peer,
)

NEXT = "made-up-next-secret-9876543210"
Says = Callable[[Request], Answer | bytes]


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def token(text: str = "made-up-token", **changes: Any) -> bytes:
    data = {"access_token": text, "expires_in": 7200} | changes
    return json_response({"statusCode": 200, "message": "", "data": data})


def user(status: object = "Activated", **changes: Any) -> bytes:
    data = {"userId": USER_ID, "status": status} | changes
    return json_response({"statusCode": 200, "message": "", "data": data})


def refusal(status: int, api_code: int | None = None, http: int = 200) -> bytes:
    document: dict[str, Any] = {"statusCode": status, "message": "…", "requestId": "r"}
    return json_response(document | ({"apiCode": api_code} if api_code else {}), status=http)


@asynccontextmanager
async def management(
    about_users: Says | Answer | bytes,
    about_tokens: Says | Answer | bytes | None = None,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    monotonic: Callable[[], float] = float,
) -> AsyncIterator[tuple[ManagementClient, Peer]]:
    def says(request: Request) -> Answer | bytes:
        is_token = request.target.endswith("/get-management-token")
        said = (about_tokens or token()) if is_token else about_users
        return said(request) if callable(said) else said

    async with peer(says) as seen, AuthingTransport(SMALL_CA_FILE) as transport:
        yield (
            ManagementClient(
                transport,
                url=seen.url,
                user_pool_id=POOL,
                pool_secrets=PoolSecrets(lambda: secrets),
                timeout=0.5,
                monotonic=monotonic,
            ),
            seen,
        )


def calls(seen: Peer) -> list[str]:
    return [request.target.rsplit("/", 1)[1].partition("?")[0] for request in seen.requests]


async def test_a_question_shows_the_token_and_no_secret() -> None:
    async with management(user()) as (client, seen):
        assert await client.may_sign_in(USER_ID)
        for_token, about_user = seen.requests
    assert (for_token.method, for_token.target) == ("POST", "/api/v3/get-management-token")
    assert for_token.json == {"accessKeyId": POOL, "accessKeySecret": SECRET}
    assert (about_user.method, about_user.target) == ("GET", f"/api/v3/get-user?userId={USER_ID}")
    assert about_user.headers["authorization"] == "Bearer made-up-token"
    assert about_user.headers["x-authing-userpool-id"] == POOL
    assert SECRET not in f"{about_user}"


@pytest.mark.parametrize(
    ("response", "may"),
    [
        (user(), True),
        *((user(s), False) for s in ("Suspended", "Deactivated", "Resigned", "Archived", "New")),
        *((refusal(404, code), False) for code in (None, 2004)),
        *((refusal(http, 2004, http=http), False) for http in (404, 499)),
        (json_response({"code": "2004"}), False),
        (refusal(403, 2005), False),
    ],
)
async def test_a_definite_answer_is_a_verdict(response: bytes, *, may: bool) -> None:
    async with management(response) as (client, _):
        assert await client.may_sign_in(USER_ID) is may


TROUBLE: dict[type[AuthingError], list[bytes | Answer]] = {
    AuthingMisconfigured: [
        refusal(404, http=404),  # a framework's answer to an unknown path
        http_response("<html>", status=404, content_type="text/html"),
        refusal(403),
        *(refusal(499, code) for code in (1001, 2224)),
    ],
    AuthingUnavailable: [
        *(refusal(500), refusal(499, 1000), http_response(status=429), Answer(then="reset"))
    ],
    AuthingBadAnswer: [
        http_response("<html>", content_type="text/html"),
        http_response(status=302, headers={"Location": "/"}),
        json_response({"statusCode": 200, "data": None}),
        json_response([]),
        *(user(status) for status in (None, 7)),
        user("Suspended", userId="another-user"),
    ],
    AuthingTimeout: [Answer(then="hang")],
}


@pytest.mark.parametrize(
    ("error", "response"), [(error, each) for error, some in TROUBLE.items() for each in some]
)
async def test_trouble_is_no_verdict(error: type[AuthingError], response: bytes | Answer) -> None:
    async with management(response) as (client, _):
        with pytest.raises(error):
            await client.may_sign_in(USER_ID)


@pytest.mark.parametrize(
    "life", [{"expires_in": 7200}, {"expires_in": None, "expire_in": 7200}, {"expires_in": "7200"}]
)
async def test_a_token_is_kept_until_shortly_before_it_expires(life: dict[str, Any]) -> None:
    seconds = Seconds()
    async with management(user(), token(**life), monotonic=seconds) as (client, seen):
        for seconds.now in (0, 7100, 7150, 7200):
            await client.may_sign_in(USER_ID)
    assert calls(seen) == [*("get-management-token", *["get-user"] * 2) * 2]


async def test_concurrent_questions_share_one_fetch_of_the_token() -> None:
    async with management(user()) as (client, seen):
        await asyncio.gather(*(client.may_sign_in(USER_ID) for _ in range(4)))
    assert calls(seen).count("get-management-token") == 1


@pytest.mark.parametrize(
    "gone", [refusal(401), refusal(401, 1010), http_response("{}", status=401)]
)
async def test_a_token_that_is_not_accepted_any_more_is_fetched_again_once(gone: bytes) -> None:
    fetched: list[str] = []

    def next_token(_request: Request) -> bytes:
        fetched.append(f"token-{len(fetched)}")
        return token(fetched[-1])

    def about_user(request: Request) -> bytes:
        return user() if request.headers["authorization"] == "Bearer token-1" else gone

    async with management(about_user, next_token) as (client, _):
        assert all(await asyncio.gather(*(client.may_sign_in(USER_ID) for _ in range(4))))
    assert fetched == ["token-0", "token-1"]
    async with management(gone) as (client, seen):
        with pytest.raises(AuthingMisconfigured):
            await client.may_sign_in(USER_ID)
    assert calls(seen) == ["get-management-token", "get-user"] * 2


@pytest.mark.parametrize("refused", [refusal(401, 1010), refusal(403), refusal(499, 2005)])
async def test_a_refused_secret_is_followed_by_the_other_one(refused: bytes) -> None:
    def for_secret(request: Request) -> bytes:
        return token() if request.json["accessKeySecret"] == NEXT else refused

    async with management(user(), for_secret, secrets=(SECRET, NEXT)) as (client, _):
        await client.check_secret()
    async with management(user(), refused) as (client, _):
        with pytest.raises(AuthingMisconfigured):
            await client.check_secret()


@pytest.mark.parametrize(
    "response",
    [
        *(token(text) for text in ("", "with\nline", "密钥")),
        *(token(expires_in=life) for life in ("soon", None)),
        token(access_token=None),
        json_response({"statusCode": 200, "data": []}),
    ],
)
async def test_a_token_of_another_form_is_not_used(response: bytes) -> None:
    async with management(user(), response) as (client, seen):
        with pytest.raises(AuthingBadAnswer):
            await client.may_sign_in(USER_ID)
    assert calls(seen) == ["get-management-token"]
