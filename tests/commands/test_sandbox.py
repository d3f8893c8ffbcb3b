"""`sandbox`: it needs no settings, and is as strict about those that it is given as `serve`.

That it serves is shown by tests/e2e.
"""

from pathlib import Path

import pytest

from app.commands.sandbox import SandboxSettings, read_settings
from app.config import Settings
from app.sandbox import SandboxOptions
from app.store_url import SqliteUrl
from tests.commands.conftest import Shell

OPTIONS = SandboxOptions(user_pool_id="made-up-pool", user_pool_secret="made-up-secret-of-a-test")
pytestmark = pytest.mark.usefixtures("taken_port")


def refusal(shell: Shell, *options: str) -> str:
    """Start the sandbox, and return the one line that refuses it."""
    response = shell("sandbox", *options)
    assert (response.code, response.err.count("\n")) == (2, 1)
    return response.err.removeprefix("ticketgate: ")


@pytest.mark.parametrize(
    ("name", "value"), [("DRAIN_DELAY", "soon"), ("LOG_FORMAT", "xml"), ("API_DOCS", "maybe")]
)
def test_a_wrong_setting_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, shell: Shell, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refusal(shell).startswith(f"{name}: ")


def test_nothing_of_production_is_used(
    monkeypatch: pytest.MonkeyPatch, folder: Path, shell: Shell, taken_port: int
) -> None:
    production = {
        "HOST": "0.0.0.0",  # noqa: S104  # as in a container, or exported by a shell
        "STORE_URL": "redis://:c4nary@redis.acme.test",
        "STORE_SENTINEL_PASSWORD": "c4nary",
        "SESSION_ISSUER": "https://login.acme.test",
        "SESSION_AUDIENCE": "https://api.acme.test",
        "SESSION_KEYS_FILE": str(folder / "keys.json"),
        "AUTHING_USER_POOL_SECRET": "made-up-production-secret-024681357",
        "AUTHING_CA_FILE": str(folder / "missing.pem"),
    }
    for name, value in production.items():
        monkeypatch.setenv(name, value)
    settings = read_settings("127.0.0.1", Path(), OPTIONS)
    values = {str(value) for value in settings.model_dump().values()}
    assert not values & set(production.values())
    assert settings.session_issuer == f"http://127.0.0.1:{taken_port}"
    assert settings.session_audience is None
    assert settings.store_url == SqliteUrl(Path("sandbox-data/sessions.db"))
    assert settings.store_sentinel_password is None
    assert refusal(shell).startswith(f"PORT: cannot listen on 127.0.0.1:{taken_port}")


def test_options_choose_the_address_and_the_folder(folder: Path, shell: Shell) -> None:
    refused = refusal(shell, "--host", "192.0.2.1", "--folder", str(folder / "elsewhere"))
    assert refused.startswith("HOST: cannot listen on 192.0.2.1")
    made = folder / "elsewhere" / "sandbox-data" / "keys.json"
    keys = made.read_bytes()
    refusal(shell, "--folder", str(folder / "elsewhere"))
    assert made.read_bytes() == keys  # they are made once


@pytest.mark.parametrize(
    ("host", "issuer"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]"), ("192.0.2.1", "192.0.2.1")],  # noqa: S104  # read
)
def test_the_issuer_is_where_this_machine_reaches_it(
    host: str, issuer: str, taken_port: int
) -> None:
    settings = read_settings(host, Path(), OPTIONS)
    assert (settings.host, settings.session_issuer) == (host, f"http://{issuer}:{taken_port}")


def test_the_issuer_has_the_real_port_when_any_free_port_will_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "0")
    settings = read_settings("127.0.0.1", Path(), OPTIONS)
    assert settings.port > 0
    assert settings.session_issuer == f"http://127.0.0.1:{settings.port}"


def test_it_knows_the_same_settings_as_the_production_server() -> None:
    assert SandboxSettings.model_fields.keys() == Settings.model_fields.keys()


def test_a_key_file_that_cannot_be_made_is_refused_in_one_line(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    assert refusal(shell, "--folder", str(tmp_path / "a-file")).startswith("SESSION_KEYS_FILE: ")
