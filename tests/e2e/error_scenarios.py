"""Requests that fail, with secrets in every place where a client may put them."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from app.sandbox.state import FAULTS
from tests.e2e.conftest import Authing, Service

PERSONA = "c4nary-nickname"
IDEMPOTENCY_KEY = "c4nary-key-16180339887498948482"
LOGIN = "/v1/sessions"


def with_a_working_store(
    service: Service, authing: Authing, canaries: dict[str, str]
) -> Iterator[httpx.Response]:
    """All responses, also the two successful ones. Tickets are added to `canaries`."""
    for kind in FAULTS:
        authing.fail(kind, times=1, seconds=1.5)
        canaries[f"ticket for {kind}"] = ticket = authing.ticket(PERSONA)
        yield service.phone.post(LOGIN, json={"ticket": ticket})
    for ticket in (*map(authing.ticket, ("blocked", "deleted")), canaries["ticket for none"]):
        yield service.phone.post(LOGIN, json={"ticket": ticket})
    canaries["unused ticket"] = authing.ticket(PERSONA)
    for method, path, options in _bad_requests(canaries):
        yield service.phone.request(method, path, **options)


def _bad_requests(canaries: dict[str, str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    ticket, phone, nickname = (canaries[n] for n in ("unused ticket", "phone", "nickname"))
    access, refresh, service_key = (
        canaries[name] for name in ("access_token", "refresh_token", "service key")
    )
    for body in (
        {"ticket": [ticket]},
        {"ticket": ticket, "ext_msg": ticket},
        {"ticket": f"<{ticket}>"},
        {"ticket": ticket, "device": {"name": phone * 10}},
        {"ticket": ticket, "device": {phone: phone, "id": f"{phone} {phone}"}},
        {"ext_msg": f"code=400&message={nickname}&ticket={ticket}"},
        {ticket: ticket},
    ):
        yield "POST", LOGIN, {"json": body}
    for text in (f'{{"ticket": "{ticket}"', f'{{"ticket": "{ticket * 20}"}}'):
        yield "POST", LOGIN, {"content": text, "headers": {"Content-Type": "application/json"}}
    wrong_type = {"Content-Type": f"text/{phone}"}
    yield "POST", LOGIN, {"content": json.dumps({"ticket": ticket}), "headers": wrong_type}
    for key in (IDEMPOTENCY_KEY, f"{IDEMPOTENCY_KEY} x", ticket * 9):
        yield "POST", LOGIN, {"json": {"ticket": ticket}, "headers": {"Idempotency-Key": key}}
    for token in (refresh, refresh + "x", access, canaries["pool-secret"]):
        yield "POST", f"{LOGIN}/refresh", {"json": {"refresh_token": token}}

    for path in (
        f"/v1/me?access_token={access}",
        f"{LOGIN}?ticket={ticket}",
        f"/v1/users/{phone}",
        f"/v1/launch?platform={phone}",
        f"/v1/me?{phone * 300}",
        f"/{quote(nickname)}/{access}",
    ):
        yield "GET", path, {}
    for headers in (
        *({"Authorization": f"Bearer {t}"} for t in (access, refresh, canaries["authing-token"])),
        *({"Authorization": f"Basic {refresh}"}, {"Authorization": f"Bearer {service_key}"}),
        *({"X-Ticket": ticket * 40}, {"X-Request-Id": f"<{phone}>"}),
    ):
        yield "GET", "/v1/me", {"headers": headers}
    yield "PUT", f"/v1/me?{phone}", {"json": {"phone": phone}}

    ban = f"/internal/v1/users/{phone}/ban"
    for key, body in (
        (service_key + "x", {"reason": "spam"}),
        (service_key, {"reason": f"{service_key} "}),
        (service_key, {"reason": "spam", "until": ticket}),
    ):
        yield "PUT", ban, {"json": body, "headers": {"Authorization": f"Bearer {key}"}}


def bytes_that_are_no_request(service: Service, ticket: str) -> str:
    address = urlsplit(service.url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
        connection.sendall(f"GET /?ticket={ticket} HTTP/1.1\r\n{ticket}\r\n\r\n".encode())
        return connection.makefile(encoding="latin-1").read()


def without_a_store(
    service: Service, authing: Authing, canaries: dict[str, str]
) -> Iterator[httpx.Response]:
    canaries["ticket for a broken store"] = ticket = authing.ticket(PERSONA)
    yield service.refresh(canaries["new refresh_token"])
    yield service.as_bearer("GET", "/v1/me", canaries["new access_token"])
    yield service.phone.post(LOGIN, json={"ticket": ticket})
