"""Wrong configurations: each is refused in one line that names the setting and shows no secret."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.stores.sqlite import open_sqlite_store
from tests.commands.conftest import Shell
from tests.commands.environment import without_settings

ROOT = Path(__file__).parents[2]
CANARY = "c4nary0f1e2d3c4b5a"  # stands in whatever an operator might have meant to keep secret
GOOD_SECRET = "made-up-token-secret-0123456789"
GOOD_SERVICE_KEY = "made-up-service-key-0123456789abcdef"

# What is set, the setting that the refusal names, and a part of what it says.
WRONG_VALUES = {
    "no pool id": ({"AUTHING_USER_POOL_ID": ""}, "AUTHING_USER_POOL_ID", "is required"),
    "no pool secret": ({"AUTHING_USER_POOL_SECRET": ""}, "AUTHING_USER_POOL_SECRET", "is required"),
    "no issuer": ({"SESSION_ISSUER": ""}, "SESSION_ISSUER", "is required"),
    "no key file": ({"SESSION_KEYS_FILE": ""}, "SESSION_KEYS_FILE", "is required"),
    "authing over plain http": (
        {"AUTHING_BASE_URL": "http://authing.acme.test"},
        "AUTHING_BASE_URL",
        "must be an https address",
    ),
    "an issuer over plain http": (
        {"SESSION_ISSUER": "http://login.acme.test"},
        "SESSION_ISSUER",
        "must be an https address",
    ),
    "an address without host": ({"SESSION_ISSUER": "https://"}, "SESSION_ISSUER", "https address"),
    "an address that is none": ({"SESSION_ISSUER": "acme"}, "SESSION_ISSUER", "https address"),
    "an address with a user": (
        {"AUTHING_BASE_URL": f"https://admin:{CANARY}@authing.acme.test"},
        "AUTHING_BASE_URL",
        "must have no user, query or fragment",
    ),
    "an address with a query": (
        {"AUTHING_BASE_URL": f"https://authing.acme.test/?secret={CANARY}"},
        "AUTHING_BASE_URL",
        "must have no user, query or fragment",
    ),
    "an address with an empty query": (
        {"AUTHING_BASE_URL": "https://authing.acme.test/?"},
        "AUTHING_BASE_URL",
        "must have no user, query or fragment",
    ),
    "an address with a fragment": (
        {"AUTHING_JWKS_URL": f"https://authing.acme.test/#{CANARY}"},
        "AUTHING_JWKS_URL",
        "must have no user, query or fragment",
    ),
    "an address with half an ipv6": (
        {"AUTHING_BASE_URL": f"https://[{CANARY}"},
        "AUTHING_BASE_URL",
        "",
    ),
    "an address with a deceptive letter": (
        {"AUTHING_BASE_URL": f"https://admin:{CANARY}@authing\N{ACCOUNT OF}.acme.test"},
        "AUTHING_BASE_URL",
        "",
    ),
    "an address with a space": (
        {"AUTHING_BASE_URL": "https://authing acme.test"},
        "AUTHING_BASE_URL",
        "",
    ),
    "an address with a port beyond all": (
        {"AUTHING_BASE_URL": "https://authing.acme.test:99999"},
        "AUTHING_BASE_URL",
        "",
    ),
    "a short pool secret": (
        {"AUTHING_USER_POOL_SECRET": CANARY[:15]},
        "AUTHING_USER_POOL_SECRET",
        "at least 16 bytes",
    ),
    "a sample pool secret": (
        {"AUTHING_USER_POOL_SECRET": f"{CANARY}-change-me"},
        "AUTHING_USER_POOL_SECRET",
        "is a sample value",
    ),
    "a pool secret of one letter": (
        {"AUTHING_USER_POOL_SECRET": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        "AUTHING_USER_POOL_SECRET",
        "is a sample value",
    ),
    "one short token secret of two": (
        {"AUTHING_TOKEN_SECRETS": f"{GOOD_SECRET},{CANARY[:15]}"},
        "AUTHING_TOKEN_SECRETS",
        "at least 16 bytes",
    ),
    "one sample token secret of two": (
        {"AUTHING_TOKEN_SECRETS": f"your-secret-{CANARY},{GOOD_SECRET}"},
        "AUTHING_TOKEN_SECRETS",
        "is a sample value",
    ),
    "a pool id with a slash": (
        {"AUTHING_USER_POOL_ID": f"pool/{CANARY}"},
        "AUTHING_USER_POOL_ID",
        "",
    ),
    "a pool id that is too long": ({"AUTHING_USER_POOL_ID": "a" * 65}, "AUTHING_USER_POOL_ID", ""),
    "a misspelt mode": ({"AUTHING_TOKEN_MODE": "jwsk"}, "AUTHING_TOKEN_MODE", "'hs256' or 'jwks'"),
    "a rate without a time": (
        {"RATE_LIMIT_LOGIN": f"30 {CANARY}"},
        "RATE_LIMIT_LOGIN",
        "must be <count>/<second|minute|hour|day>",
    ),
    "a rate of none at all": (
        {"RATE_LIMIT_REFRESH": "0/minute"},
        "RATE_LIMIT_REFRESH",
        "must be <count>/<second|minute|hour|day>",
    ),
    "any proxy at all": ({"TRUSTED_PROXIES": "*"}, "TRUSTED_PROXIES", "must be addresses"),
    "every address a proxy": ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "TRUSTED_PROXIES", "everybody"),
    "a short service key": (
        {"SERVICE_API_KEYS": f"{CANARY}0123456789abc"},
        "SERVICE_API_KEYS",
        "at least 32 bytes",
    ),
    "one short service key of two": (
        {"SERVICE_API_KEYS": f"{GOOD_SERVICE_KEY},{CANARY}"},
        "SERVICE_API_KEYS",
        "at least 32 bytes",
    ),
    "a comma after the last service key": (
        {"SERVICE_API_KEYS": f"{GOOD_SERVICE_KEY},"},
        "SERVICE_API_KEYS",
        "at least 32 bytes",
    ),
    "a sample service key": (
        {"SERVICE_API_KEYS": f"change-me-{CANARY}-{CANARY}"},
        "SERVICE_API_KEYS",
        "is a sample value",
    ),
    "a service key of one letter": (
        {"SERVICE_API_KEYS": "a" * 64},
        "SERVICE_API_KEYS",
        "is a sample value",
    ),
    "a ticket that does not live": ({"AUTHING_TICKET_TTL": "0"}, "AUTHING_TICKET_TTL", "second"),
    "a ticket that lived": ({"AUTHING_TICKET_TTL": "-120"}, "AUTHING_TICKET_TTL", "ISO 8601"),
    "fewer sessions than none": ({"SESSION_MAX_PER_USER": "-1"}, "SESSION_MAX_PER_USER", "0"),
    "half a session": ({"SESSION_MAX_PER_USER": "1.5"}, "SESSION_MAX_PER_USER", "integer"),
    "sessions beyond counting": ({"SESSION_MAX_PER_USER": "1001"}, "SESSION_MAX_PER_USER", "1000"),
    "one session perhaps": (
        {"SESSION_ONE_PER_DEVICE_TYPE": "perhaps"},
        "SESSION_ONE_PER_DEVICE_TYPE",
        "boolean",
    ),
    "days in words": ({"SESSION_IDLE_TTL": "14 d"}, "SESSION_IDLE_TTL", "ISO 8601"),
    "no time at all": ({"SESSION_ACCESS_TTL": "0"}, "SESSION_ACCESS_TTL", ""),
    "a negative time": ({"DRAIN_DELAY": "-1"}, "DRAIN_DELAY", "ISO 8601"),
    "a broken second": ({"AUTHING_TIMEOUT": "1.5"}, "AUTHING_TIMEOUT", "ISO 8601"),
    "a period of nothing": ({"SHUTDOWN_TIMEOUT": "PT"}, "SHUTDOWN_TIMEOUT", ""),
    "a period that is none": ({"SHUTDOWN_TIMEOUT": "P1DT1DT"}, "SHUTDOWN_TIMEOUT", ""),
    "more seconds than there are": ({"SESSION_ABSOLUTE_TTL": "9" * 11}, "SESSION_ABSOLUTE_TTL", ""),
    "more days than there are": (
        {"SESSION_ABSOLUTE_TTL": "P99999999999D"},
        "SESSION_ABSOLUTE_TTL",
        "",
    ),
    "more days than the calendar has": (
        {"SESSION_ABSOLUTE_TTL": "P9999999D"},
        "SESSION_ABSOLUTE_TTL",
        "",
    ),
    "a window beyond the calendar": (
        {"SESSION_RECOVERY_WINDOW": "P9999999D"},
        "SESSION_RECOVERY_WINDOW",
        "",
    ),
    "idle for longer than at all": (
        {"SESSION_IDLE_TTL": "P31D"},
        "SESSION_IDLE_TTL",
        "must not be longer than SESSION_ABSOLUTE_TTL",
    ),
    "an access token that outlives its session": (
        {"SESSION_ACCESS_TTL": "PT2H", "SESSION_IDLE_TTL": "PT1H"},
        "SESSION_ACCESS_TTL",
        "must not be longer than SESSION_IDLE_TTL",
    ),
    "a wechat id of another kind": ({"MINIPROGRAM_USER_NAME": "wx12"}, "MINIPROGRAM_USER_NAME", ""),
    "a path without slash": ({"MINIPROGRAM_PATH": "routes"}, "MINIPROGRAM_PATH", ""),
    "a path with a query": ({"MINIPROGRAM_PATH": f"/routes?{CANARY}"}, "MINIPROGRAM_PATH", ""),
    "an unknown type": ({"MINIPROGRAM_TYPE": "beta"}, "MINIPROGRAM_TYPE", "'release', 'test'"),
    "neither yes nor no": ({"MINIPROGRAM_GET_PHONE": "maybe"}, "MINIPROGRAM_GET_PHONE", "boolean"),
    "a port in words": ({"PORT": "http"}, "PORT", "integer"),
    "a port beyond all": ({"PORT": "65536"}, "PORT", "65535"),
    "a port before all": ({"PORT": "-1"}, "PORT", "0"),
    "an unknown level": ({"LOG_LEVEL": "loud"}, "LOG_LEVEL", "'debug', 'info'"),
    "an unknown form": ({"LOG_FORMAT": "xml"}, "LOG_FORMAT", "'json' or 'console'"),
    "a store of another kind": (
        {"STORE_URL": f"postgres://:{CANARY}@db.acme.test"},
        "STORE_URL",
        "must be sqlite:///relative/path, sqlite:////absolute/path, redis[s]://",
    ),
    "a store with two slashes": ({"STORE_URL": "sqlite://data.db"}, "STORE_URL", "sqlite:///"),
    "a store without a path": ({"STORE_URL": "sqlite:///"}, "STORE_URL", "sqlite:///"),
    "a store with options": ({"STORE_URL": "sqlite:///a.db?mode=ro"}, "STORE_URL", "sqlite:///"),
    "a store in memory": ({"STORE_URL": "sqlite:///:memory:"}, "STORE_URL", ""),
    "a redis without a host": ({"STORE_URL": f"redis://:{CANARY}@"}, "STORE_URL", "host"),
    "a redis with options": ({"STORE_URL": f"redis://a/0?password={CANARY}"}, "STORE_URL", ""),
    "a redis with a named database": ({"STORE_URL": "redis://a/x"}, "STORE_URL", "number"),
    "a redis at two hosts": ({"STORE_URL": "redis://a,b"}, "STORE_URL", "one host"),
    "a redis at no port": ({"STORE_URL": "redis://a:0"}, "STORE_URL", "name:port"),
    "sentinels without a service": ({"STORE_URL": "redis+sentinel://a"}, "STORE_URL", "service"),
    "a cluster": ({"STORE_URL": "redis+cluster://a,b"}, "STORE_URL", "redis[s]+sentinel://"),
}
JWKS = {
    "AUTHING_JWKS_URL": "https://authing.acme.test/jwks.json",
    "AUTHING_ISSUER": "https://authing.acme.test",
    "AUTHING_AUDIENCE": "acme",
}


def make_missing(folder: Path) -> Path:
    return folder / "missing"


def make_folder(folder: Path) -> Path:
    (folder / "made").mkdir()
    return folder / "made"


def make_empty(folder: Path) -> Path:
    (folder / "made").touch()
    return folder / "made"


def make_garbage(folder: Path) -> Path:
    (folder / "made").write_bytes(CANARY.encode() + b"\0\xff" * 2000)
    return folder / "made"


def make_file_above(folder: Path) -> Path:
    (folder / "made").touch()
    return folder / "made" / "below"


def make_weak_keys(folder: Path) -> Path:
    (folder / "made").write_text(f'{{"keys": [{{"kty": "oct", "k": "{CANARY}"}}]}}')
    return folder / "made"


def make_oct_only(folder: Path) -> Path:
    (folder / "made").write_text(f'{{"keys": [{{"kty": "oct", "k": "{CANARY * 3}"}}]}}')
    return folder / "made"


def make_certificate_stub(folder: Path) -> Path:
    (folder / "made").write_text("-----BEGIN CERTIFICATE-----\n")
    return folder / "made"


WRONG_FILES = [
    ("SESSION_KEYS_FILE", make_missing),
    ("SESSION_KEYS_FILE", make_folder),
    ("SESSION_KEYS_FILE", make_empty),
    ("SESSION_KEYS_FILE", make_garbage),
    ("SESSION_KEYS_FILE", make_weak_keys),
    ("SESSION_KEYS_FILE", make_oct_only),
    ("AUTHING_CA_FILE", make_missing),
    ("AUTHING_CA_FILE", make_folder),
    ("AUTHING_CA_FILE", make_empty),
    ("AUTHING_CA_FILE", make_garbage),
    ("AUTHING_CA_FILE", make_certificate_stub),
    ("STORE_CA_FILE", make_missing),
    ("STORE_CA_FILE", make_garbage),
    ("STORE_CA_FILE", make_certificate_stub),
    ("STORE_URL", make_folder),
    ("STORE_URL", make_garbage),
    ("STORE_URL", make_file_above),
]


def assert_refused(code: int, err: str, name: str, says: str = "") -> None:
    assert code == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith(f"ticketgate: {name}: "), err
    assert says in err
    assert CANARY[:12].lower() not in err.lower()


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("settings", "name", "says"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_wrong_value_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, settings: dict[str, str], name: str, says: str
) -> None:
    for setting, value in settings.items():
        monkeypatch.setenv(setting, value)

    answer = shell("serve")

    assert_refused(answer.code, answer.err, name, says)
    assert answer.out == ""


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize("missing", JWKS)
def test_jwks_mode_names_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, missing: str
) -> None:
    monkeypatch.setenv("AUTHING_TOKEN_MODE", "jwks")
    for setting, value in JWKS.items():
        monkeypatch.setenv(setting, "" if setting == missing else value)

    answer = shell("serve")

    assert_refused(answer.code, answer.err, missing, "is required with AUTHING_TOKEN_MODE=jwks")


@pytest.mark.usefixtures("taken_port")
@pytest.mark.parametrize(("name", "make"), WRONG_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: Shell,
    name: str,
    make: Callable[[Path], Path],
) -> None:
    path = make(folder)
    monkeypatch.setenv(name, f"sqlite:///{path}" if name == "STORE_URL" else str(path))
    if name == "STORE_CA_FILE":
        monkeypatch.setenv("STORE_URL", "rediss://redis.acme.test")

    answer = shell("serve")

    assert_refused(answer.code, answer.err, name, str(path))
    assert answer.out == ""


@pytest.mark.usefixtures("taken_port")
def test_an_unknown_name_in_the_env_file_is_refused_in_one_line(folder: Path, shell: Shell) -> None:
    (folder / ".env").write_text(f"AUTHING_POOL_SECRET={CANARY}\n")

    answer = shell("serve")

    assert_refused(answer.code, answer.err, "AUTHING_POOL_SECRET", "is not a setting")


# --- the same, as an operator sees it ---


def serve(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = without_settings() | {"PYTHONPATH": str(ROOT)} | settings
    command = [sys.executable, "-m", "app", "serve"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_server_without_settings_names_all_that_are_required(folder: Path) -> None:
    refused = serve(folder)

    assert_refused(refused.returncode, refused.stderr, "AUTHING_USER_POOL_ID")
    for name in ("AUTHING_USER_POOL_SECRET", "SESSION_ISSUER", "SESSION_KEYS_FILE"):
        assert f"; {name}: is required" in refused.stderr
    assert refused.stdout == ""


def test_a_second_server_on_the_same_store_is_refused(folder: Path) -> None:
    with open_sqlite_store(folder / "sessions.db"):
        refused = serve(folder, **os.environ)

    assert_refused(refused.returncode, refused.stderr, "STORE_URL", "in use by another process")


@pytest.mark.usefixtures("taken_port")
def test_a_server_whose_port_is_taken_is_refused(folder: Path) -> None:
    refused = serve(folder, **os.environ)

    assert_refused(refused.returncode, refused.stderr, "PORT", "in use")
    assert refused.stdout == ""


def test_a_server_whose_address_is_not_of_this_machine_is_refused(folder: Path) -> None:
    refused = serve(folder, **os.environ, PORT="0", HOST="192.0.2.1")

    assert_refused(refused.returncode, refused.stderr, "HOST")
    assert refused.stdout == ""


def test_a_server_whose_address_is_none_is_refused(folder: Path) -> None:
    # Brackets belong to URLs; no name server needs to be asked to know that.
    refused = serve(folder, **os.environ, PORT="0", HOST="[::1]")

    assert_refused(refused.returncode, refused.stderr, "HOST", "is not an address")
    assert refused.stdout == ""
