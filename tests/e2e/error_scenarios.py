"""Requests that fail, with secrets in every place where a client may put them."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import httpx

from app.sandbox.state import FAULTS
from tests.e2e.conftest import Authing, Service

PERSONA = "c4nary-nickname"
IDEMPOTENCY_KEY = "c4nary-key-16180339887498948482"


class ErrorScenarios:
    """Each method yields all responses, also successful ones. Tickets are added to `canaries`."""

    def __init__(self, service: Service, authing: Authing, canaries: dict[str, str]) -> None:
        self._service = service
        self._phone = service.phone
        self._authing = authing
        self._canaries = canaries

    def all(self) -> Iterator[httpx.Response]:
        """Every scenario that needs a working store."""
        yield from self.faults_of_authing()
        yield from self.bad_logins()
        yield from self.bad_tokens()
        yield from self.bad_requests()
        yield from self.bad_keys()

    def faults_of_authing(self) -> Iterator[httpx.Response]:
        for kind in FAULTS:
            self._authing.fail(kind, times=1, seconds=1.5)
            yield self._log_in(self._ticket(f"ticket for {kind}"))
        for persona in ("blocked", "deleted"):
            yield self._log_in(self._authing.ticket(persona))
        yield self._log_in(self._canaries["ticket for none"])

    def bad_logins(self) -> Iterator[httpx.Response]:
        ticket, phone = self._ticket("ticket of bad logins"), self._canaries["phone"]
        nickname = self._canaries["nickname"]
        for body in (
            {"ticket": [ticket]},
            {"ticket": ticket, "ext_msg": ticket},
            {"ticket": f"<{ticket}>"},
            {"ticket": ticket, "device": {"name": phone * 10}},
            {"ticket": ticket, "device": {phone: phone, "id": f"{phone} {phone}"}},
            {"ext_msg": f"code=400&message={nickname}&ticket={ticket}"},
            {"ext_msg": json.dumps({"ticket": ticket})},
            {ticket: ticket},
        ):
            yield self._phone.post("/v1/sessions", json=body)
        yield self._raw(f'{{"ticket": "{ticket}"')
        yield self._raw(f'{{"ticket": "{ticket}"}}', content_type=f"text/{phone}")
        yield self._raw(f'{{"ticket": "{ticket * 20}"}}')

    def bad_tokens(self) -> Iterator[httpx.Response]:
        access, refresh = self._canaries["access_token"], self._canaries["refresh_token"]
        for token in (refresh, refresh + "x", access, self._canaries["pool-secret"]):
            yield self._service.refresh(token)
        for token in (access, access + "x", refresh, self._canaries["authing-token"]):
            yield self._service.as_bearer("GET", "/v1/me", token)
        yield self._phone.get("/v1/me", headers={"Authorization": f"Basic {refresh}"})
        yield self._phone.get("/v1/me", headers=[("Authorization", f"Bearer {access}")] * 2)

    def bad_requests(self) -> Iterator[httpx.Response]:
        ticket = self._ticket("ticket in an address")
        access, phone = self._canaries["access_token"], self._canaries["phone"]
        for path in (
            f"/v1/me?access_token={access}",
            f"/v1/sessions?ticket={ticket}",
            f"/v1/users/{phone}",
            f"/v1/launch?platform={phone}",
            f"/v1/me?{phone * 300}",
            f"/{quote(self._canaries['nickname'])}/{access}",
        ):
            yield self._phone.get(path)
        yield self._phone.put(f"/v1/me?{phone}", json={"phone": phone})
        yield self._phone.get("/v1/me", headers={"X-Ticket": ticket * 40})
        yield self._phone.get("/v1/me", headers={"X-Request-Id": f"<{phone}>"})

    def bytes_that_are_no_request(self) -> str:
        address = urlsplit(self._service.url)
        with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
            ticket = self._canaries["ticket in an address"]
            connection.sendall(f"GET /?ticket={ticket} HTTP/1.1\r\n{ticket}\r\n\r\n".encode())
            return connection.makefile(encoding="latin-1").read()

    def bad_keys(self) -> Iterator[httpx.Response]:
        ticket = self._ticket("ticket of bad keys")
        body, service_key = {"ticket": ticket}, self._canaries["service key"]
        for key in (IDEMPOTENCY_KEY, IDEMPOTENCY_KEY[:15], f"{IDEMPOTENCY_KEY} x", ticket * 9):
            yield self._phone.post("/v1/sessions", json=body, headers={"Idempotency-Key": key})
        for key in (service_key + "x", IDEMPOTENCY_KEY):
            yield self._service.as_bearer("GET", "/internal/v1/users/somebody/sessions", key)
        yield self._service.as_bearer("GET", "/v1/me", service_key)
        headers = {"Authorization": f"Bearer {service_key}"}
        path = f"/internal/v1/users/{self._canaries['phone']}/ban"
        for ban in ({"reason": f"{service_key} "}, {"reason": "spam", "until": ticket}):
            yield self._phone.put(path, json=ban, headers=headers)

    def without_a_store(self) -> Iterator[httpx.Response]:
        yield self._service.refresh(self._canaries["new refresh_token"])
        yield self._service.as_bearer("GET", "/v1/me", self._canaries["new access_token"])
        yield self._log_in(self._ticket("ticket for a broken store"))

    def _ticket(self, name: str) -> str:
        self._canaries[name] = self._authing.ticket(PERSONA)
        return self._canaries[name]

    def _log_in(self, ticket: str) -> httpx.Response:
        return self._phone.post("/v1/sessions", json={"ticket": ticket})

    def _raw(self, body: str, content_type: str = "application/json") -> httpx.Response:
        headers = {"Content-Type": content_type}
        return self._phone.post("/v1/sessions", content=body, headers=headers)
