"""The token verified by Authing: where it is sent, and what each response means."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.authing.transport import AuthingTransport
from app.authing.verifier import OnlineCheck
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingError,
    AuthingMisconfigured,
    AuthingTokenInvalid,
    AuthingUnavailable,
    TicketgateError,
)
from app.sessions.models import Identity
from tests.authing.builders import (
    EPOCH,
    POOL,
    SMALL_CA_FILE,
    TICKET,
    USER_ID,
    Answer,
    Peer,
    Request,
    authing_over,
    http_response,
    json_response,
    legacy_claims,
    make_user,
    peer,
    sign_token,
    verifier,
)

ISSUER, AUDIENCE = "https://made-up.authing.cn/oidc", "made-up-app-id"
# Signed with a key that only Authing knows.
TOKEN = sign_token(key="a-key-that-no-document-names-0123456789")
OIDC = {"sub": USER_ID, "iss": ISSUER, "aud": AUDIENCE, "iat": EPOCH - 5, "exp": EPOCH + 3600}
LEGACY_PATH, OIDC_PATH = "/authing/token?access_token", "/api/v2/oidc/validate_token?id_token"


def legacy(token: object = None, **changes: Any) -> dict[str, Any]:
    return {"status": True, "code": 200, "message": "", "token": token or legacy_claims()} | changes


async def exchanged(
    response: bytes | Answer, path: str = LEGACY_PATH, *, received: list[Peer] | None = None
) -> Identity:
    """Exchange a ticket at a peer that also answers for tokens with this response."""

    def says(request: Request) -> bytes | Answer:
        return json_response(make_user(token=TOKEN)) if request.method == "POST" else response

    async with peer(says) as seen:
        if received is not None:
            received.append(seen)
        expected: dict[str, Any] = (
            {"issuer": ISSUER, "audience": AUDIENCE} if path == OIDC_PATH else {}
        )
        transport = AuthingTransport(SMALL_CA_FILE)
        check = verifier(OnlineCheck(transport, seen.url + path), **expected)
        async with authing_over(transport, seen.url, verifier=check) as client:
            return await client.exchange(TICKET)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (LEGACY_PATH, legacy()),
        (LEGACY_PATH, legacy(code="200")),
        (LEGACY_PATH, legacy_claims()),
        (OIDC_PATH, OIDC),
        (OIDC_PATH, OIDC | {"status": "Activated"}),
        (OIDC_PATH, legacy(OIDC)),
    ],
)
async def test_a_token_that_authing_calls_genuine_signs_its_user_in(
    path: str, document: Mapping[str, Any]
) -> None:
    received: list[Peer] = []
    identity = await exchanged(json_response(document), path, received=received)
    assert identity.subject == USER_ID
    _exchange, check = received[0].requests
    assert (check.method, check.target, check.body) == ("GET", f"{path}={TOKEN}", b"")
    assert TOKEN not in str(check.headers)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (LEGACY_PATH, legacy(status=False)),
        (LEGACY_PATH, legacy(status="true")),
        (LEGACY_PATH, legacy(status=1)),
        (LEGACY_PATH, legacy(status=None)),
        (LEGACY_PATH, legacy(code=None)),
        (LEGACY_PATH, {"status": True, "code": 200, "token": None}),
        (LEGACY_PATH, {"status": True, "code": 200, "token": "text"}),
        *((LEGACY_PATH, {"status": False, "code": code, "token": None}) for code in (2020, 2206)),
        (LEGACY_PATH, legacy(code=2207)),
        (OIDC_PATH, {"code": 400, "message": "id_token 不合法"}),
        # What Authing calls genuine must still be ours, of this user, and new.
        (LEGACY_PATH, legacy(legacy_claims(data={"id": USER_ID, "clientId": "other-pool"}))),
        (LEGACY_PATH, legacy(legacy_claims(data={"id": "other-user", "clientId": POOL}))),
        (LEGACY_PATH, legacy(legacy_claims(iat=EPOCH - 700))),
        (LEGACY_PATH, legacy(legacy_claims(iat=EPOCH + 60))),
        (LEGACY_PATH, legacy(legacy_claims(exp=EPOCH - 60))),
        (LEGACY_PATH, legacy(legacy_claims(iat=str(EPOCH)))),
        (LEGACY_PATH, legacy({"data": {"id": USER_ID, "clientId": POOL}})),
        (LEGACY_PATH, OIDC),  # names no pool, and no audience is expected
        (OIDC_PATH, OIDC | {"aud": "another-app"}),
        (OIDC_PATH, OIDC | {"iss": "https://other.example"}),
        (OIDC_PATH, OIDC | {"sub": "other-user"}),
        (OIDC_PATH, {"active": True}),
    ],
)
async def test_any_other_verdict_refuses_the_token(path: str, document: object) -> None:
    with pytest.raises(AuthingTokenInvalid):
        await exchanged(json_response(document), path)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (json_response({"code": 1000}), AuthingUnavailable),
        (json_response({"code": 500}, status=500), AuthingUnavailable),
        (http_response(status=429), AuthingUnavailable),
        (Answer(then="reset"), AuthingUnavailable),
        (http_response("{}", status=404), AuthingMisconfigured),
        (json_response({"code": 1001}), AuthingMisconfigured),
        (json_response({"code": 2005}), AccountBlocked),
        (http_response(status=302, headers={"Location": "/elsewhere"}), AuthingBadAnswer),
        (http_response("<html>", content_type="text/html"), AuthingBadAnswer),
        (json_response([OIDC]), AuthingBadAnswer),
        (json_response({}), AuthingBadAnswer),
        (http_response('{"status":true,"status":false,"code":200,"token":{}}'), AuthingBadAnswer),
    ],
)
async def test_trouble_of_the_check_is_no_verdict_about_the_token(
    response: bytes | Answer, error: type[TicketgateError]
) -> None:
    received: list[Peer] = []
    with pytest.raises(error) as caught:
        await exchanged(response, received=received)
    assert not isinstance(caught.value, AuthingTokenInvalid)
    targets = {(request.method, request.target) for request in received[0].requests}
    assert len(targets) == 2  # no redirect is followed
    assert [request.method for request in received[0].requests].count("POST") == 1
    if isinstance(caught.value, AuthingError):
        assert TOKEN not in f"{caught.value!r} {caught.value.__cause__!r}"
