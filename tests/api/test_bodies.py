"""Request bodies: their media type, their size and their JSON."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.routes import ROUTES, WITH_BODY
from tests.support import json_documents
from tests.support.running_app import SERVICE
from tests.support.sampling import sampled

BODY = b'{"refresh_token": "made-up"}'
PATH = "/v1/sessions/refresh"


JSON = ("Content-Type", "application/json")
READ, REFUSED = (400, "refresh_token_invalid"), (415, "unsupported_media_type")
TWICE = "application/json, application/json"


async def send(
    phone: httpx.AsyncClient, body: bytes, *headers: tuple[str, str | bytes]
) -> tuple[int, str]:
    fields = [(n.encode(), v.encode() if isinstance(v, str) else v) for n, v in headers]
    response = await phone.post(PATH, content=body, headers=fields)
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize(
    "labels",
    [
        *(["application/json"], ["Application/JSON"], ["application/json; charset=utf-8"]),
        *(["application/json;charset=UTF-8"], ['application/json; charset="utf-8"']),
        *(["application/json;"], ["application/json ; ;"], ["application/json; charset=utf8"]),
        *(["application/json; encoding=utf-8"], ["application/json; charset=US-ASCII"]),
        *(["application/json; charset = 'UTF-8'"], ['application/json; profile="a;charset=x, b"']),
        *(["application/json; charset="], ["application/json, application/json; charset=utf-8"]),
        ["application/json", "Application/JSON;charset=utf-8", "", TWICE],
    ],
)
async def test_json_in_utf8_is_read(phone: httpx.AsyncClient, labels: list[str]) -> None:
    assert await send(phone, BODY, *(("Content-Type", label) for label in labels)) == READ


@pytest.mark.parametrize(
    "labels",
    [
        *([], [""], ["json"], ["text/plain"], ["text/json"], ["application/xml"]),
        *(["application/problem+json"], ["application/vnd.api+json"], ['"application"/json']),
        *(["application/x-www-form-urlencoded"], ["multipart/form-data; boundary=x"]),
        *(["application/json, text/plain"], ["application/json; charset=utf-8; charset=utf-16"]),
        *(
            ["application/json; charset=gbk"],
            ["application/json; charset=utf-16, application/json"],
        ),
        *(["application/json; charset=utf-16"], ["application/json; charset=latin-1"]),
        *(["application/json; charset*=utf-16''utf-16"], ['"application/json"'], [b"\xff\xfe"]),
        *(["application/json; charset*" + "1" * 5000 + "=utf-8"], ["application/json/x"]),
        *([b"application/json; charset=\xff"], ["application/json", "text/plain"]),
        ["application/json", "application/json; charset=utf-16"],
    ],
)
async def test_another_label_or_none_is_refused(
    phone: httpx.AsyncClient, labels: list[str | bytes]
) -> None:
    assert await send(phone, BODY, *(("Content-Type", label) for label in labels)) == REFUSED


@pytest.mark.parametrize(
    ("coding", "outcome"),
    [
        *((coding, READ) for coding in ("", "identity", "Identity, identity", " , ")),
        *((coding, REFUSED) for coding in ("gzip", "br", "deflate", "gzip, identity", "made-up")),
    ],
)
async def test_a_compressed_body_is_refused(
    phone: httpx.AsyncClient, coding: str, outcome: tuple[int, str]
) -> None:
    assert await send(phone, BODY, JSON, ("Content-Encoding", coding)) == outcome


async def test_a_byte_order_mark_is_skipped_once(phone: httpx.AsyncClient) -> None:
    mark = b"\xef\xbb\xbf"
    assert await send(phone, mark + BODY, JSON) == READ
    assert await send(phone, mark * 2 + BODY, JSON) == (400, "malformed_request")


@pytest.mark.parametrize(("size", "status"), [(8192, 400), (8193, 413)])
async def test_a_body_of_eight_kibibytes_passes_and_not_one_byte_more(
    phone: httpx.AsyncClient, size: int, status: int
) -> None:
    body = BODY.ljust(size)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield body[start : start + 1000]

    for content in (body, in_pieces()):
        response = await phone.post(PATH, content=content, headers=dict([JSON]))
        assert response.status_code == status


@pytest.mark.parametrize("path", ROUTES)
async def test_a_body_that_is_too_large_is_refused_in_our_shape_wherever_it_is_sent(
    phone: httpx.AsyncClient, path: str
) -> None:
    headers = {"Content-Length": "8193", "Content-Type": "application/json"}
    for method in ROUTES[path] - {"HEAD"}:
        response = await phone.request(method, path, headers=headers)
        if response.status_code == 413:
            assert response.headers["Content-Type"].startswith("application/problem+json;")
            assert response.headers["Connection"] == "close"
            assert response.json()["code"] == "body_too_large"
        else:
            assert path not in WITH_BODY


# --- JSON that readers read differently ---


async def sent(phone: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json", **SERVICE}
    return await phone.request(WITH_BODY[path], path, content=body, headers=headers)


# tests/jose/test_strict_json.py reads the whole lists. A body may begin with a byte order mark.
MALFORMED = {**json_documents.REFUSED}
del MALFORMED["i-structure-byte-order-mark"]


@pytest.mark.parametrize("body", sampled(MALFORMED))
async def test_json_that_readers_read_differently_is_malformed(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    for path in WITH_BODY:
        response = await sent(phone, path, body)
        assert (response.status_code, response.json()["code"]) == (400, "malformed_request"), path


@pytest.mark.parametrize("body", sampled(json_documents.YES))
async def test_json_that_is_no_request_is_invalid(phone: httpx.AsyncClient, body: bytes) -> None:
    for path in WITH_BODY:
        response = await sent(phone, path, body)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request"), path


@pytest.mark.parametrize("body", [b"null", b"true", b"5", b'"ticket"', b"[]", b'[{"ticket": "a"}]'])
async def test_a_body_that_is_no_object_is_wrong_as_a_whole(
    phone: httpx.AsyncClient, body: bytes
) -> None:
    response = await sent(phone, "/v1/sessions", body)
    assert [error["pointer"] for error in response.json()["errors"]] == [""]


async def test_eight_levels_and_every_character_of_unicode_pass(phone: httpx.AsyncClient) -> None:
    body = b'{"refresh_token": "\\ud83d\\udc3c", "x": ' + b"[" * 7 + b"]" * 7 + b"}"
    response = await sent(phone, "/v1/sessions/refresh", body)
    assert response.json()["code"] == "refresh_token_invalid"
