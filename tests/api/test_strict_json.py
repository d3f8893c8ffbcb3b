"""Bodies that two readers could read in two ways are not read at all."""

import httpx
import pytest

from tests.api.routes import WITH_BODY

HOSTILE = {
    "empty": b"",
    "blank": b" ",
    "cut off": b'{"ticket": "a"',
    "trailing comma": b'{"ticket": "a",}',
    "trailing text": b'{"ticket": "a"} {}',
    "single quotes": b"{'ticket': 'a'}",
    "comment": b'{"ticket": "a" /* */}',
    "raw newline": b'{"ticket": "a\nb"}',
    "NaN": b'{"x": NaN}',
    "Infinity": b'{"x": Infinity}',
    "minus Infinity": b'{"x": -Infinity}',
    "too large a number": b'{"x": 1e999}',
    "too long a number": b'{"x": ' + b"9" * 5000 + b"}",
    "more than a double holds": b'{"x": 9007199254740993}',
    "duplicate key": b'{"ticket": "a", "ticket": "b"}',
    "duplicate key in a member": b'{"device": {"id": "a", "id": "b"}}',
    "byte order mark": b'\xef\xbb\xbf{"ticket": "a"}',
    "UTF-16": '{"ticket": "a"}'.encode("utf-16"),
    "UTF-16 without mark": '{"ticket": "a"}'.encode("utf-16-le"),
    "UTF-32": '{"ticket": "a"}'.encode("utf-32"),
    "Latin-1": '{"ticket": "é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"ticket": "\xc0\xaf"}',
    "lone surrogate": b'{"ticket": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "nine levels": b'{"x": ' + b"[" * 8 + b"]" * 8 + b"}",
    "a thousand levels": b"[" * 1000 + b"]" * 1000,
}


async def send(phone: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return await phone.request(WITH_BODY[path], path, content=body, headers=headers)


@pytest.mark.parametrize("path", WITH_BODY)
async def test_what_breaks_the_rules_of_json_is_malformed(
    phone: httpx.AsyncClient, path: str
) -> None:
    answers = {name: await send(phone, path, body) for name, body in HOSTILE.items()}
    codes = {name: (a.status_code, a.json()["code"]) for name, a in answers.items()}
    assert codes == dict.fromkeys(HOSTILE, (400, "malformed_request"))


@pytest.mark.parametrize("body", [b"null", b"true", b"5", b'"ticket"', b"[]", b'[{"ticket": "a"}]'])
async def test_what_is_json_but_no_object_is_invalid(phone: httpx.AsyncClient, body: bytes) -> None:
    answer = await send(phone, "/v1/sessions", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [""]


async def test_eight_levels_and_every_character_of_unicode_pass(phone: httpx.AsyncClient) -> None:
    body = b'{"refresh_token": "\\ud83d\\udc3c", "x": ' + b"[" * 7 + b"]" * 7 + b"}"
    answer = await send(phone, "/v1/sessions/refresh", body)
    assert answer.json()["code"] == "refresh_token_invalid"
