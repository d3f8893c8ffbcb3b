"""The token verified by Authing: where it is sent, and what each response means."""

from collections.abc import Mapping
from typing import Any

import pytest

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
from tests.authing.builders import (
    EPOCH,
    USER_ID,
    Canned,
    canned,
    legacy_claims,
    sign_token,
    verifier,
)

# Signed with a key that only Authing knows.
TOKEN = sign_token(key="a-key-that-no-document-names-0123456789")
OIDC: dict[str, Any] = {
    "sub": USER_ID,
    "iss": "https://made-up.authing.cn/oidc",
    "aud": "made-up-app-id",
}
OIDC |= {"iat": EPOCH - 5, "exp": EPOCH + 3600}
LEGACY_URL = "https://authing.example/authing/token?access_token"
OIDC_URL = "https://authing.example/api/v2/oidc/validate_token?id_token"


def legacy(token: object = None, **changes: Any) -> dict[str, Any]:
    return {"status": True, "code": 200, "message": "", "token": token or legacy_claims()} | changes


@pytest.mark.parametrize(
    ("url", "document", "claims"),
    [
        *((LEGACY_URL, legacy(code=code), legacy_claims()) for code in (200, "200")),
        (LEGACY_URL, legacy_claims(), legacy_claims()),
        (OIDC_URL, OIDC, OIDC),
        (OIDC_URL, OIDC | {"status": "Activated"}, OIDC | {"status": "Activated"}),
        (OIDC_URL, legacy(OIDC), OIDC),
    ],
)
async def test_the_claims_are_those_of_a_token_that_authing_calls_genuine(
    url: str, document: Mapping[str, Any], claims: Mapping[str, Any]
) -> None:
    transport = canned(document)
    assert await OnlineCheck(transport, url)(TOKEN) == claims
    assert transport.targets == [f"GET {url}={TOKEN}"]


@pytest.mark.parametrize(
    "document",
    [
        *(legacy(status=status) for status in (False, "true", 1, None)),
        *(legacy(code=code) for code in (None, 2207)),
        *({"status": True, "code": 200, "token": token} for token in (None, "text")),
        *({"status": False, "code": code, "token": None} for code in (2020, 2206)),
        {"code": 400, "message": "id_token 不合法"},
    ],
)
async def test_any_other_verdict_refuses_the_token(document: object) -> None:
    with pytest.raises(AuthingTokenInvalid):
        await OnlineCheck(canned(document), LEGACY_URL)(TOKEN)


@pytest.mark.parametrize(
    "claims",
    [
        legacy_claims(data={"id": USER_ID, "clientId": "other-pool"}),
        legacy_claims(iat=EPOCH - 700),
        OIDC,  # names no pool, and no audience is expected
        {"active": True},
    ],
)
async def test_a_genuine_token_must_still_be_ours_and_new(claims: object) -> None:
    check = OnlineCheck(canned(legacy(claims)), LEGACY_URL)
    with pytest.raises(AuthingTokenInvalid):
        await verifier(check).verify(TOKEN)


@pytest.mark.parametrize(
    ("transport", "error"),
    [
        (canned({"code": 1000}), AuthingUnavailable),
        (canned({"code": 500}, status=500), AuthingUnavailable),
        (Canned(ConnectionResetError()), AuthingUnavailable),
        (canned({}, status=404), AuthingMisconfigured),
        (canned({"code": 1001}), AuthingMisconfigured),
        (canned({"code": 2005}), AccountBlocked),
        (canned(b"", status=302, location="/elsewhere"), AuthingBadAnswer),
        (canned([OIDC]), AuthingBadAnswer),
        (canned({}), AuthingBadAnswer),
        (canned(b'{"status":true,"status":false,"code":200,"token":{}}'), AuthingBadAnswer),
    ],
)
async def test_trouble_of_the_check_is_no_verdict_about_the_token(
    transport: Canned, error: type[TicketgateError]
) -> None:
    with pytest.raises(error) as caught:
        await OnlineCheck(transport, LEGACY_URL)(TOKEN)
    assert type(caught.value) is error
    assert len(transport.targets) == 1  # no redirect is followed
    if isinstance(caught.value, AuthingError):
        assert TOKEN not in f"{caught.value!r} {caught.value.__cause__!r}"
