"""`Authorization`: how an access token is sent."""

import httpx
import pytest

from tests.support.running_app import SERVICE_KEY, RunningApp


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bearer    "])
async def test_a_scheme_is_read_in_any_case_and_with_several_spaces_behind_it(
    app: RunningApp, scheme: str
) -> None:
    """RFC 9110 sections 11.1 and 11.4: 1*SP."""
    token = (await app.log_in())["access_token"]
    users = "/internal/v1/users/a/sessions"
    for path, credential in (("/v1/me", token), (users, SERVICE_KEY)):
        headers = {"Authorization": f"{scheme} {credential}"}
        assert (await app.phone.get(path, headers=headers)).status_code == 200


MISSING = (b"", b"Bearer   ", b"Bearer", b"Bearer ", b"Basic dTpw", b"DPoP a", b"Bearer\ta", b"a.b")
INVALID = (b"Bearer  two", b"Bearer a b", b"Bearer a,b", b'Bearer "a"', b"Bearer \xff")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        *((value, "access_token_missing") for value in MISSING),
        *((value, "access_token_invalid") for value in INVALID),
    ],
)
async def test_another_scheme_is_no_credential_and_impossible_characters_are_invalid(
    phone: httpx.AsyncClient, value: bytes, code: str
) -> None:
    response = await phone.get("/v1/me", headers={b"Authorization": value})
    assert (response.status_code, response.json()["code"]) == (401, code)
