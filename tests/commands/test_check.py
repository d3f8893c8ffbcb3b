"""`check`: one line a check, advice for each failure, and no secret."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.sandbox.personas import SigningKeys
from app.stores.sqlite import open_sqlite_store
from tests.commands.conftest import Answer, Shell
from tests.commands.environment import POOL_ID, POOL_SECRET
from tests.support.authority import Authority
from tests.support.threads import serving_in_thread
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone


@contextmanager
def authing(
    late_by: float | None = 0,
    tls: ssl.SSLContext | None = None,
    documents: Mapping[str, object] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Answer as Authing's host does to a stranger; yield its address and the requests.

    Its clock can be wrong, and it can have JSON at the paths of `documents`.
    """
    asked: list[str] = []

    class FrontPage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.requestline}\n{self.headers}")
            document = (documents or {}).get(self.path)
            body = b"" if document is None else json.dumps(document).encode()
            self.send_response_only(200 if body else 404)
            if late_by is not None:
                now = datetime.now(UTC).timestamp()
                self.send_header("Date", formatdate(now - late_by, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), FrontPage)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving_in_thread(server):
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", asked


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@dataclass
class Check:
    """Runs `check` beside an Authing at `host`; `asked` has the requests that it got."""

    monkeypatch: pytest.MonkeyPatch
    shell: Shell

    def __call__(
        self, *options: str, beside: dict[str, Any] | None = None, **settings: object
    ) -> Answer:
        """Run it with more settings, in which `{host}` is the address of Authing.

        `beside` has arguments of `authing`.
        """
        with authing(**beside or {}) as (self.host, self.asked):
            for name, value in {"AUTHING_BASE_URL": "{host}", **settings}.items():
                self.monkeypatch.setenv(name, str(value).replace("{host}", self.host))
            return self.shell("check", *options)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> Check:
    return Check(monkeypatch, shell)


def findings(response: Answer) -> dict[str, str]:
    assert response.err == ""
    parts = (line.split(maxsplit=1) for line in response.lines)
    return {name: finding.strip() for name, finding in parts}


def failure(response: Answer) -> tuple[str, str]:
    """The one failed check, and its text."""
    assert response.code == 1
    ((name, text),) = ((n, t) for n, t in findings(response).items() if t.startswith("FAIL  "))
    return name, text.removeprefix("FAIL  ")


def test_a_configuration_that_works_is_found_good_over_tls(
    folder: Path, check: Check, authority: Authority
) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        pass  # as after a first start
    response = check(beside={"tls": authority.server()}, AUTHING_CA_FILE=authority.file)
    assert response.code == 0
    assert findings(response) == {
        **dict.fromkeys(("settings", "keys", "store", "authing", "clock"), "ok"),
        "secret": "?     only a login shows whether Authing accepts AUTHING_USER_POOL_SECRET",
        "signature": "?     only a login shows whether Authing's tokens verify (hs256)",
    }
    assert len(check.asked) == 1
    with open_sqlite_store(folder / "sessions.db"):
        pass  # the store is free again


def test_a_store_that_does_not_exist_is_created_and_said(folder: Path, check: Check) -> None:
    assert not (folder / "sessions.db").exists()
    response = check()
    assert response.code == 0
    assert (
        findings(response)["store"] == "ok    warning: the file did not exist, and is created now"
    )
    assert findings(check())["store"] == "ok"


@pytest.mark.parametrize(
    ("name", "value", "failed"),
    [
        ("AUTHING_USER_POOL_SECRET", "c4nary", "settings"),
        ("SESSION_KEYS_FILE", "missing.json", "keys"),
        ("STORE_URL", "sqlite:///.", "store"),
        ("AUTHING_CA_FILE", "missing.pem", "authing"),
    ],
)
def test_a_setting_that_is_wrong_is_named(check: Check, name: str, value: str, failed: str) -> None:
    changes: dict[str, Any] = {name: value}
    response = check(**changes)
    found, text = failure(response)
    assert (found, text.startswith(f"{name}: ")) == (failed, True)
    assert "c4nary" not in response.out
    assert (len(response.lines) == 1) is (failed == "settings")  # nothing else can be checked then


def test_a_store_in_use_by_a_running_service_is_good(folder: Path, check: Check) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        response = check()
    assert response.code == 0
    assert findings(response)["store"] == "ok    in use by a running service; ask its /readyz"


def test_a_misspelled_variable_is_a_warning(check: Check) -> None:
    response = check(SESSION_ACCES_TTL=1, STORE_PASSWORD="c4nary")
    assert response.code == 0
    assert findings(response)["settings"] == (
        "ok    warning: SESSION_ACCES_TTL is not a setting (SESSION_ACCESS_TTL?); "
        "STORE_PASSWORD is not a setting"
    )


READABLE, WRITABLE = "every user of this machine can read it", "other users can change it"


@pytest.mark.parametrize(
    ("mode", "says"),
    [(0o640, ""), (0o644, READABLE), (0o604, READABLE), (0o660, WRITABLE), (0o602, WRITABLE)],
)
def test_a_file_of_secrets_that_other_users_can_open_is_a_warning(
    folder: Path, check: Check, mode: int, says: str
) -> None:
    (folder / ".env").touch()
    for name in (".env", "keys.json"):
        (folder / name).chmod(mode)
    response = check()
    finding = findings(response)["settings"]
    assert response.code == 0
    assert finding.startswith(f"ok    warning: SESSION_KEYS_FILE: {says}; " if says else "ok")
    assert (f"; .env: {says}; " in finding) is bool(says)


def test_the_tls_of_a_redis_is_named_as_such(
    check: Check, valkey: Server, authority: Authority, tmp_path: Path
) -> None:
    with Proxy(valkey.port, tls=authority.server()) as proxy:
        assert check(STORE_URL=proxy.url, STORE_CA_FILE=authority.file).code == 0
        stranger = Authority(tmp_path / "stranger").file
        untrusted = check(STORE_URL=proxy.url, STORE_CA_FILE=stranger)
    with authing() as (address, _):
        without_tls = check(STORE_URL=address.replace("http:", "rediss:"))
    says = "its certificate does not verify; a private authority needs STORE_CA_FILE"
    assert failure(untrusted) == ("store", f"STORE_URL: {says}")
    assert "STORE_URL: TLS fails;" in without_tls.lines[2]


def test_a_redis_is_asked_whether_it_keeps_what_it_is_given(
    check: Check, valkey: Server, tmp_path: Path
) -> None:
    with standalone(tmp_path / "kept", appendonly=True) as durable:
        good = check(STORE_URL=durable.url)
        durable.cli("ACL", "SETUSER", "default", "-info")
        hidden = check(STORE_URL=durable.url)
    warned = check(STORE_URL=valkey.url)
    assert (good.code, warned.code, hidden.code) == (0, 0, 0)
    assert findings(good)["store"] == "ok"
    assert findings(warned)["store"].startswith("ok    warning: no append-only file")
    says = "ok    warning: the server does not say all that is checked (info_refused)"
    assert findings(hidden)["store"] == says


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("CONFIG SET maxmemory-policy allkeys-lru", "set maxmemory-policy noeviction"),
        ("CONFIG SET requirepass another", "cannot be used now (AuthenticationError)"),
        ("ACL SETUSER default -eval -evalsha", "cannot be used now (NoPermissionError)"),
    ],
)
def test_a_redis_that_will_not_do_is_found(
    check: Check, tmp_path: Path, command: str, says: str
) -> None:
    with standalone(tmp_path / "unfit") as server:
        server.cli(*command.split())
        failed, text = failure(check(STORE_URL=server.url))
    assert failed == "store"
    assert text.startswith("STORE_URL: ")
    assert says in text


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(
    ("url", "unsafe"),
    [
        ("redis://redis.acme.invalid:6379", ["STORE_URL"]),
        ("redis+sentinel://127.0.0.1:1,redis.acme.invalid:1/sessions", ["STORE_URL"]),
        ("rediss://redis.acme.invalid:6379", []),
        *((f"redis://{host}:1", []) for host in ("127.9.9.9", "[::1]", "LocalHost")),
        ("redis+unix:///nowhere/socket", []),
    ],
)
def test_a_redis_of_another_host_without_tls_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, url: str, unsafe: list[str]
) -> None:
    monkeypatch.setenv("STORE_URL", url)
    shown = re.findall(r"(\w+): tokens of sessions cross the network", shell("check").out)
    events = [json.loads(line) for line in shell("serve").out.splitlines()]
    assert shown == unsafe
    assert [each["setting"] for each in events if each["event"] == "setting_unsafe"] == unsafe


def test_an_untrusted_certificate_of_authing_is_reported(
    check: Check, authority: Authority
) -> None:
    advice = "its certificate does not verify; a private deployment needs AUTHING_CA_FILE"
    response = check(beside={"tls": authority.server()})
    assert failure(response) == ("authing", f"AUTHING_BASE_URL: {advice}")
    assert check.asked == []


JWKS = {
    "AUTHING_TOKEN_MODE": "jwks",
    "AUTHING_JWKS_URL": "{host}/custom/jwks.json",
    "AUTHING_ISSUER": "https://made-up.example/oidc",
    "AUTHING_AUDIENCE": "made-up-app",
}
PLACES = ("/oidc/.well-known/jwks.json", "/made-up-app/oidc/.well-known/jwks.json")
NOWHERE = f"nor at {{host}}{PLACES[0]}, nor at {{host}}{PLACES[1]}"
MANAGED = {"AUTHING_MANAGEMENT_URL": "{host}"}
NO_CA_FILE = {"AUTHING_CA_FILE": "missing.pem"}


def key_set_at(place: str) -> dict[str, object]:
    return {"documents": {place: SigningKeys("unused").jwks()}}


def management(answer: object) -> dict[str, object]:
    return {"documents": {"/api/v3/get-management-token": answer}}


@pytest.mark.parametrize(
    ("beside", "settings", "name", "finding"),
    [
        ({"late_by": 10}, {}, "clock", "ok"),
        ({"late_by": 120}, {}, "clock", "FAIL  differs from Authing's by 12. s; .* [(]NTP[)]"),
        ({"late_by": -120}, {}, "clock", "FAIL  differs from Authing's by 1[12]. s; .* [(]NTP[)]"),
        (*({"late_by": None}, {}, "clock"), "FAIL  Authing's response has no Date to compare with"),
        (
            *({}, {"AUTHING_BASE_URL": "http://127.0.0.1:1"}, "authing"),
            r"FAIL  AUTHING_BASE_URL: cannot be used \(authing_unavailable, connect_refused\)",
        ),
        (key_set_at("/custom/jwks.json"), JWKS, "jwks", "ok"),
        *(
            (
                key_set_at(p),
                JWKS,
                "jwks",
                f"FAIL  AUTHING_JWKS_URL: no key set there; set {{host}}{p}",
            )
            for p in PLACES
        ),
        ({}, JWKS, "jwks", f"FAIL  AUTHING_JWKS_URL: no key set there, {NOWHERE}"),
        ({}, JWKS | NO_CA_FILE, "jwks", "FAIL  AUTHING_CA_FILE: .*"),
        (
            *(management({"statusCode": 200, "data": {"access_token": "t", "expires_in": 7200}}),),
            *(MANAGED, "secret", "ok"),
        ),
        (
            *(management({"statusCode": 401, "message": "…"}), MANAGED, "secret"),
            "FAIL  AUTHING_USER_POOL_SECRET: Authing refuses it for this AUTHING_USER_POOL_ID",
        ),
        (
            *(management({"statusCode": 200, "data": None}), MANAGED, "secret"),
            r"FAIL  AUTHING_MANAGEMENT_URL: cannot be used \(authing_bad_answer, bad_shape\)",
        ),
        ({}, MANAGED | NO_CA_FILE, "secret", "FAIL  AUTHING_CA_FILE: .*"),
    ],
)
def test_a_check_has_this_finding(
    check: Check, beside: dict[str, Any], settings: dict[str, Any], name: str, finding: str
) -> None:
    response = check(beside=beside, **settings)
    assert re.fullmatch(finding.replace("{host}", check.host), findings(response)[name])
    assert response.code == finding.startswith("FAIL")


def token(signer: str, pool: str = POOL_ID, *, hours_old: int = 24) -> bytes:
    """A legacy token, which lives for 15 days."""
    issued = int(datetime.now(UTC).timestamp()) - 3600 * hours_old
    data = {"id": "5f00000000000000000000a1", "clientId": pool}
    times = {"iat": issued, "exp": issued + 15 * 86_400}
    return f"{SigningKeys(signer).hs256({'data': data, **times})}\n".encode()


REFUSED = "FAIL  --token-file: authing_token_invalid (bad_token); signing secret: "
ACCEPTED = "ok    accepted; signing secret: "
POOL = "value 1 of AUTHING_USER_POOL_SECRET"
JWT_SECRET, APP_SECRET = "made-up-jwt-secret-1", "made-up-app-secret-2"


@pytest.mark.parametrize(
    ("content", "candidates", "finding"),
    [
        (
            token(JWT_SECRET),
            (APP_SECRET, JWT_SECRET),
            ACCEPTED + "value 2 of AUTHING_TOKEN_SECRETS",
        ),
        (token(POOL_SECRET), (), ACCEPTED + POOL),
        (token(POOL_SECRET), (APP_SECRET,), REFUSED + POOL),
        (token(POOL_SECRET, "another"), (), REFUSED + POOL),
        (token(POOL_SECRET, hours_old=400), (), REFUSED + POOL),
        (token("a-secret-of-another-pool"), (APP_SECRET,), REFUSED + "none"),
        (b"{}", (), REFUSED + "none"),
        (b"\xff", (), "FAIL  --token-file: 'utf-8' codec can't decode"),
        (None, (), "FAIL  --token-file: [Errno 2]"),
    ],
)
def test_a_token_of_authing_shows_which_secret_signs(
    check: Check, folder: Path, content: bytes | None, candidates: tuple[str, ...], finding: str
) -> None:
    if content is not None:
        (folder / "token").write_bytes(content)
    response = check("--token-file", "token", AUTHING_TOKEN_SECRETS=",".join(candidates))
    assert findings(response)["signature"].startswith(finding)
    secrets = (POOL_SECRET, *candidates, (content or b"?").decode("latin-1").strip())
    assert not any(secret in response.out for secret in secrets if len(secret) > 2)


def test_no_check_shows_a_secret_and_only_the_management_api_gets_one(
    folder: Path, check: Check
) -> None:
    keys = json.loads((folder / "keys.json").read_bytes())["keys"]
    secrets = {POOL_SECRET, *(key.get("d") or key["k"] for key in keys)}
    response = check(AUTHING_MANAGEMENT_URL="{host}")
    for seen in (response.out, response.err, *check.asked):
        assert not any(secret in seen for secret in secrets)
    # The secret is in the body of the POST, and no ticket is needed.
    assert [line.partition(" ")[0] for line in check.asked] == ["GET", "POST"]
