"""Bodies that two readers could read in two ways are not read at all."""

import httpx
import pytest

from tests.api.routes import WITH_BODY
from tests.support.json_documents import REFUSED, YES
from tests.support.running_app import SERVICE


async def send(phone: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json", **SERVICE}
    return await phone.request(WITH_BODY[path], path, content=body, headers=headers)


@pytest.mark.parametrize(
    "body", [pytest.param(data, id=f"T7.2-{name}") for name, data in REFUSED.items()]
)
async def test_what_not_every_reader_reads_the_same_is_malformed(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    for path in WITH_BODY:
        answer = await send(phone, path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request"), path


@pytest.mark.parametrize(
    "body", [pytest.param(data, id=f"T7.2-{name}") for name, data in YES.items()]
)
async def test_what_is_json_but_no_request_is_invalid(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    for path in WITH_BODY:
        answer = await send(phone, path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), path


@pytest.mark.parametrize("body", [b"null", b"true", b"5", b'"ticket"', b"[]", b'[{"ticket": "a"}]'])
async def test_what_is_no_object_is_wrong_as_a_whole(phone: httpx.AsyncClient, body: bytes) -> None:
    answer = await send(phone, "/v1/sessions", body)
    assert [error["pointer"] for error in answer.json()["errors"]] == [""]


async def test_eight_levels_and_every_character_of_unicode_pass(phone: httpx.AsyncClient) -> None:
    body = b'{"refresh_token": "\\ud83d\\udc3c", "x": ' + b"[" * 7 + b"]" * 7 + b"}"
    answer = await send(phone, "/v1/sessions/refresh", body)
    assert answer.json()["code"] == "refresh_token_invalid"
