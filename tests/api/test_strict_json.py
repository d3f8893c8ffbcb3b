"""Bodies that JSON readers read differently are refused."""

import httpx
import pytest

from tests.api.routes import WITH_BODY
from tests.support.json_documents import REFUSED, YES
from tests.support.running_app import SERVICE
from tests.support.sampling import sampled


async def send(phone: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json", **SERVICE}
    return await phone.request(WITH_BODY[path], path, content=body, headers=headers)


# tests/jose/test_strict_json.py reads the whole lists. A body may begin with a byte order mark.
MALFORMED = {n: body for n, body in REFUSED.items() if n != "i-structure-byte-order-mark"}


@pytest.mark.parametrize("body", sampled(MALFORMED))
async def test_json_that_readers_read_differently_is_malformed(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    for path in WITH_BODY:
        response = await send(phone, path, body)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_request"), path


@pytest.mark.parametrize("body", sampled(YES))
async def test_json_that_is_no_request_is_invalid(phone: httpx.AsyncClient, body: bytes) -> None:
    for path in WITH_BODY:
        response = await send(phone, path, body)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), path


@pytest.mark.parametrize("body", [b"null", b"true", b"5", b'"ticket"', b"[]", b'[{"ticket": "a"}]'])
async def test_a_body_that_is_no_object_is_wrong_as_a_whole(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    response = await send(phone, "/v1/sessions", body)
    assert [error["pointer"] for error in response.json()["errors"]] == [""]


async def test_eight_levels_and_every_character_of_unicode_pass(phone: httpx.AsyncClient) -> None:
    body = b'{"refresh_token": "\\ud83d\\udc3c", "x": ' + b"[" * 7 + b"]" * 7 + b"}"
    response = await send(phone, "/v1/sessions/refresh", body)
    assert response.json()["code"] == "refresh_token_invalid"
