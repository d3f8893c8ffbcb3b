"""The settings: their sources, their rules, and `.env.example`."""

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from app.config import SECRETS_DIR, Settings, load_settings, unknown_names
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
    assert load(env_file, secrets_dir).host == "127.0.0.1"
    (secrets_dir / "HOST").write_text("secret.test")
    assert load(env_file, secrets_dir).host == "secret.test"


@pytest.mark.parametrize("content", ["", "\n", " \r\n"])
def test_an_empty_secret_file_is_not_set_either(secrets_dir: Path, content: str) -> None:
    for name in ("HOST", "PORT", "AUTHING_ISSUER", "DRAIN_DELAY"):
        (secrets_dir / name).write_text(content)
    settings = load(secrets_dir=secrets_dir)
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.authing_issuer is None
    assert settings.drain_delay == timedelta(seconds=5)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_end_of_a_secret_file_is_no_part_of_the_secret(
    monkeypatch: pytest.MonkeyPatch, secrets_dir: Path, end: str
) -> None:
    monkeypatch.delenv("AUTHING_USER_POOL_SECRET")
    (secrets_dir / "AUTHING_USER_POOL_SECRET").write_text(CANARY + end, newline="")
    settings = load(secrets_dir=secrets_dir)
    assert settings.authing_user_pool_secret.get_secret_value() == CANARY


def test_neither_env_file_nor_secrets_need_to_exist(tmp_path: Path) -> None:
    assert load(tmp_path / "no-env", tmp_path / "no-secrets").port == 8000


def test_secret_files_of_other_programs_do_not_matter(secrets_dir: Path) -> None:
    (secrets_dir / "SOMEBODY_ELSES").write_text("value")
    (secrets_dir / "kubernetes.io").mkdir()
    assert load(secrets_dir=secrets_dir).port == 8000


# --- sources that cannot be read ---


def test_an_unknown_name_in_the_env_file_is_refused(env_file: Path) -> None:
    env_file.write_text(f"AUTHING_POOL_SECRET={CANARY}\n")
    text = refusal(env_file)
    assert text == "AUTHING_POOL_SECRET: is not a setting (in .env)"


def test_an_env_file_that_is_not_text_is_refused_in_one_line(env_file: Path) -> None:
    env_file.write_bytes(f"AUTHING_USER_POOL_SECRET={CANARY}\xff\n".encode("latin-1"))
    text = refusal(env_file)
    assert ".env" in text
    assert CANARY not in text


@pytest.mark.parametrize("line", ["HOST 127.0.0.1", "HOST='127.0.0.1", CANARY])
def test_a_line_of_the_env_file_that_sets_nothing_is_refused(
    capfd: pytest.CaptureFixture[str], env_file: Path, line: str
) -> None:
    env_file.write_text(f"{line}\nPORT=9000\n")
    text = refusal(env_file)
    assert ".env" in text
    assert CANARY not in text
    assert capfd.readouterr() == ("", "")


def test_a_secret_file_that_is_not_text_is_refused_in_one_line(secrets_dir: Path) -> None:
    (secrets_dir / "AUTHING_TOKEN_SECRETS").write_bytes(CANARY.encode() + b"\xff")
    text = refusal(secrets_dir=secrets_dir)
    assert text.startswith("AUTHING_TOKEN_SECRETS: ")
    assert CANARY not in text


def test_a_secret_file_that_leads_nowhere_is_refused_in_one_line(secrets_dir: Path) -> None:
    (secrets_dir / "AUTHING_TOKEN_SECRETS").symlink_to("nowhere")
    assert refusal(secrets_dir=secrets_dir).startswith("AUTHING_TOKEN_SECRETS: ")


def test_a_folder_where_a_secret_file_should_be_is_refused_in_one_line(secrets_dir: Path) -> None:
    (secrets_dir / "AUTHING_TOKEN_SECRETS").mkdir()  # Docker makes one of a mount without source
    assert refusal(secrets_dir=secrets_dir).startswith("AUTHING_TOKEN_SECRETS: ")


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
        assert settings.model_dump()[name.lower()] in (CANARY, SecretStr(CANARY))


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
def test_a_name_that_is_almost_a_setting_is_found_with_the_nearest(name: str, nearest: str) -> None:
    assert unknown_names([name]) == [(name.upper(), nearest)]


@pytest.mark.parametrize(
    "name",
    [
        *("SESSION_MANAGER", "HOSTNAME", "LOGNAME", "PATH", "PORT0", "LOG_DIR", "API_KEY"),
        *("STORE_SERVICE_HOST", "STORE_SERVICE_PORT_HTTP", "AUTHING_PORT_80_TCP_ADDR", "host"),
        *("SESSION_ISSUER", "STORE_PORT"),
    ],
)
def test_a_setting_or_a_name_of_another_program_is_not_found(name: str) -> None:
    assert unknown_names([name]) == []


# --- what a setting may be ---


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("600", 600), (" 600 ", 600), ("PT10M", 600), ("P14D", 1_209_600), ("P1W", 604_800)],
)
def test_durations_are_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: int
) -> None:
    monkeypatch.setenv("SHUTDOWN_TIMEOUT", text)
    assert load().shutdown_timeout == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "name", ["DRAIN_DELAY", "AUTHING_TOKEN_MAX_AGE", "SESSION_RECOVERY_WINDOW"]
)
def test_zero_is_a_duration_where_it_means_something(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0")
    assert getattr(load(), name.lower()) == timedelta(0)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://authing.acme.test/", "https://authing.acme.test"),
        ("https://authing.acme.test:8443/base/", "https://authing.acme.test:8443/base"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_addresses_are_https_or_loopback_and_lose_their_last_slash(
    monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    monkeypatch.setenv("AUTHING_BASE_URL", given)
    assert load().authing_base_url == kept


def test_several_token_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHING_TOKEN_SECRETS", f"{CANARY}, {CANARY[::-1]}")
    secrets = [secret.get_secret_value() for secret in load().authing_token_secrets]
    assert secrets == [CANARY, CANARY[::-1]]


@pytest.mark.parametrize("separator", [",", ", ", " ,"])
def test_several_service_keys_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    monkeypatch.setenv("SERVICE_API_KEYS", f"{CANARY}{separator}{CANARY[::-1]}")
    keys = [key.get_secret_value() for key in load().service_api_keys]
    assert keys == [CANARY, CANARY[::-1]]


def test_service_keys_may_be_in_a_secret_file(secrets_dir: Path) -> None:
    (secrets_dir / "SERVICE_API_KEYS").write_text(f"{CANARY},{CANARY[::-1]}\n")
    assert len(load(secrets_dir=secrets_dir).service_api_keys) == 2


@pytest.mark.parametrize(
    "make",
    [partial(secrets.token_hex, 32), partial(secrets.token_urlsafe, 32)],
    ids=["hex", "base64url"],
)
def test_32_random_bytes_are_a_service_key(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], str]
) -> None:
    made = [make() for _ in range(200)]
    monkeypatch.setenv("SERVICE_API_KEYS", ",".join(made))
    assert len(load().service_api_keys) == len(made)


@pytest.mark.parametrize(("text", "limit"), [("0", 0), ("1", 1), ("1000", 1000)])
def test_a_user_may_have_so_many_sessions(
    monkeypatch: pytest.MonkeyPatch, text: str, limit: int
) -> None:
    monkeypatch.setenv("SESSION_MAX_PER_USER", text)
    assert load().session_max_per_user == limit


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/second", "1/second"),
        (" 30/Minute ", "30/minute"),
        ("999999/hour", "999999/hour"),
        ("1/day", "1/day"),
        ("off", None),
        ("OFF", None),
    ],
)
@pytest.mark.parametrize("name", ["RATE_LIMIT_LOGIN", "RATE_LIMIT_REFRESH"])
def test_a_rate_is_a_count_in_a_time_or_off(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, rate: str | None
) -> None:
    monkeypatch.setenv(name, text)
    assert getattr(load(), name.lower()) == rate


@pytest.mark.parametrize("separator", [",", ", ", " ,"])
def test_trusted_proxies_are_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    proxies = ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "2001:db8::7"]
    monkeypatch.setenv("TRUSTED_PROXIES", separator.join(proxies))
    assert [str(network) for network in load().trusted_proxies] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::/8",
        "2001:db8::7/128",
    ]


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
    ("AUTHING_JWKS_URL", NO_PARTS, [f"https://authing.acme.test/#{CANARY}"]),
    ("AUTHING_USER_POOL_SECRET", "must be at least 16 bytes", [SHORT_CANARY]),
    ("AUTHING_USER_POOL_SECRET", "is a sample value", [f"{CANARY}-change-me", "a" * 32]),
    ("AUTHING_TOKEN_SECRETS", "must be at least 16 bytes", [f"{GOOD_SECRET},{SHORT_CANARY}"]),
    ("AUTHING_TOKEN_SECRETS", "is a sample value", [f"your-secret-{CANARY},{GOOD_SECRET}"]),
    ("AUTHING_USER_POOL_ID", "must be 1 to 64 letters, digits,", [f"pool/{CANARY}", "a" * 65]),
    ("AUTHING_TOKEN_MODE", "must be 'hs256' or 'jwks'", ["jwsk"]),
    ("RATE_LIMIT_REFRESH", RATE, ["0", "30", "30/", "30/week", "30 per minute", "30/2minutes"]),
    ("RATE_LIMIT_LOGIN", RATE, ["0/minute", "-1/minute", "01/minute", "3e1/minute", "1000000/day"]),
    ("RATE_LIMIT_LOGIN", RATE, ["1/hour;1/day", "none", "false", f"30 {CANARY}"]),
    ("TRUSTED_PROXIES", NETWORKS, ["*", "10.0.0.0/8,*", "10.0.0.0/8,,192.0.2.7", "10.0.0.1/8"]),
    ("TRUSTED_PROXIES", NETWORKS, ["10.0.0.0/33", "10.0.0.1:80", f"{CANARY}.acme.test"]),
    ("TRUSTED_PROXIES", "must not be everybody", ["0.0.0.0/0", "10.0.0.0/8, ::/0"]),
    ("TRUSTED_PROXIES", "must have IPv4 networks in the form of IPv4", ["::ffff:10.0.0.0/104"]),
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
    ("SESSION_MAX_PER_USER", "must be a whole number from 0 to 1000", ["-1", "1.5", "1001", "x"]),
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


@pytest.mark.parametrize("missing", ["AUTHING_JWKS_URL", "AUTHING_ISSUER", "AUTHING_AUDIENCE"])
def test_jwks_mode_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("AUTHING_TOKEN_MODE", "jwks")
    for name in {"AUTHING_JWKS_URL", "AUTHING_ISSUER", "AUTHING_AUDIENCE"} - {missing}:
        monkeypatch.setenv(name, "https://authing.acme.test")
    assert refusal() == f"{missing}: is required with AUTHING_TOKEN_MODE=jwks"


@pytest.mark.parametrize("text", ["gh_a781a791e29e", "gh_a781a791e29e@app", "gh_A781"])
def test_a_user_name_of_a_mini_program_may_end_with_app(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MINIPROGRAM_USER_NAME", text)
    assert load().miniprogram_user_name == text


@pytest.mark.parametrize("text", ["pages/login", "/a/b?from=app&x=%20", "pages/index/index.html?"])
def test_a_path_of_a_mini_program_may_lack_the_slash_and_have_a_query(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MINIPROGRAM_PATH", text)
    assert load().miniprogram_path == text


def test_a_log_level_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    assert load().log_level == "warning"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////data/sessions.db",
        "redis://:c4nary@redis.acme.test:6380/1",
        "redis+sentinel://a:26379,b:26379/sessions",
    ],
)
def test_the_store_url_is_parsed_and_its_password_never_shows(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("STORE_URL", url)
    settings = load()
    assert settings.store_url == parse_store_url(url)
    assert "c4nary" not in repr(settings)


def test_jwks_mode_with_all_that_it_needs_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHING_TOKEN_MODE", "jwks")
    monkeypatch.setenv("AUTHING_JWKS_URL", "https://authing.acme.test/jwks.json")
    monkeypatch.setenv("AUTHING_ISSUER", "https://authing.acme.test")
    monkeypatch.setenv("AUTHING_AUDIENCE", "app")
    assert load().authing_token_mode == "jwks"


def test_settings_show_no_secret_and_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHING_USER_POOL_SECRET", CANARY)
    monkeypatch.setenv("AUTHING_TOKEN_SECRETS", CANARY)
    monkeypatch.setenv("SERVICE_API_KEYS", CANARY)
    settings = load()
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
