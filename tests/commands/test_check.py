"""`check`: one line a check, advice for each failure, and no secret."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
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

JWKS_PLACES = ("/oidc/.well-known/jwks.json", "/made-up-app/oidc/.well-known/jwks.json")

NOR_THERE = [f", nor at {{host}}{place}" for place in JWKS_PLACES]


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
    """Runs `check` beside an Authing; `asked` has the requests that it got."""

    monkeypatch: pytest.MonkeyPatch
    shell: Shell
    authing: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def beside(self, **authing: Any) -> "Check":
        """Choose how Authing is, by the arguments of `authing`."""
        self.authing = authing
        return self

    def __call__(self, *options: str, **settings: object) -> Answer:
        """Run it with more settings, in which `{host}` is the address of Authing."""
        with authing(**self.authing) as (self.host, self.asked):
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
    response = check.beside(tls=authority.server())(AUTHING_CA_FILE=authority.file)
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
    response = check(**{name: value})
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
        response = check(STORE_URL=proxy.url, STORE_CA_FILE=stranger)
    says = "its certificate does not verify; a private authority needs STORE_CA_FILE"
    assert failure(response) == ("store", f"STORE_URL: {says}")


def test_a_rediss_that_speaks_no_tls_is_found(check: Check) -> None:
    with authing() as (address, _):
        response = check(STORE_URL=address.replace("http:", "rediss:"))
    assert (response.code, "STORE_URL: TLS fails;" in response.lines[2]) == (1, True)


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


def test_an_unreachable_authing_is_reported(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    with authing() as (address, _):
        pass  # and gone again
    monkeypatch.setenv("AUTHING_BASE_URL", address)
    assert failure(shell("check")) == (
        "authing",
        "AUTHING_BASE_URL: cannot be used (authing_unavailable, connect_refused)",
    )


def test_an_untrusted_certificate_of_authing_is_reported(
    check: Check, authority: Authority
) -> None:
    advice = "its certificate does not verify; a private deployment needs AUTHING_CA_FILE"
    assert failure(check.beside(tls=authority.server())()) == (
        "authing",
        f"AUTHING_BASE_URL: {advice}",
    )
    assert check.asked == []


@pytest.mark.parametrize(
    ("late_by", "says"),
    [
        (10, ""),
        (120, "differs from Authing's by 12"),
        (-120, "differs from Authing's by 1[12]"),
        (None, "Authing's response has no Date to compare with"),
    ],
)
def test_a_clock_that_is_off_or_cannot_be_compared_is_found(
    check: Check, late_by: float | None, says: str
) -> None:
    response = check.beside(late_by=late_by)()
    finding = findings(response)["clock"]
    assert response.code == bool(says)
    assert re.match(f"FAIL  {says}" if says else "ok$", finding)
    assert ("NTP" in finding) is ("differs" in says)


@pytest.mark.parametrize(
    ("place", "finding"),
    [
        ("/custom/jwks.json", "ok"),
        *(
            (place, f"FAIL  AUTHING_JWKS_URL: no key set there; set {{host}}{place}")
            for place in JWKS_PLACES
        ),
        (None, "FAIL  AUTHING_JWKS_URL: no key set there" + "".join(NOR_THERE)),
    ],
)
def test_the_key_set_is_looked_for_in_both_known_places(
    check: Check, place: str | None, finding: str
) -> None:
    documents = {place: SigningKeys("unused").jwks()} if place else {}
    response = check.beside(documents=documents)(
        AUTHING_TOKEN_MODE="jwks",
        AUTHING_JWKS_URL="{host}/custom/jwks.json",
        AUTHING_ISSUER="https://made-up.example/oidc",
        AUTHING_AUDIENCE="made-up-app",
    )
    assert findings(response)["jwks"] == finding.format(host=check.host)


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ({"statusCode": 200, "data": {"access_token": "t", "expires_in": 7200}}, "ok"),
        (
            {"statusCode": 401, "message": "…"},
            "FAIL  AUTHING_USER_POOL_SECRET: Authing refuses it for this AUTHING_USER_POOL_ID",
        ),
        (
            {"statusCode": 200, "data": None},
            "FAIL  AUTHING_MANAGEMENT_URL: cannot be used (authing_bad_answer, bad_shape)",
        ),
    ],
)
def test_the_management_api_proves_the_pool_secret_without_a_ticket(
    check: Check, answer: object, finding: str
) -> None:
    documents = {"/api/v3/get-management-token": answer}
    response = check.beside(documents=documents)(AUTHING_MANAGEMENT_URL="{host}")
    assert findings(response)["secret"] == finding
    assert POOL_SECRET not in response.out
    assert [line.partition(" ")[0] for line in check.asked] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("mode", "finding"), [("AUTHING_MANAGEMENT_URL", "secret"), ("AUTHING_TOKEN_MODE", "jwks")]
)
def test_every_call_to_authing_needs_a_good_ca_file(check: Check, mode: str, finding: str) -> None:
    jwks = dict.fromkeys(("AUTHING_JWKS_URL", "AUTHING_ISSUER"), "https://a.test")
    value = "jwks" if finding == "jwks" else "https://a.test"
    response = check(AUTHING_CA_FILE="missing.pem", AUTHING_AUDIENCE="app", **jwks, **{mode: value})
    assert findings(response)[finding].startswith("FAIL  AUTHING_CA_FILE: ")


def token(signer: str, pool: str = POOL_ID, *, hours_old: int = 24) -> str:
    """A legacy token, which lives for 15 days."""
    issued = int(datetime.now(UTC).timestamp()) - 3600 * hours_old
    data = {"id": "5f00000000000000000000a1", "clientId": pool}
    times = {"iat": issued, "exp": issued + 15 * 86_400}
    return SigningKeys(signer).hs256({"data": data, **times})


REFUSED = "FAIL  --token-file: authing_token_invalid (bad_token); signing secret: "
ACCEPTED = "ok    accepted; signing secret: "
POOL = "value 1 of AUTHING_USER_POOL_SECRET"
JWT_SECRET, APP_SECRET = "made-up-jwt-secret-1", "made-up-app-secret-2"


@pytest.mark.parametrize(
    ("issued", "candidates", "finding"),
    [
        (
            token(JWT_SECRET),
            [APP_SECRET, JWT_SECRET],
            f"{ACCEPTED}value 2 of AUTHING_TOKEN_SECRETS",
        ),
        (token(POOL_SECRET), [], ACCEPTED + POOL),
        (token(POOL_SECRET), [APP_SECRET], REFUSED + POOL),
        (token(POOL_SECRET, "another"), [], REFUSED + POOL),
        (token(POOL_SECRET, hours_old=400), [], REFUSED + POOL),
        (token("a-secret-of-another-pool"), [APP_SECRET], f"{REFUSED}none"),
    ],
)
def test_a_token_of_authing_shows_which_secret_signs(
    check: Check, folder: Path, issued: str, candidates: list[str], finding: str
) -> None:
    (folder / "token").write_text(issued + "\n")
    response = check("--token-file", "token", AUTHING_TOKEN_SECRETS=",".join(candidates))
    assert findings(response)["signature"] == finding
    assert not any(secret in response.out for secret in (POOL_SECRET, *candidates, issued))


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (None, "FAIL  --token-file: [Errno 2]"),
        (b"\xff", "FAIL  --token-file: 'utf-8' codec can't decode"),
        (b"{}", f"{REFUSED}none"),
    ],
)
def test_a_file_without_a_token_is_a_finding(
    check: Check, folder: Path, content: bytes | None, finding: str
) -> None:
    if content is not None:
        (folder / "token").write_bytes(content)
    response = check("--token-file", "token")
    assert findings(response)["signature"].startswith(finding)


def test_no_check_shows_or_sends_a_secret(folder: Path, check: Check) -> None:
    keys = json.loads((folder / "keys.json").read_bytes())["keys"]
    secrets = {POOL_SECRET, *(key.get("d") or key["k"] for key in keys)}
    response = check()
    for seen in (response.out, response.err, *check.asked):
        assert not any(secret in seen for secret in secrets)
