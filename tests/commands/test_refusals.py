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

# The setting, its value, and a part of what the refusal says.
WRONG_VALUES = [
    ("AUTHING_USER_POOL_ID", "", "is required"),
    ("AUTHING_USER_POOL_SECRET", "", "is required"),
    ("SESSION_ISSUER", "", "is required"),
    ("SESSION_KEYS_FILE", "", "is required"),
    ("AUTHING_BASE_URL", "http://authing.acme.test", "must be an https address"),
    ("SESSION_ISSUER", "http://login.acme.test", "must be an https address"),
    ("SESSION_ISSUER", "https://", "https address"),
    ("SESSION_ISSUER", "acme", "https address"),
    (
        "AUTHING_BASE_URL",
        f"https://admin:{CANARY}@authing.acme.test",
        "must have no user, query or fragment",
    ),
    (
        "AUTHING_BASE_URL",
        f"https://authing.acme.test/?secret={CANARY}",
        "must have no user, query or fragment",
    ),
    ("AUTHING_BASE_URL", "https://authing.acme.test/?", "must have no user, query or fragment"),
    (
        "AUTHING_JWKS_URL",
        f"https://authing.acme.test/#{CANARY}",
        "must have no user, query or fragment",
    ),
    ("AUTHING_BASE_URL", f"https://[{CANARY}", ""),
    ("AUTHING_BASE_URL", f"https://admin:{CANARY}@authing\N{ACCOUNT OF}.acme.test", ""),
    ("AUTHING_BASE_URL", "https://authing acme.test", ""),
    ("AUTHING_BASE_URL", "https://authing.acme.test:99999", ""),
    ("AUTHING_USER_POOL_SECRET", CANARY[:15], "at least 16 bytes"),
    ("AUTHING_USER_POOL_SECRET", f"{CANARY}-change-me", "is a sample value"),
    ("AUTHING_USER_POOL_SECRET", "a" * 32, "is a sample value"),
    ("AUTHING_TOKEN_SECRETS", f"{GOOD_SECRET},{CANARY[:15]}", "at least 16 bytes"),
    ("AUTHING_TOKEN_SECRETS", f"your-secret-{CANARY},{GOOD_SECRET}", "is a sample value"),
    ("AUTHING_USER_POOL_ID", f"pool/{CANARY}", ""),
    ("AUTHING_USER_POOL_ID", "a" * 65, ""),
    ("AUTHING_TOKEN_MODE", "jwsk", "'hs256' or 'jwks'"),
    ("RATE_LIMIT_LOGIN", f"30 {CANARY}", "must be <count>/<second|minute|hour|day>"),
    ("RATE_LIMIT_REFRESH", "0/minute", "must be <count>/<second|minute|hour|day>"),
    ("TRUSTED_PROXIES", "*", "must be addresses"),
    ("TRUSTED_PROXIES", "0.0.0.0/0", "everybody"),
    ("SERVICE_API_KEYS", f"{CANARY}0123456789abc", "at least 32 bytes"),
    ("SERVICE_API_KEYS", f"{GOOD_SERVICE_KEY},{CANARY}", "at least 32 bytes"),
    ("SERVICE_API_KEYS", f"{GOOD_SERVICE_KEY},", "at least 32 bytes"),
    ("SERVICE_API_KEYS", f"change-me-{CANARY}-{CANARY}", "is a sample value"),
    ("SERVICE_API_KEYS", "a" * 64, "is a sample value"),
    ("AUTHING_TICKET_TTL", "0", "second"),
    ("AUTHING_TICKET_TTL", "-120", "ISO 8601"),
    ("SESSION_MAX_PER_USER", "-1", "0"),
    ("SESSION_MAX_PER_USER", "1.5", "integer"),
    ("SESSION_MAX_PER_USER", "1001", "1000"),
    ("SESSION_ONE_PER_DEVICE_TYPE", "perhaps", "boolean"),
    ("SESSION_IDLE_TTL", "14 d", "ISO 8601"),
    ("SESSION_ACCESS_TTL", "0", ""),
    ("DRAIN_DELAY", "-1", "ISO 8601"),
    ("AUTHING_TIMEOUT", "1.5", "ISO 8601"),
    ("SHUTDOWN_TIMEOUT", "PT", ""),
    ("SHUTDOWN_TIMEOUT", "P1DT1DT", ""),
    ("SESSION_ABSOLUTE_TTL", "9" * 11, ""),
    ("SESSION_ABSOLUTE_TTL", "P99999999999D", ""),
    ("SESSION_ABSOLUTE_TTL", "P9999999D", ""),
    ("SESSION_RECOVERY_WINDOW", "P9999999D", ""),
    ("SESSION_IDLE_TTL", "P31D", "must not be longer than SESSION_ABSOLUTE_TTL"),
    ("MINIPROGRAM_USER_NAME", "wx12", ""),
    ("MINIPROGRAM_PATH", "routes", ""),
    ("MINIPROGRAM_PATH", f"/routes?{CANARY}", ""),
    ("MINIPROGRAM_TYPE", "beta", "'release', 'test'"),
    ("MINIPROGRAM_GET_PHONE", "maybe", "boolean"),
    ("PORT", "http", "integer"),
    ("PORT", "65536", "65535"),
    ("PORT", "-1", "0"),
    ("LOG_LEVEL", "loud", "'debug', 'info'"),
    ("LOG_FORMAT", "xml", "'json' or 'console'"),
    (
        "STORE_URL",
        f"postgres://:{CANARY}@db.acme.test",
        "must be sqlite:///relative/path, sqlite:////absolute/path, redis[s]://",
    ),
    ("STORE_URL", "sqlite:///:memory:", ""),
    ("STORE_URL", f"redis://:{CANARY}@", "host"),
    ("STORE_URL", f"redis://a/0?password={CANARY}", ""),
    ("STORE_URL", "redis+cluster://a,b", "redis[s]+sentinel://"),
]

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
@pytest.mark.parametrize(("name", "value", "says"), WRONG_VALUES)
def test_a_wrong_value_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    answer = shell("serve")
    assert_refused(answer.code, answer.err, name, says)
    assert answer.out == ""


@pytest.mark.usefixtures("taken_port")
def test_an_access_token_must_not_outlive_its_session(
    monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.setenv("SESSION_ACCESS_TTL", "PT2H")
    monkeypatch.setenv("SESSION_IDLE_TTL", "PT1H")
    answer = shell("serve")
    says = "must not be longer than SESSION_IDLE_TTL"
    assert_refused(answer.code, answer.err, "SESSION_ACCESS_TTL", says)


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
