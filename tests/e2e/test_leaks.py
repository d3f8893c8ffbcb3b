"""Secrets and personal data stand only in the responses that are meant to carry them."""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import redis

from app.adapters import authing_client
from app.api.schemas import LoginRequest, RefreshRequest
from app.config import SECRETS_DIR
from app.config.secret_files import SecretFiles
from app.sessions.login import Login
from tests.commands.environment import POOL_SECRET
from tests.e2e import error_scenarios
from tests.e2e.conftest import Authing, Serve, Service, client
from tests.e2e.error_scenarios import IDEMPOTENCY_KEY, PERSONA
from tests.support.leaks import FORMS, found, searched
from tests.support.otlp import collector
from tests.support.running_app import RunningApp
from tests.support.valkey import ports
from tests.support.valkey.process import ProgramMissing
from tests.support.valkey.servers import standalone

THE_ELEVEN = {
    *("pool-secret", "verify-key", "signing-key", "master-key", "redis-password", "ticket"),
    *("authing-token", "access_token", "refresh_token", "phone", "unionid"),
}
"""The secrets of the threat model that are searched for in every form; there are more."""
CONSTANT_PART = 120  # of Authing's token: its claims begin with the user, and end with the times
TOKEN_SECRET = "made-up-token-secret-31415926535"
SERVICE_KEY = "made-up-service-key-27182818284590"


# --- stores of a running service ---


@dataclass(frozen=True)
class Backend:
    """`url` is a STORE_URL, `secrets` is what is secret in it.

    `content` gives every byte of the store as one character; `break_store` makes it unusable.
    """

    url: str
    secrets: dict[str, str]
    content: Callable[[], str]
    break_store: Callable[[], None]


Open: TypeAlias = Callable[[Path], AbstractContextManager[Backend]]


@contextmanager
def sqlite_file(folder: Path) -> Iterator[Backend]:
    file = folder / "sessions.db"

    def content() -> str:
        return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("sessions.db*"))

    def break_store() -> None:
        with closing(sqlite3.connect(file)) as database:
            database.execute("DROP TABLE sessions")

    yield Backend(f"sqlite:///{file}", {}, content, break_store)


@contextmanager
def redis_with_a_password(folder: Path) -> Iterator[Backend]:
    password = "c4nary-of-redis-31622776601683793319"
    home = folder / "valkey"
    try:
        server = standalone(home, extra=("--rdbcompression", "no"))
        with server as running:
            running.cli("CONFIG", "SET", "requirepass", password)
            url = f"redis://:{password}@127.0.0.1:{running.port}/0"

            def content() -> str:
                with closing(redis.Redis.from_url(url)) as client:
                    client.save()
                return (home / "dump.rdb").read_bytes().decode("latin-1")

            yield Backend(url, {"redis-password": password}, content, running.kill)
    except ProgramMissing as missing:
        pytest.skip(str(missing))


# --- the search ---


def personal(record: dict[str, Any]) -> dict[str, str]:
    return {
        "authing-token": record["token"][:CONSTANT_PART],
        "phone": json.loads(record["oauth"])["phone"],
        "unionid": record["unionid"],
        "openid": record["openid"],
        "nickname": record["nickname"],
    }


def key_material(folder: Path) -> dict[str, str]:
    keys = json.loads((folder / "keys.json").read_bytes())["keys"]
    return {
        "master-key" if key["kty"] == "oct" else "signing-key": key.get("d") or key["k"]
        for key in keys
    }


def tokens_of(response: dict[str, Any], name: str) -> dict[str, str]:
    return {f"{name}{kind}": response[kind] for kind in ("access_token", "refresh_token")}


def use_the_service(service: Service, ticket: str) -> tuple[dict[str, str], str]:
    """Sign in, lose an answer of each kind, log out; give the tokens and the session's id."""
    old = service.log_in(ticket, IDEMPOTENCY_KEY)
    assert service.log_in(ticket, IDEMPOTENCY_KEY)["refresh_token"] == old["refresh_token"]
    new = service.refresh(old["refresh_token"]).json()
    service.refresh(old["refresh_token"])
    service.as_bearer("GET", "/v1/me", new["access_token"])
    service.as_bearer("DELETE", "/v1/sessions/current", new["access_token"])
    return tokens_of(old, "") | tokens_of(new, "new "), str(old["session"]["id"])


def secrets_from_the_start(folder: Path, authing: Authing) -> dict[str, str]:
    authing.switch(single_use=False)
    ticket = authing.ticket(PERSONA)
    told = personal(authing.exchange(ticket))
    authing.switch(single_use=True)
    configured = {"pool-secret": POOL_SECRET, "verify-key": TOKEN_SECRET}
    keys = {"service key": SERVICE_KEY, "idempotency key": IDEMPOTENCY_KEY}
    return configured | keys | {"ticket": ticket} | told | key_material(folder)


@pytest.mark.parametrize(
    "open_store",
    [
        pytest.param(sqlite_file, id="SQLite"),
        pytest.param(redis_with_a_password, id="Redis", marks=pytest.mark.long),
    ],
)
def test_logs_errors_and_files_hold_no_secret_and_no_personal_data(
    serve: Serve, settings: dict[str, str], authing: Authing, tmp_path: Path, open_store: Open
) -> None:
    with open_store(tmp_path) as backend, ports.reserve() as mark, collector() as sent:
        service = serve(
            **settings | {"STORE_URL": backend.url, "METRICS_PORT": str(ports.number(mark))},
            LOG_LEVEL="debug",
            API_DOCS="true",
            AUTHING_TIMEOUT="1",
            AUTHING_TOKEN_SECRETS=f"{TOKEN_SECRET},{POOL_SECRET}",
            SERVICE_API_KEYS=SERVICE_KEY,
            OTEL_EXPORTER_OTLP_ENDPOINT=sent.url,
        )
        secrets_used = secrets_from_the_start(tmp_path, authing) | backend.secrets
        tokens, session_id = use_the_service(service, authing.ticket(PERSONA))
        secrets_used |= tokens
        responses = [*error_scenarios.with_a_working_store(service, authing, secrets_used)]
        no_request = error_scenarios.bytes_that_are_no_request(service, secrets_used["ticket"])
        shown = [no_request, content := backend.content()]
        backend.break_store()
        responses += error_scenarios.without_a_store(service, authing, secrets_used)
        with client(f"http://127.0.0.1:{ports.number(mark)}") as operator:
            shown.append(metrics := operator.get("/metrics").text)
        shown += [service.phone.get("/openapi.json").text, service.program.command_line]
        service.program.close()
    shown.append(sent.received.decode("latin-1"))
    assert sent.named("POST /v1/sessions")

    matrix = {f"{name}-{form}" for name in secrets_used.keys() & THE_ELEVEN for form in FORMS}
    assert THE_ELEVEN - secrets_used.keys() == {"redis-password"} - backend.secrets.keys()
    assert matrix <= searched(secrets_used)
    errors = [response for response in responses if response.status_code >= 400]
    assert (
        len(responses) == len(errors) + 3
    )  # two faults that fail no exchange, and a device name that is cut
    shown += [f"{response.headers}\n{response.text}" for response in errors]
    for text in (*shown, service.program.out):
        assert found(secrets_used, text) == set()
    events = {entry["event"] for entry in service.logged()}
    assert events >= {"exchange", "request", "session_opened", "login_replayed"}
    assert session_id in content
    assert "ticketgate_http_requests_total" in metrics
    assert service.program.err == ""


def test_the_search_covers_eleven_secrets_in_eight_forms() -> None:
    assert (len(THE_ELEVEN), len(FORMS), len(set(FORMS))) == (11, 8, 8)
    assert searched({"secret": "c4nary-0f1e2d3c"}) == {f"secret-{form}" for form in FORMS}


async def test_a_repr_holds_no_secret_and_no_personal_data(app: RunningApp) -> None:
    app.switch_authing(single_use=False)
    ticket, services = app.ticket(PERSONA), app.services
    login = Login(ticket, {"name": "phone"}, IDEMPOTENCY_KEY)
    secrets_in_force = SecretFiles(app.settings, services.events, SECRETS_DIR)
    client = authing_client(app.settings, secrets_in_force, app.wire, app.clock, services.events)
    identity = await client.exchange(ticket)
    pair = await services.logins.log_in(login)
    ring = services.keys.ring
    shown = [
        *(app.settings, services, services.sessions, services.logins, services.bans),
        *(services.service_keys, secrets_in_force, ring, ring.signing_key, ring.current_secret_key),
        *(client, identity, login, pair, pair.session, pair.profile),
        *(LoginRequest(ticket=ticket), RefreshRequest(refresh_token=pair.refresh_token)),
    ]
    secrets = app.secrets | {IDEMPOTENCY_KEY, pair.access_token, pair.refresh_token}
    named = {f"secret {number}": secret for number, secret in enumerate(secrets)}

    leaks = {type(thing).__name__: found(named, f"{thing!r} {thing}") for thing in shown}

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
def test_the_search_finds_a_secret_in_every_encoding(disguised: str) -> None:
    assert found({"secret": "c4nary-sécret/42"}, f"before {disguised} after")


def test_the_search_finds_the_beginning_of_a_secret_and_nothing_in_other_text() -> None:
    secret = {"secret": "c4nary-0f1e2d3c4b5a69788796"}

    assert found(secret, "c4nary-0f1e2...") == {"secret-beginning"}
    assert found(secret, "nothing to be seen") == set()
