"""Secrets and personal data show up in the answers they are for, and nowhere else."""

import base64
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from app.api.schemas import LoginRequest, RefreshRequest
from app.config import Settings, load_settings
from app.main import authing_client, open_services, system_clock
from app.sandbox import Consent, SandboxOptions, create_sandbox
from app.sandbox.options import FAULTS
from app.sandbox.personas import Persona
from app.server import Drain
from app.sessions.login import Login
from app.sessions.models import Device
from tests.commands.environment import POOL_ID, POOL_SECRET, enter, minimal
from tests.e2e.canaries import found
from tests.e2e.conftest import Authing, Serve, Service

PERSONA = "c4nary-nickname"
CONSTANT_PART = 120  # of Authing's token: its claims begin with the user, and end with the times
TOKEN_SECRET = "made-up-token-secret-31415926535"
SERVICE_KEY = "made-up-service-key-27182818284590"
IDEMPOTENCY_KEY = "c4nary-key-16180339887498948482"


def personal(record: dict[str, Any]) -> dict[str, str]:
    return {
        "authing's token": record["token"][:CONSTANT_PART],
        "phone": json.loads(record["oauth"])["phone"],
        "unionid": record["unionid"],
        "openid": record["openid"],
        "nickname": record["nickname"],
    }


def key_material(folder: Path) -> dict[str, str]:
    keys = json.loads((folder / "keys.json").read_bytes())["keys"]
    return {f"{key['kty']} key": key.get("d") or key["k"] for key in keys}


def tokens_of(answer: dict[str, Any], name: str) -> dict[str, str]:
    return {f"{name} {kind}": answer[kind] for kind in ("access_token", "refresh_token")}


class Provocations:
    """Everything that can go wrong, tried with secrets in every place where one may put them."""

    def __init__(self, service: Service, authing: Authing, canaries: dict[str, str]) -> None:
        self._service = service
        self._phone = service.phone
        self._authing = authing
        self._canaries = canaries

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
        access, refresh = self._canaries["old access_token"], self._canaries["old refresh_token"]
        for token in (refresh, refresh + "x", access, self._canaries["pool secret"]):
            yield self._service.refresh(token)
        for token in (access, access + "x", refresh, self._canaries["authing's token"]):
            yield self._service.as_bearer("GET", "/v1/me", token)
        yield self._phone.get("/v1/me", headers={"Authorization": f"Basic {refresh}"})
        yield self._phone.get("/v1/me", headers=[("Authorization", f"Bearer {access}")] * 2)

    def bad_requests(self) -> Iterator[httpx.Response]:
        ticket = self._ticket("ticket in an address")
        access, phone = self._canaries["old access_token"], self._canaries["phone"]
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

    def a_broken_store(self) -> Iterator[httpx.Response]:
        with closing(sqlite3.connect(self._service.folder / "sessions.db")) as database:
            database.execute("DROP TABLE sessions")
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


def test_no_log_no_error_and_no_file_shows_a_secret_or_a_person(
    serve: Serve, settings: dict[str, str], authing: Authing, tmp_path: Path
) -> None:
    service = serve(
        **settings | {"LOG_LEVEL": "debug", "API_DOCS": "true", "AUTHING_TIMEOUT": "1"},
        AUTHING_TOKEN_SECRETS=f"{TOKEN_SECRET},{POOL_SECRET}",
        SERVICE_API_KEYS=SERVICE_KEY,
    )
    authing.switch(single_use=False)
    first = authing.ticket(PERSONA)
    canaries = {"pool secret": POOL_SECRET, "token secret": TOKEN_SECRET, "first ticket": first}
    canaries |= personal(authing.exchange(first)) | key_material(tmp_path)
    authing.switch(single_use=True)

    canaries |= {"service key": SERVICE_KEY, "idempotency key": IDEMPOTENCY_KEY}
    again = authing.ticket(PERSONA)
    old = service.log_in(again, IDEMPOTENCY_KEY)
    assert service.log_in(again, IDEMPOTENCY_KEY)["refresh_token"] == old["refresh_token"]
    new = service.refresh(old["refresh_token"]).json()
    service.refresh(old["refresh_token"])
    service.as_bearer("GET", "/v1/me", new["access_token"])
    service.as_bearer("DELETE", "/v1/sessions/current", new["access_token"])
    canaries |= tokens_of(old, "old") | tokens_of(new, "new")

    provoke = Provocations(service, authing, canaries)
    errors = [
        *provoke.faults_of_authing(),
        *provoke.bad_logins(),
        *provoke.bad_tokens(),
        *provoke.bad_requests(),
        *provoke.bad_keys(),
    ]
    not_http = provoke.bytes_that_are_no_request()
    at_rest = [path.read_bytes().decode("latin-1") for path in tmp_path.glob("sessions.db*")]
    errors += provoke.a_broken_store()
    openapi = service.phone.get("/openapi.json").text
    service.program.close()

    logged = service.logged()
    assert [e.status_code for e in errors if e.status_code < 400] == [201]  # the fault "none"
    assert {entry["event"] for entry in logged} >= {
        "exchange",
        "request",
        "session_opened",
        "login_replayed",
    }
    for answer in errors:
        if answer.status_code >= 400:
            assert found(canaries, f"{answer.headers}\n{answer.text}") == set()
    for text in (not_http, openapi, service.program.out, *at_rest):
        assert found(canaries, text) == set()
    assert any(old["session"]["id"] in text for text in at_rest)
    assert service.program.err == ""


async def test_no_repr_shows_a_secret_or_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch, **minimal(tmp_path), AUTHING_TOKEN_SECRETS=POOL_SECRET)
    monkeypatch.setenv("SERVICE_API_KEYS", SERVICE_KEY)
    settings = load_settings(Settings, env_file=None, secrets_dir=None)
    sandbox = create_sandbox(SandboxOptions(user_pool_id=POOL_ID, user_pool_secret=POOL_SECRET))
    sandbox.state.options = replace(sandbox.state.options, single_use=False)
    ticket = sandbox.state.issue(Consent(PERSONA))
    person = Persona.named(PERSONA)
    transport = httpx.ASGITransport(sandbox.authing)

    async with (
        open_services(settings, drain=Drain(), transport=transport) as services,
        httpx.AsyncClient(transport=transport) as http,
    ):
        client = authing_client(settings, http, system_clock)
        login = Login(ticket, Device(name="phone"), IDEMPOTENCY_KEY)
        pair = await services.logins.open(login)
        ring = services.keys.ring
        shown = {
            "Settings": settings,
            "Services": services,
            "SessionService": services.sessions,
            "AuthingClient": client,
            "Identity": await client.exchange(ticket),
            "TokenPair": pair,
            "Session": pair.session,
            "Profile": pair.profile,
            "KeyRing": ring,
            "SigningKey": ring.signer,
            "BindingKey": ring.binder,
            "Login": login,
            "LoginService": services.logins,
            "BanService": services.bans,
            "ServiceKeys": services.service_keys,
            "LoginRequest": LoginRequest(ticket=ticket),
            "RefreshRequest": RefreshRequest(refresh_token=pair.refresh_token),
        }
    canaries = key_material(tmp_path) | {
        "pool secret": POOL_SECRET,
        "service key": SERVICE_KEY,
        "ticket": ticket,
        "idempotency key": IDEMPOTENCY_KEY,
        "access token": pair.access_token,
        "refresh token": pair.refresh_token,
        "phone": person.phone,
        "unionid": person.unionid,
        "openid": person.openid,
        "nickname": person.nickname,
    }

    leaks = {name: found(canaries, f"{thing!r} {thing}") for name, thing in shown.items()}

    assert {name: leak for name, leak in leaks.items() if leak} == {}


@pytest.mark.parametrize(
    "disguised",
    [
        "c4nary-sécret/42",
        "C4NARY-SÉCRET/42",
        json.dumps("c4nary-sécret/42"),
        quote("https://a.test/?q=c4nary-sécret/42", safe=""),
        "c4nary-sécret/42".encode().hex(),
        base64.b64encode("c4nary-sécret/42".encode()).decode(),
        base64.b64encode("xc4nary-sécret/42".encode()).decode(),
        base64.b64encode("xyc4nary-sécret/42z".encode()).decode(),
        base64.urlsafe_b64encode("xyz{c4nary-sécret/42}".encode()).decode(),
    ],
)
def test_the_search_finds_a_secret_in_every_disguise(disguised: str) -> None:
    assert found({"secret": "c4nary-sécret/42"}, f"before {disguised} after")


def test_the_search_finds_the_beginning_of_a_long_secret_and_nothing_in_an_innocent_text() -> None:
    secret = {"secret": "c4nary-0f1e2d3c4b5a69788796"}

    assert found(secret, "c4nary-0f1e2...") == {"secret, beginning"}
    assert found(secret, "nothing to be seen") == set()
