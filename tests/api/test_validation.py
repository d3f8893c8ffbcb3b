"""A 422 says where and what is expected, and never what was sent."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.world import SERVICE, World, phone_of

CANARY = "canary-5d41402a"
LONG = CANARY * 600
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/sessions", {CANARY: CANARY}),
    ("/v1/sessions", {"ticket": f"{CANARY} with spaces"}),
    ("/v1/sessions", {"ticket": [CANARY]}),
    ("/v1/sessions", {"ticket": {CANARY: CANARY}}),
    ("/v1/sessions", {"ticket": CANARY, "ext_msg": CANARY}),
    ("/v1/sessions", {"ext_msg": [CANARY]}),
    ("/v1/sessions", {"ticket": CANARY, "device": CANARY}),
    ("/v1/sessions", {"ticket": CANARY, "device": [{CANARY: CANARY}]}),
    ("/v1/sessions", {"ticket": CANARY, "device": {"id": f"{CANARY} "}}),
    ("/v1/sessions", {"ticket": CANARY, "device": {"type": f"<{CANARY}>"}}),
    ("/v1/sessions", {"ticket": CANARY, "device": {"name": f"{CANARY}\n"}}),
    ("/v1/sessions", {"ticket": CANARY, "device": {"app_version": {CANARY: 1}}}),
    ("/v1/sessions/refresh", {CANARY: CANARY}),
    ("/v1/sessions/refresh", {"refresh_token": [CANARY]}),
    ("/v1/sessions/refresh", {"refresh_token": LONG[:300]}),
]
# Found in lists such as the Big List of Naughty Strings.
NAUGHTY = [
    "\x00",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202egnp.exe",
    "\ufeff",
    "\ufffe",
    "\u200b",
    "e\u0301" * 20,
    "Z\u0351\u036b\u0343\u036a",
    "👩‍👩‍👧‍👦",
    "\U0001d518\U0001d52b\U0001d526",
    "ﷺ",
    "\U0010ffff",
    "a\r\nSet-Cookie: b=c",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "%s%n%x",
    "../../etc/passwd",
    "%00",
    "%ff%fe",
    "null",
    "-1",
    "1e309",
]
FIELD_BODIES: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "ticket": lambda text: ("/v1/sessions", {"ticket": text}),
    "ext_msg": lambda text: ("/v1/sessions", {"ext_msg": f"ticket={text}"}),
    "device": lambda text: (
        "/v1/sessions",
        {"ticket": "?", "device": dict.fromkeys(("id", "type", "name", "app_version"), text)},
    ),
    "key": lambda text: ("/v1/sessions", {text: text}),
    "refresh_token": lambda text: ("/v1/sessions/refresh", {"refresh_token": text}),
}
HEADERS = (
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Content-Encoding",
    "User-Agent",
    "X-Request-Id",
)


@pytest.mark.parametrize(("path", "body"), REFUSED)
async def test_a_refused_body_is_not_echoed(
    phone: httpx.AsyncClient,
    path: str,
    body: dict[str, Any],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    answer = await phone.post(path, json=body)
    assert answer.status_code == 422
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert CANARY not in str(log_lines())


@pytest.mark.parametrize("name", ["platform", "get_phone"])
async def test_a_refused_query_is_not_echoed(phone: httpx.AsyncClient, name: str) -> None:
    answer = await phone.get("/v1/launch", params={name: CANARY})
    assert answer.status_code == 422
    assert CANARY not in answer.text


async def test_a_field_is_told_with_a_pointer_and_a_sentence_alone(
    phone: httpx.AsyncClient,
) -> None:
    answer = await phone.post("/v1/sessions", json={"ticket": "a", "device": {"id": "a b"}})
    (error,) = answer.json()["errors"]
    assert error.keys() == {"pointer", "message"}
    assert error["pointer"] == "/device/id"
    assert error["message"]


async def test_that_one_of_two_is_expected_is_told_in_plain_words(
    phone: httpx.AsyncClient,
) -> None:
    answer = await phone.post("/v1/sessions", json={})
    (error,) = answer.json()["errors"]
    assert error["message"] == "exactly one of ticket and ext_msg is expected"


async def test_a_name_with_the_signs_of_a_pointer_is_escaped(world: World) -> None:
    async def add(numbers: dict[str, int]) -> int:
        return sum(numbers.values())

    route = APIRoute("/numbers", add, methods=["POST"])
    async with phone_of(world.serve(extra_routes=[route])) as phone:
        answer = await phone.post("/numbers", json={"a/b~c": "many"})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/a~1b~0c"]


@pytest.mark.parametrize("field", FIELD_BODIES)
async def test_no_text_in_a_field_is_a_bug(world: World, field: str) -> None:
    for text in NAUGHTY:
        path, body = FIELD_BODIES[field](text)
        answer = await world.phone.post(path, json=body)
        assert answer.status_code in (400, 422), text


@pytest.mark.parametrize("field", HEADERS)
async def test_no_text_in_a_header_is_a_bug(
    phone: httpx.AsyncClient, field: str, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    for text in NAUGHTY:
        headers = {b"Content-Type": b"application/json", field.encode(): text.encode()}
        answer = await phone.post("/v1/sessions/refresh", content=b"{}", headers=headers)
        assert answer.status_code in (415, 422), text
        assert answer.headers["X-Request-Id"].isalnum()
    assert {line["event"] for line in log_lines()} == {"request"}


@pytest.mark.parametrize("key", [f"{CANARY} {CANARY}", CANARY[:15], LONG])
async def test_a_refused_key_is_not_echoed(
    phone: httpx.AsyncClient, key: str, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    body, headers = {"ticket": "made-up"}, {"Idempotency-Key": key}
    answer = await phone.post("/v1/sessions", json=body, headers=headers)
    assert answer.status_code == 422
    assert CANARY[:15] not in answer.text + str(answer.headers) + str(log_lines())


@pytest.mark.parametrize(
    "body",
    [
        {CANARY: CANARY},
        {"reason": f"{CANARY} "},
        {"reason": [CANARY]},
        {"reason": "spam", "until": CANARY},
        {"reason": "spam", "until": {CANARY: CANARY}},
    ],
)
async def test_a_refused_ban_is_not_echoed(
    phone: httpx.AsyncClient,
    body: dict[str, Any],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    path = f"/internal/v1/users/{CANARY}/ban"
    answer = await phone.put(path, json=body, headers=SERVICE)
    assert answer.status_code == 422
    assert CANARY not in answer.text + str(answer.headers) + str(log_lines())


async def test_no_text_in_a_ban_or_a_key_is_a_bug(world: World) -> None:
    path = "/internal/v1/users/somebody/ban"
    for text in NAUGHTY:
        for body in ({"reason": text}, {"reason": "spam", "until": text}):
            answer = await world.phone.put(path, json=body, headers=SERVICE)
            assert answer.status_code in (200, 422), text
        headers = {b"Content-Type": b"application/json", b"Idempotency-Key": text.encode()}
        answer = await world.phone.post("/v1/sessions", content=b"{}", headers=headers)
        assert answer.status_code == 422, text


async def test_no_text_in_a_path_is_a_bug(world: World) -> None:
    tokens = await world.log_in()
    for text in NAUGHTY:
        name = quote(text, safe="")
        answer = await world.delete(f"/v1/sessions/{name}", tokens)
        assert answer.status_code == 404, text
        answer = await world.backend("GET", name, "sessions")
        assert answer.status_code in (200, 404), text
