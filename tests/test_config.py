"""The settings: their sources, their rules, and `.env.example`."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from app.commands.serve import unknown_names
from app.config import SECRETS_DIR, Settings, load_settings
from app.errors import StartupError
from app.store_url import parse_store_url
from tests.commands.environment import enter, minimal, names_of_settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"
REQUIRED = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
CANARY = "c4nary-0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.fixture
def minimum(tmp_path: Path) -> dict[str, str]:
    return minimal(tmp_path)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minimum: dict[str, str]
) -> None:
    enter(tmp_path, monkeypatch, **minimum)


@pytest.fixture
def secrets_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def load(env_file: Path | None = None, secrets_dir: Path | None = None, **given: Any) -> Settings:
    return load_settings(Settings, env_file=env_file, secrets_dir=secrets_dir, **given)


def refusal(env_file: Path | None = None, secrets_dir: Path | None = None) -> str:
    with pytest.raises(StartupError) as caught:
        load(env_file, secrets_dir)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__cause__ is None
    return text


# --- where a setting comes from ---


def test_the_environment_wins_over_env_file_and_that_over_secret_files(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, secrets_dir: Path
) -> None:
    (secrets_dir / "HOST").write_text("secret.test")
    assert load(env_file, secrets_dir).host == "secret.test"
    env_file.write_text("HOST=file.test\n")
    assert load(env_file, secrets_dir).host == "file.test"
    monkeypatch.setenv("HOST", "environment.test")
    assert load(env_file, secrets_dir).host == "environment.test"


def test_an_empty_value_leaves_the_setting_to_the_next_source(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, secrets_dir: Path
) -> None:
    monkeypatch.setenv("HOST", "")
    env_file.write_text("HOST=\n")
    for content in ("", "\n", " \r\n"):
        for name in ("HOST", "PORT", "AUTHING_ISSUER", "DRAIN_DELAY"):
            (secrets_dir / name).write_text(content)
        settings = load(env_file, secrets_dir)
        assert (settings.host, settings.port) == ("127.0.0.1", 8000)
        assert (settings.authing_issuer, settings.drain_delay) == (None, timedelta(seconds=5))
    (secrets_dir / "HOST").write_text("secret.test")
    assert load(env_file, secrets_dir).host == "secret.test"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_end_of_a_secret_file_is_no_part_of_the_secret(
    monkeypatch: pytest.MonkeyPatch, secrets_dir: Path, end: str
) -> None:
    monkeypatch.delenv("AUTHING_USER_POOL_SECRET")
    (secrets_dir / "AUTHING_USER_POOL_SECRET").write_text(CANARY + end, newline="")
    settings = load(secrets_dir=secrets_dir)
    assert settings.authing_user_pool_secret == (SecretStr(CANARY),)


def test_files_that_are_missing_or_of_other_programs_do_not_matter(
    tmp_path: Path, secrets_dir: Path
) -> None:
    assert load(tmp_path / "no-env", tmp_path / "no-secrets").port == 8000
    (secrets_dir / "SOMEBODY_ELSES").write_text("value")
    (secrets_dir / "kubernetes.io").mkdir()
    assert load(secrets_dir=secrets_dir).port == 8000


# --- sources that cannot be read ---


def test_an_unknown_name_in_the_env_file_is_refused(env_file: Path) -> None:
    env_file.write_text(f"AUTHING_POOL_SECRET={CANARY}\n")
    text = refusal(env_file)
    assert text == "AUTHING_POOL_SECRET: is not a setting (in .env)"


@pytest.mark.parametrize(
    "line",
    [b"HOST 127.0.0.1", b"HOST='127.0.0.1", CANARY.encode(), b"HOST=" + CANARY.encode() + b"\xff"],
)
def test_an_env_file_with_a_line_that_sets_nothing_or_is_no_text_is_refused(
    capfd: pytest.CaptureFixture[str], env_file: Path, line: bytes
) -> None:
    env_file.write_bytes(line + b"\nPORT=9000\n")
    text = refusal(env_file)
    assert ".env" in text
    assert CANARY not in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.write_bytes(CANARY.encode() + b"\xff"),
        lambda file: file.symlink_to("nowhere"),
        lambda file: file.mkdir(),  # Docker makes one of a mount without source
    ],
    ids=["not text", "leads nowhere", "a folder"],
)
def test_a_secret_file_that_cannot_be_read_is_refused_in_one_line(
    secrets_dir: Path, make: Callable[[Path], object]
) -> None:
    make(secrets_dir / "AUTHING_TOKEN_SECRETS")
    text = refusal(secrets_dir=secrets_dir)
    assert text.startswith("AUTHING_TOKEN_SECRETS: ")
    assert CANARY not in text


def test_all_wrong_settings_are_listed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SESSION_ISSUER")
    monkeypatch.setenv("PORT", "eighty")
    problems = refusal().split("; ")
    assert [problem.partition(":")[0] for problem in problems] == ["SESSION_ISSUER", "PORT"]


@pytest.mark.parametrize("name", ["AUTHING_USER_POOL_SECRET", "HOST"])
def test_a_byte_order_mark_of_a_file_is_no_part_of_the_first_value(
    monkeypatch: pytest.MonkeyPatch, env_file: Path, secrets_dir: Path, name: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    (secrets_dir / name).write_text(CANARY, "utf-8-sig")
    from_secret = load(secrets_dir=secrets_dir)
    (secrets_dir / name).unlink()
    env_file.write_text(f"{name}={CANARY}\n", "utf-8-sig")
    for settings in (from_secret, load(env_file)):
        assert settings.model_dump()[name.lower()] in (CANARY, (SecretStr(CANARY),))


# --- names that are no settings ---


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SESSION_ACCES_TTL", "SESSION_ACCESS_TTL"),
        ("session_issuers", "SESSION_ISSUER"),
        ("AUTHNG_USER_POOL_ID", "AUTHING_USER_POOL_ID"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("RATELIMIT_LOGIN", "RATE_LIMIT_LOGIN"),
        ("METRIC_PORT", "METRICS_PORT"),
        ("STORE_PASSWORD", ""),
        ("AUTHING_APP_ID", ""),
    ],
)
def test_a_name_that_is_almost_a_setting_is_found_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    monkeypatch.setenv(name, "any")
    assert unknown_names() == [(name.upper(), nearest)]


@pytest.mark.parametrize(
    "name",
    [
        *("SESSION_MANAGER", "HOSTNAME", "LOGNAME", "PATH", "PORT0", "LOG_DIR", "API_KEY"),
        *("STORE_SERVICE_HOST", "STORE_SERVICE_PORT_HTTP", "AUTHING_PORT_80_TCP_ADDR", "host"),
        *("SESSION_ISSUER", "STORE_PORT"),
    ],
)
def test_a_setting_or_a_name_of_another_program_is_not_found(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "any")
    assert unknown_names() == []


# --- what a setting may be ---

TWO_SECRETS = (SecretStr(CANARY), SecretStr(CANARY[::-1]))
PROXIES = ("10.0.0.0/8", "192.0.2.7", "fd00::/8", "2001:db8::7/128")
BASE_URLS = ("https://authing.acme.test:8443/base", "http://127.0.0.1:3000")
DAYS_14 = timedelta(days=14)
STORE_URLS = ("sqlite:////data/sessions.db", "redis://:c4nary@redis.acme.test:6380/1")

# The setting, how it may be written, and its value.
ACCEPTED: list[tuple[str, Iterable[str], Any]] = [
    ("SHUTDOWN_TIMEOUT", ["1", " 1 ", "PT1S"], timedelta(seconds=1)),
    ("SHUTDOWN_TIMEOUT", ["600", "PT10M"], timedelta(minutes=10)),
    ("SESSION_IDLE_TTL", ["1209600", "P14D", "P2W"], DAYS_14),
    ("DRAIN_DELAY", ["0"], timedelta(0)),
    ("AUTHING_TOKEN_MAX_AGE", ["0"], timedelta(0)),
    ("SESSION_RECOVERY_WINDOW", ["0"], timedelta(0)),
    ("AUTHING_BASE_URL", ["http://localhost:3000"], "http://localhost:3000"),
    ("AUTHING_BASE_URL", ["http://[::1]:3000"], "http://[::1]:3000"),
    *(
        ("AUTHING_ONLINE_URL", texts, f"https://a.test{path}?{parameter}")
        for path, parameter, texts in (
            ("/authing/token", "access_token", ["https://a.test/authing/token"]),
            ("/authing/token", "access_token", ["https://a.test/authing/token?access_token="]),
            ("/v/validate_token", "id_token", ["https://a.test/v/validate_token"]),
            ("/v/validate_token", "access_token", ["https://a.test/v/validate_token?access_token"]),
        )
    ),
    *(("AUTHING_BASE_URL", [url, f"{url}/"], url) for url in BASE_URLS),
    *(
        (name, [separator.join((CANARY, CANARY[::-1])) for separator in (",", ", ", " ,")], secrets)
        for name, secrets in (
            ("AUTHING_USER_POOL_SECRET", TWO_SECRETS),
            ("AUTHING_TOKEN_SECRETS", TWO_SECRETS),
            ("SERVICE_API_KEYS", TWO_SECRETS),
        )
    ),
    ("TRUSTED_PROXIES", [s.join(PROXIES) for s in (",", ", ", " ,")], (*map(ip_network, PROXIES),)),
    *(("SESSION_MAX_PER_USER", [str(limit)], limit) for limit in (1, 1000)),
    ("RATE_LIMIT_LOGIN", ["1/second"], "1/second"),
    ("RATE_LIMIT_LOGIN", ["30/minute", " 30/Minute "], "30/minute"),
    ("RATE_LIMIT_REFRESH", ["999999/hour"], "999999/hour"),
    ("RATE_LIMIT_REFRESH", ["1/day"], "1/day"),
    ("RATE_LIMIT_LOGIN", ["off", "OFF"], None),
    ("RATE_LIMIT_REFRESH", ["off", "OFF"], None),
    *(("MINIPROGRAM_USER_NAME", [n], n) for n in ("gh_a781a791e29e@app", "gh_A781")),
    *(("MINIPROGRAM_PATH", [path], path) for path in ("pages/login", "/a/b?from=app&x=%20")),
    ("MINIPROGRAM_PATH", ["pages/index/index.html?"], "pages/index/index.html?"),
    ("LOG_LEVEL", ["warning", "WARNING"], "warning"),
    *(("STORE_URL", [url], parse_store_url(url)) for url in STORE_URLS),
]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [(name, text, value) for name, texts, value in ACCEPTED for text in texts],
)
def test_a_setting_has_the_value_that_is_written(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(load(), name.lower()) == value


@pytest.mark.parametrize("make", [secrets.token_hex, secrets.token_urlsafe])
def test_32_random_bytes_are_a_service_key(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[int], str]
) -> None:
    made = [make(32) for _ in range(200)]
    monkeypatch.setenv("SERVICE_API_KEYS", ",".join(made))
    assert len(load().service_api_keys) == len(made)


GOOD_SECRET = "made-up-token-secret-0123456789"
GOOD_SERVICE_KEY = "made-up-service-key-0123456789abcdef"
WEAK_KEY = (
    "is a sample value or too regular, not a secret; `python -m app keys service` prints a good one"
)
HTTPS = "must be an https address"
NO_PARTS = "must have no user, query or fragment"
SHORT_CANARY = CANARY[:15]
RATE = "must be <1 to 999999>/<second|minute|hour|day>, such as 30/minute, or off"
NETWORKS = "must be addresses and networks"
DURATION = "must be whole seconds (600) or an ISO 8601 duration (PT10M), from {} s to 3650 days"
FROM_0, FROM_1 = DURATION.format(0), DURATION.format(1)

# The setting, the beginning of what the refusal says, and values.
WRONG_VALUES: list[tuple[str, str, list[str]]] = [
    *((name, "is required", [""]) for name in sorted(REQUIRED)),
    ("SESSION_ISSUER", HTTPS, ["http://login.acme.test", "https://", "acme"]),
    ("AUTHING_BASE_URL", HTTPS, ["http://authing.acme.test", f"https://[{CANARY}"]),
    ("AUTHING_BASE_URL", HTTPS, ["https://authing acme.test", "https://authing.acme.test:99999"]),
    ("AUTHING_BASE_URL", NO_PARTS, [f"https://admin:{CANARY}@authing\N{ACCOUNT OF}.acme.test"]),
    ("AUTHING_BASE_URL", NO_PARTS, [f"https://a.test/?secret={CANARY}", "https://a.test/?"]),
    (
        "AUTHING_ONLINE_URL",
        "must have no query but",
        ["https://a.test/?token=", "https://a.test/?a=b"],
    ),
    ("AUTHING_ONLINE_URL", "must be an https address", ["http://a.test/authing/token"]),
    ("AUTHING_JWKS_URL", NO_PARTS, [f"https://authing.acme.test/#{CANARY}"]),
    ("AUTHING_USER_POOL_SECRET", "must be at least 16 bytes", [SHORT_CANARY]),
    ("AUTHING_USER_POOL_SECRET", "is a sample value", [f"{CANARY}-change-me", "a" * 32]),
    ("AUTHING_TOKEN_SECRETS", "must be at least 16 bytes", [f"{GOOD_SECRET},{SHORT_CANARY}"]),
    (
        "AUTHING_USER_POOL_SECRET",
        "must be the current secret",
        [f"{GOOD_SECRET},{CANARY},{GOOD_SECRET}"],
    ),
    ("AUTHING_TOKEN_SECRETS", "is a sample value", [f"your-secret-{CANARY},{GOOD_SECRET}"]),
    ("AUTHING_USER_POOL_ID", "must be 1 to 64 letters, digits,", [f"pool/{CANARY}", "a" * 65]),
    ("AUTHING_TOKEN_MODE", "must be 'hs256', 'jwks' or 'online'", ["jwsk"]),
    ("RATE_LIMIT_REFRESH", RATE, ["0", "30", "30/", "30/week", "30 per minute", "30/2minutes"]),
    ("RATE_LIMIT_LOGIN", RATE, ["0/minute", "-1/minute", "01/minute", "3e1/minute", "1000000/day"]),
    ("RATE_LIMIT_LOGIN", RATE, ["1/hour;1/day", "none", "false", f"30 {CANARY}"]),
    ("TRUSTED_PROXIES", NETWORKS, ["*", "10.0.0.0/8,*", "10.0.0.0/8,,192.0.2.7", "10.0.0.1/8"]),
    ("TRUSTED_PROXIES", NETWORKS, ["10.0.0.0/33", "10.0.0.1:80", f"{CANARY}.acme.test"]),
    ("TRUSTED_PROXIES", "must not be everybody", ["0.0.0.0/0", "10.0.0.0/8, ::/0"]),
    (
        "TRUSTED_PROXIES",
        "must have IPv4 networks in the form of IPv4",
        ["::ffff:10.0.0.0/104", "64:ff9b::/96"],
    ),
    ("CORS_ORIGINS", "must be origins, comma-separated", ["*", "null", "https://a.test,*"]),
    ("CORS_ORIGINS", "must be origins, comma-separated", ["a.test", "https://a.test/b", "file://"]),
    ("SERVICE_API_KEYS", "must be at least 32 bytes", [f"{GOOD_SERVICE_KEY},{CANARY[:31]}"]),
    ("SERVICE_API_KEYS", "must be at least 32 bytes", [f"{GOOD_SERVICE_KEY},"]),
    ("SERVICE_API_KEYS", "is a sample value or too regular", [f"change-me-{CANARY}", "a" * 64]),
    ("SERVICE_API_KEYS", WEAK_KEY, ["0123456789abcdef" * 4, "deadbeef" * 8, "00112233" * 8]),
    ("SERVICE_API_KEYS", WEAK_KEY, [bytes(range(32)).hex(), bytes(range(200, 168, -1)).hex()]),
    ("SERVICE_API_KEYS", WEAK_KEY, ["AAAAAAAA" * 5 + "AAA", "abcdefghijklmnopqrstuvwxyz012345"]),
    ("SERVICE_API_KEYS", WEAK_KEY, ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]),
    ("SERVICE_API_KEYS", WEAK_KEY, ["password" * 4, "Tr0ub4dor&3-secret" * 3]),
    ("SERVICE_API_KEYS", WEAK_KEY, ["correct horse battery staple correct horse battery staple"]),
    (
        "AUTHING_USER_POOL_SECRET",
        "is a sample value or too regular",
        ["0123456789abcdef", "Pass12" * 4],
    ),
    (
        "AUTHING_TOKEN_SECRETS",
        "is a sample value or too regular",
        ["abcdefghijklmnop", "jwtSecret" * 3],
    ),
    ("AUTHING_TICKET_TTL", FROM_1, ["0", "-120", "1.5", "2 min", "PT0.5S"]),
    ("KEEP_ALIVE", FROM_1, ["0", "-1", "P3651D"]),
    ("SESSION_DEVICE_BINDING", "must be 'off', 'optional' or 'required'", ["on", "true"]),
    ("SESSION_MAX_PER_USER", "must be a whole number from 1 to 1000", ["0", "1.5", "1001", "x"]),
    ("SESSION_ONE_PER_DEVICE_TYPE", "must be a valid boolean", ["perhaps"]),
    ("DRAIN_DELAY", FROM_0, ["-1"]),
    ("SHUTDOWN_TIMEOUT", FROM_1, ["PT", "P1DT1DT"]),
    ("SESSION_ABSOLUTE_TTL", FROM_1, ["9" * 11, "P99999999999D", "P9999999D"]),
    ("SESSION_RECOVERY_WINDOW", FROM_0, ["P9999999D"]),
    ("SESSION_IDLE_TTL", "must not be longer than SESSION_ABSOLUTE_TTL", ["P31D"]),
    ("SESSION_ACCESS_TTL", "must not be longer than SESSION_IDLE_TTL", ["P15D"]),
    ("MINIPROGRAM_USER_NAME", "must be an original id, such as gh_", ["wx12", "gh_", "gh_1@web"]),
    (
        "MINIPROGRAM_PATH",
        "must be a page, such as /routes/explore",
        [f"/a#{CANARY}", "/a b", "?a=1"],
    ),
    ("MINIPROGRAM_TYPE", "must be 'release', 'test' or 'preview'", ["beta"]),
    ("PORT", "must be a whole number from 0 to 65535", ["http", "65536", "-1", "80.5"]),
    ("METRICS_PORT", "must be a whole number from 1 to 65535", ["0", "65536"]),
    ("METRICS_PORT", "must not be the same as PORT", ["8000"]),
    ("LOG_LEVEL", "must be 'debug', 'info'", ["loud"]),
    ("LOG_FORMAT", "must be 'json' or 'console'", ["xml"]),
    ("STORE_URL", "must be sqlite:///relative/path", [f"postgres://:{CANARY}@db.acme.test"]),
]


@pytest.mark.parametrize(
    ("name", "says", "text"),
    [(name, says, text) for name, says, texts in WRONG_VALUES for text in texts],
)
def test_a_wrong_value_is_refused_with_the_rule_and_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, says: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    refused = refusal()
    assert refused.startswith(f"{name}: {says}")
    assert CANARY[:12].lower() not in refused.lower()


@pytest.mark.parametrize(
    ("mode", "needed"),
    [
        ("jwks", {"AUTHING_JWKS_URL", "AUTHING_ISSUER", "AUTHING_AUDIENCE"}),
        ("online", {"AUTHING_ONLINE_URL"}),
    ],
)
def test_a_mode_of_verification_names_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, mode: str, needed: set[str]
) -> None:
    monkeypatch.setenv("AUTHING_TOKEN_MODE", mode)
    for name in needed:
        monkeypatch.setenv(name, "https://authing.acme.test")
    assert load().authing_token_mode == mode
    for missing in needed:
        with monkeypatch.context() as changed:
            changed.delenv(missing)
            assert refusal() == f"{missing}: is required with AUTHING_TOKEN_MODE={mode}"


def test_settings_show_no_secret_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHING_USER_POOL_SECRET", CANARY)
    monkeypatch.setenv("AUTHING_TOKEN_SECRETS", CANARY)
    monkeypatch.setenv("SERVICE_API_KEYS", CANARY)
    monkeypatch.setenv("STORE_URL", "redis://:c4nary@redis.acme.test:6380/1")
    settings = load()
    assert "c4nary" not in repr(settings) + str(settings)
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert CANARY not in shown
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what the test is about


# --- .env.example ---


def explained(example: str) -> Iterator[tuple[str, str]]:
    """Each assignment, with the line above it."""
    lines = example.splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith("#"):
            yield line.partition("=")[0], above


def filled(example: str, values: dict[str, str]) -> str:
    lines = (
        f"{line}{values.get(line[:-1], '')}" if line.endswith("=") else line
        for line in example.splitlines()
    )
    return "\n".join(lines) + "\n"


def test_the_example_names_exactly_the_settings_that_there_are_each_once() -> None:
    named = [name for name, _ in explained(EXAMPLE.read_text())]
    assert sorted(named) == sorted(names_of_settings())


def test_the_example_explains_each_setting_in_one_line() -> None:
    for name, explanation in explained(EXAMPLE.read_text()):
        assert explanation.startswith("# "), name
        assert not explanation.startswith("# ==="), name
        assert explanation.startswith("# Required: ") == (name in REQUIRED), name


def test_the_example_shows_every_default(env_file: Path, minimum: dict[str, str]) -> None:
    chosen = {name: minimum[name] for name in REQUIRED}
    env_file.write_text(filled(EXAMPLE.read_text(), chosen))
    shown = dotenv_values(EXAMPLE)
    from_example = load(env_file)
    assert {name for name in REQUIRED if shown[name]} == set()
    for name, field in Settings.model_fields.items():
        if name.upper() not in REQUIRED | {"STORE_URL"}:
            assert getattr(from_example, name) == field.default, name
            assert (shown[name.upper()] == "") == (field.default in (None, ())), name
    assert parse_store_url(str(shown["STORE_URL"])) == Settings.model_fields["store_url"].default


def test_the_example_says_where_secret_files_go() -> None:
    assert str(SECRETS_DIR) in EXAMPLE.read_text()
