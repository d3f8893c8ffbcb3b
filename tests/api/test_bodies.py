"""Request bodies: their media type and their size."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.routes import ROUTES, WITH_BODY

BODY = b'{"refresh_token": "made-up"}'
PATH = "/v1/sessions/refresh"


async def send(phone: httpx.AsyncClient, body: bytes, **labels: str | bytes) -> tuple[int, str]:
    headers = [
        (name.replace("_", "-").encode(), label.encode() if isinstance(label, str) else label)
        for name, label in labels.items()
    ]
    response = await phone.post(PATH, content=body, headers=headers)
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize(
    "label",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        *("application/json;", "application/json ; ;", "application/json; charset=utf8"),
        *("application/json; encoding=utf-8", "application/json; charset=US-ASCII"),
        *("application/json; charset = 'UTF-8'", 'application/json; profile="a;charset=x, b"'),
        *("application/json; charset=", "application/json, application/json; charset=utf-8"),
    ],
)
async def test_json_in_utf8_is_read(phone: httpx.AsyncClient, label: str) -> None:
    assert await send(phone, BODY, content_type=label) == (400, "refresh_token_invalid")


@pytest.mark.parametrize(
    "label",
    [
        "",
        "json",
        "text/plain",
        "text/json",
        "application/problem+json",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json/x",
        *("application/json, text/plain", "application/json; charset=utf-8; charset=utf-16"),
        *("application/json; charset=gbk", "application/json; charset=utf-16, application/json"),
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset*=utf-16''utf-16",
        "application/json; charset*" + "1" * 5000 + "=utf-8",
        '"application/json"',
        '"application"/json',
        b"application/json; charset=\xff",
        b"\xff\xfe",
    ],
)
async def test_another_label_is_refused(phone: httpx.AsyncClient, label: str | bytes) -> None:
    assert await send(phone, BODY, content_type=label) == (415, "unsupported_media_type")


async def test_a_body_without_a_label_is_refused(phone: httpx.AsyncClient) -> None:
    assert await send(phone, BODY) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("second", "status"),
    [
        *(("application/json", 400), ("Application/JSON;charset=utf-8", 400), ("", 400)),
        ("application/json, application/json", 400),
        *(("text/plain", 415), ("application/json; charset=utf-16", 415)),
    ],
)
async def test_equal_content_types_are_one_and_different_ones_are_refused(
    phone: httpx.AsyncClient, second: str, status: int
) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", second)]
    response = await phone.post(PATH, content=BODY, headers=headers)
    assert response.status_code == status


async def test_a_byte_order_mark_is_skipped_once(phone: httpx.AsyncClient) -> None:
    mark = b"\xef\xbb\xbf"
    label = "application/json"
    assert await send(phone, mark + BODY, content_type=label) == (400, "refresh_token_invalid")
    assert await send(phone, mark * 2 + BODY, content_type=label) == (400, "malformed_request")


@pytest.mark.parametrize("encoding", ["", "identity", "Identity, identity", " , "])
async def test_a_body_without_a_content_coding_is_read(
    phone: httpx.AsyncClient, encoding: str
) -> None:
    labels = {"content_type": "application/json", "content_encoding": encoding}
    assert await send(phone, BODY, **labels) == (400, "refresh_token_invalid")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity", "made-up"])
async def test_a_compressed_body_is_refused(phone: httpx.AsyncClient, encoding: str) -> None:
    labels = {"content_type": "application/json", "content_encoding": encoding}
    assert await send(phone, BODY, **labels) == (415, "unsupported_media_type")


@pytest.mark.parametrize(("size", "status"), [(8192, 400), (8193, 413)])
async def test_a_body_of_eight_kibibytes_passes_and_not_one_byte_more(
    phone: httpx.AsyncClient, size: int, status: int
) -> None:
    body = BODY.ljust(size)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield body[start : start + 1000]

    labels = {"Content-Type": "application/json"}
    for content in (body, in_pieces()):
        response = await phone.post(PATH, content=content, headers=labels)
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
