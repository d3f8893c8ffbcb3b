"""What is measured: the service, its peers, and the requests that each of them gets.

`must` and `aim` are the least ratio of the service's requests a second to the peer's.
"""

import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import cast

from app import keyfile
from app.jose.key_ring import KeyRing
from app.main import system_clock
from app.sessions.ports import KeySource
from app.sessions.proofs import ProofVerifier
from benchmarks.load import HOST, Build, Flow, Memory
from benchmarks.servers import ENVIRONMENTS, PEERS, ROOT, Command, free_port, lock_of
from benchmarks.upstream import POOL_ID, POOL_SECRET
from tests.support.proofs import DeviceKey

VALKEY = "valkey"
_ISSUER, _REFRESH = "https://login.example.com", "/v1/sessions/refresh"
_FLASK = "flask-jwt-extended"
_BASIC = "Basic YXBwOm1hZGUtdXAtY2xpZW50LXNlY3JldA=="  # app:made-up-client-secret
_NEVER_REACHED = "999999/second"  # the limit is in force


@dataclass(frozen=True, slots=True)
class Contender:
    """One row. `peer` is the peer's folder; None: the service itself.

    `product`: its p99 counts among those of the product peers. `inverted`: the ratio is this row's
    rate to that of the service, not the other way round.
    """

    name: str
    flow: Flow
    command: Command
    peer: str | None = None
    must: float | None = None
    aim: float | None = None
    product: bool = False
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """`delay`: seconds that Authing takes. `burst`: one request on each connection, all at once."""

    name: str
    title: str
    ours: Contender
    peers: Sequence[Contender]
    connections: int = 64
    delay: float = 0.0
    burst: bool = False


def scenarios(valkey: str | None) -> list[Scenario]:
    """Return all scenarios. `valkey` is the STORE_URL of the rows with Valkey, if it is there."""
    enter = _ticket("/v1/sessions")
    login, refresh = Flow(enter), Flow(_refresh(_REFRESH), enter, learns=True)
    check = Flow(_get("/v1/sessions/current", "access_token"), enter)
    authz = Flow(_get("/authz", "access_token"), enter)
    found = [
        Scenario("login", "Login; Authing answers at once", _ours(login), _logins()),
        Scenario(
            "burst",
            "512 logins at once; Authing answers after 50 ms",
            _ours(login),
            [replace(peer, must=None, aim=None) for peer in _logins()],
            connections=512,
            delay=0.05,
            burst=True,
        ),
        Scenario("refresh", "Refresh", _ours(refresh), [*_refreshes(), _bound(enter)]),
        Scenario("authz", "`/authz`", _ours(authz), _checks()),
        Scenario("check", "`/v1/sessions/current`", _ours(check), _sessions()),
    ]
    if valkey is None:
        return found
    return [replace(one, peers=[*one.peers, _with_valkey(one, valkey)]) for one in found]


def _ours(flow: Flow) -> Contender:
    return Contender("**Ticketgate**, SQLite FULL", flow, service)


def _bound(enter: Build) -> Contender:
    """Return the service whose sessions have device keys; each refresh has a new proof.

    The nonces are made here, with the keys of the service: a nonce is good for ten minutes. They
    are of the last minutes, in turn, because one second has room for eight proofs of a session.
    """
    found: list[ProofVerifier] = []

    def command(folder: Path, port: int, upstream: str) -> tuple[list[str], dict[str, str]]:
        keyfile.create(keys := folder / "keys.json", "ES256")
        ring = SimpleNamespace(ring=KeyRing.from_jwk_set(keys.read_bytes()))
        began = system_clock() - timedelta(minutes=8)
        found[:] = [ProofVerifier(cast("KeySource", ring), _ISSUER, "optional", lambda: began)]
        return service(folder, port, upstream, keys=keys)

    def build(memory: Memory) -> bytes:
        device: DeviceKey = memory.setdefault("device key", DeviceKey(_ISSUER))
        memory["count"] = count = memory.get("count", 0) + 1
        made_at = found[0].clock() + timedelta(seconds=count // 8)
        device.nonce = replace(found[0], clock=lambda: made_at).new_nonce()
        labels = ("Content-Type: application/json", f"DPoP: {device.proof(_REFRESH)}")
        body = json.dumps({"refresh_token": memory["refresh_token"]}).encode()
        return _request("POST", _REFRESH, body, *labels)

    name = "**Ticketgate**, SQLite FULL, device keys"
    return Contender(name, Flow(build, enter, learns=True), command, inverted=True)


def _with_valkey(scenario: Scenario, url: str) -> Contender:
    command = partial(service, store_url=url)
    must = 0.6 if scenario.name == "refresh" else None
    flow = scenario.ours.flow
    return Contender("**Ticketgate**, Valkey everysec", flow, command, None, must, inverted=True)


def _logins() -> list[Contender]:
    flow = Flow(_ticket("/login"))
    return [
        _peer("relay, same HTTP client", "relay", flow, 0.5, 0.65),
        _product("better-auth", "better-auth", Flow(_AUTH_LOGIN), 3),
        _peer("Authing's Python SDK, FastAPI", "authing-python", flow, 2),
        _peer("Authing's Node SDK, fastify", "authing-node", flow, 0.75, 1),
        _peer("hand-made fastify, FULL", "fastify", flow, 0.75),
    ]


def _refreshes() -> list[Contender]:
    jwt = Flow(_oidc_refresh, _post("/seed-jwt"), learns=True)
    opaque = Flow(_oidc_refresh, _post("/seed"), learns=True)
    to_jwt = Flow(_get("/api/auth/token", "cookie"), _AUTH_LOGIN)
    blacklist = Flow(_refresh("/refresh", "refresh"), _post("/seed"), learns=True)
    signature = Flow(_get("/refresh", "refresh", "POST"), _post("/seed"))
    by_hand = Flow(_refresh("/refresh"), _ticket("/login"), learns=True)
    rolling = _product("better-auth, rolling session", "better-auth", _AUTH_SESSION, 6)
    return [
        _product("oidc-provider, JWT (memory)", "oidc-provider", jwt, 1.2),
        _product("oidc-provider, opaque (memory)", "oidc-provider", opaque, None, 1),
        _product("better-auth, JWT", "better-auth", to_jwt, 6),
        replace(rolling, command=_node("better-auth", ROLLING="1")),
        _product("simplejwt with blacklist", "simplejwt", blacklist, 12),
        _peer("flask-jwt-extended (no store)", _FLASK, signature),
        _peer("hand-made fastify, FULL", "fastify", by_hand, 1.2),
    ]


def _checks() -> list[Contender]:
    django = Flow(_get("/me", "access"), _post("/seed"))
    users = Flow(_get("/me", "token"), _post("/seed"))
    introspection = Flow(_oidc_introspection, _post("/seed"))
    row = Flow(_get("/check", "access_token"), _ticket("/login"))
    cached = Flow(_get("/check-cached", "access_token"), _ticket("/login"))
    return [
        _peer("bare uvicorn, a constant", "bare-uvicorn", Flow(_get("/", ""))),
        _product("fastapi-users", "fastapi-users", users, 12),
        _product("oidc-provider, introspection (memory)", "oidc-provider", introspection, 1.5, 2.5),
        _product("better-auth", "better-auth", _AUTH_SESSION),
        _product("simplejwt", "simplejwt", django),
        _peer("flask-jwt-extended (no store)", _FLASK, django),
        _peer("hand-made fastify, row each time", "fastify", row),
        _peer("hand-made fastify, token cache, no row", "fastify", cached, 0.35),
    ]


def _sessions() -> list[Contender]:
    """Return the peers that also return the session and its user."""
    row = Flow(_get("/check", "access_token"), _ticket("/login"))
    return [
        _product("better-auth", "better-auth", _AUTH_SESSION),
        _peer("hand-made fastify, row each time", "fastify", row),
    ]


def _peer(
    name: str, folder: str, flow: Flow, must: float | None = None, aim: float | None = None
) -> Contender:
    kind = _gunicorn if folder in {"simplejwt", _FLASK} else _uvicorn
    command = _node(folder) if (PEERS / folder / "peer.js").exists() else kind(folder)
    return Contender(name, flow, command, folder, must, aim)


def _product(
    name: str, folder: str, flow: Flow, must: float | None = None, aim: float | None = None
) -> Contender:
    return replace(_peer(name, folder, flow, must, aim), product=True)


def service(
    folder: Path,
    port: int,
    upstream: str,
    *,
    store_url: str = "",
    keys: Path | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[str], dict[str, str]]:
    """Prepare one process in production configuration; by default with new keys and a new file."""
    if keys is None:
        keyfile.create(keys := folder / "keys.json", "ES256")
    return [sys.executable, "-m", "app", "serve"], {
        "PYTHONPATH": str(ROOT),
        "AUTHING_BASE_URL": upstream,
        "AUTHING_USER_POOL_ID": POOL_ID,
        "AUTHING_USER_POOL_SECRET": POOL_SECRET,
        "SESSION_ISSUER": _ISSUER,
        "SESSION_KEYS_FILE": str(keys),
        "STORE_URL": store_url or f"sqlite:///{folder / 'sessions.db'}",
        "RATE_LIMIT_LOGIN": _NEVER_REACHED,
        "RATE_LIMIT_REFRESH": _NEVER_REACHED,
        "METRICS_PORT": str(free_port()),
        "DRAIN_DELAY": "0",
        "PORT": str(port),
        **settings,
    }


def _uvicorn(peer: str) -> Command:
    """Return the command for an ASGI peer; the two on our own stack run in the project's .venv."""

    def command(_folder: Path, port: int, _upstream: str) -> tuple[list[str], dict[str, str]]:
        own = lock_of(peer) is not None
        python = [str(_python(peer))] if own else [sys.executable]
        quiet = [] if own else ["--no-access-log"]
        app = ["-m", "uvicorn", "peer:app", "--app-dir", str(PEERS / peer), "--host", HOST]
        loop = ["--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        # As long as the other peers keep an idle connection.
        return [*python, *app, *loop, "--timeout-keep-alive", "75", *quiet], {
            "PYTHONPATH": str(ROOT)
        }

    return command


def _gunicorn(peer: str) -> Command:
    def command(_folder: Path, port: int, _upstream: str) -> tuple[list[str], dict[str, str]]:
        python = str(_python(peer))
        app = ["-m", "gunicorn", "peer:app", "--pythonpath", str(PEERS / peer)]
        serve = ["--bind", f"{HOST}:{port}", "--worker-class", "gthread", "--threads", "8"]
        return [python, *app, *serve, "--keep-alive", "75", "--access-logfile", "-"], {}

    return command


def _node(peer: str, **settings: str) -> Command:
    """Return the command for a Node peer; its file runs beside its packages, where Node looks."""

    def command(_folder: Path, _port: int, _upstream: str) -> tuple[list[str], dict[str, str]]:
        program = ENVIRONMENTS / peer / "peer.js"
        program.write_bytes((PEERS / peer / "peer.js").read_bytes())
        return ["node", str(program)], settings

    return command


def _python(peer: str) -> Path:
    return ENVIRONMENTS / peer / "bin" / "python"


def _request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *headers]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def _json(path: str, content: object) -> bytes:
    return _request("POST", path, json.dumps(content).encode(), "Content-Type: application/json")


def _form(path: str, body: str) -> bytes:
    labels = (f"Authorization: {_BASIC}", "Content-Type: application/x-www-form-urlencoded")
    return _request("POST", path, body.encode(), *labels)


def _post(path: str) -> Build:
    return lambda _: _json(path, {})


def _ticket(path: str) -> Build:
    """Return a login with a new ticket each time, as long as one of Authing's."""
    return lambda _: _json(path, {"ticket": secrets.token_urlsafe(180)})


def _get(path: str, credential: str, method: str = "GET") -> Build:
    """Send this member of the memory as a cookie or as a bearer token; no credential if empty."""

    def build(memory: Memory) -> bytes:
        if credential == "cookie":
            return _request(method, path, b"", f"Cookie: {memory['cookie']}")
        labels = [f"Authorization: Bearer {memory[credential]}"] if credential else []
        return _request(method, path, b"", *labels)

    return build


def _refresh(path: str, member: str = "refresh_token") -> Build:
    return lambda memory: _json(path, {member: memory[member]})


def _oidc_refresh(memory: Memory) -> bytes:
    return _form("/token", f"grant_type=refresh_token&refresh_token={memory['refresh_token']}")


def _oidc_introspection(memory: Memory) -> bytes:
    return _form("/token/introspection", f"token={memory['access_token']}")


_AUTH_LOGIN = _ticket("/api/auth/login")
_AUTH_SESSION = Flow(_get("/api/auth/get-session", "cookie"), _AUTH_LOGIN)
