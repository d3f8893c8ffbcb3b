"""Any text in any place where a client may send one: no 5xx, and a log of one JSON object a line.

Models, parser and log take the whole list; the routes take a sample in `make test`.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.api.schemas import device_of
from app.errors import TicketgateError
from app.sessions.miniprogram import ticket_from_ext_msg
from app.telemetry.logs import LoggedEvents
from tests.support.logging_state import logging_as_in_production
from tests.support.running_app import SERVICE, RunningApp, bearer
from tests.support.sampling import sampled

CLASSES: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("naughty_strings.json").read_text("utf-8")
) | {
    "controls": [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))],
    "long": ["a" * 255, "a" * 256, "a" * 1024, "\u5c0f" * 600, "\U0001f600" * 400, "," * 600],
}
NAUGHTY = {
    f"{name}-{number}": text
    for name, texts in CLASSES.items()
    for number, text in enumerate(texts, start=1)
}
through_routes = pytest.mark.parametrize("text", sampled(NAUGHTY))
JSON = {"Content-Type": "application/json"}
DEVICE = ("id", "type", "name", "app_version")
BODIES: dict[str, Callable[[str], tuple[str, str, dict[str, Any]]]] = {
    "ticket": lambda text: ("POST", "/v1/sessions", {"ticket": text}),
    "ext_msg": lambda text: ("POST", "/v1/sessions", {"ext_msg": text}),
    "ticket in ext_msg": lambda text: ("POST", "/v1/sessions", {"ext_msg": f"ticket={text}"}),
    "unknown field": lambda text: ("POST", "/v1/sessions", {text: text}),
    "device": lambda text: (
        *("POST", "/v1/sessions"),
        {"ticket": "?", "device": dict.fromkeys(DEVICE, text)},
    ),
    "refresh_token": lambda text: ("POST", "/v1/sessions/refresh", {"refresh_token": text}),
    "until": lambda text: ("PUT", "/internal/v1/users/a/ban", {"reason": "spam", "until": text}),
    "reason": lambda text: ("PUT", "/internal/v1/users/a/ban", {"reason": text}),
}
EVENTS = {"request", "exchange", "session_opened", "session_ended", "user_banned"}
HEADERS = (
    *("Authorization", "Idempotency-Key", "X-Request-Id", "Accept-Language"),
    *("Content-Type", "User-Agent", "Content-Encoding", "X-Forwarded-For"),
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log, which must hold one JSON object a line."""
    with logging_as_in_production() as output:
        yield output
    lines = output.getvalue().split("\n")
    assert lines.pop() == ""
    assert lines
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] in EVENTS


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_what_is_left_of_every_text_of_a_device_is_one_short_line() -> None:
    for text in NAUGHTY.values():
        device = device_of(dict.fromkeys(DEVICE, text))
        for kept in map(str, device.values()):
            assert len(kept) <= 128
            assert kept == "".join(kept.split("\n")).strip()


@pytest.mark.parametrize("form", ["{}", "ticket={}", "code=200&ticket={}"])
def test_the_ext_msg_parser_gives_a_ticket_or_a_known_error_for_every_text(form: str) -> None:
    for text in NAUGHTY.values():
        with suppress(TicketgateError):
            assert ticket_from_ext_msg(form.replace("{}", text)).isascii(), text


def test_every_text_in_a_log_field_stays_in_one_line(log: io.StringIO) -> None:
    for text in NAUGHTY.values():
        LoggedEvents().record("request", reason=text)

    lines = log.getvalue().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == list(NAUGHTY.values())


@through_routes
@pytest.mark.usefixtures("log")
async def test_a_text_in_a_body_is_refused(shared_app: RunningApp, text: str) -> None:
    for field, put in BODIES.items():
        method, path, body = put(text)
        # Written with escapes, which can say half a character.
        content = json.dumps(body)
        response = await shared_app.phone.request(
            method, path, content=content, headers=JSON | SERVICE
        )
        allowed = {400, 413, 422} | ({200} if field == "reason" else set())
        assert response.status_code in allowed, field


@through_routes
@pytest.mark.usefixtures("log")
async def test_a_text_in_a_header_is_refused(shared_app: RunningApp, text: str) -> None:
    for field in HEADERS:
        headers = {b"Content-Type": b"application/json", field.encode(): as_bytes(text)}
        response = await shared_app.phone.post(
            "/v1/sessions/refresh", content=b"{}", headers=headers
        )
        assert response.status_code in {415, 422}, field
        response = await shared_app.phone.get("/v1/me", headers=headers)
        assert response.status_code == 401, field
        assert response.json()["client_action"] in {"none", "refresh"}, field


@through_routes
@pytest.mark.usefixtures("log")
async def test_a_text_in_an_address_causes_no_5xx(shared_app: RunningApp, text: str) -> None:
    name = quote(as_bytes(text), safe="")
    for method, path in (
        *(("GET", f"/{name}"), ("GET", f"/v1/{name}"), ("GET", f"/v1/launch?{name}={name}")),
        *(("GET", f"/v1/launch?{field}={name}") for field in ("platform", "get_phone")),
        *(("DELETE", f"/v1/sessions?scope={name}"), ("DELETE", f"/v1/sessions/{name}")),
        ("GET", f"/internal/v1/users/{name}/sessions"),
        ("DELETE", f"/internal/v1/users/{name}/ban"),
    ):
        address = httpx.Request(method, f"http://api.test{path}", headers=SERVICE)
        response = await shared_app.phone.send(address)
        assert response.status_code < 500, path
        assert "set-cookie" not in response.headers


@through_routes
@pytest.mark.usefixtures("log")
async def test_a_device_name_never_decides_about_a_login(shared_app: RunningApp, text: str) -> None:
    body = json.dumps({"ticket": shared_app.ticket(), "device": {"name": text}})
    response = await shared_app.phone.post("/v1/sessions", content=body, headers=JSON)
    assert response.status_code == 201
    current = await shared_app.phone.get("/v1/sessions/current", headers=bearer(response.json()))
    # Half a character becomes a question mark.
    kept = device_of({"name": text.encode("utf-8", "replace").decode()})
    assert current.json().get("device", {}) == kept
