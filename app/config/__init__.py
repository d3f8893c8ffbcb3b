"""The settings: read once at start from the environment, `.env` and `/run/secrets`, then frozen.

Only `main`, `adapters` and the commands read them; other modules get plain values. The variable of
a field has the same name in capitals. `.env.example` explains each one.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from app.config.field_types import (
    AuthingSecret,
    CommaSeparated,
    CurrentAndNext,
    Duration,
    DurationOrZero,
    Network,
    OnlineUrl,
    Origin,
    Rate,
    ServiceKey,
    WebAddress,
    from_text,
    pattern,
    type_of,
    whole,
)
from app.config.secret_files import read_secret_file
from app.errors import StartupError
from app.store_url import RedisUrl, SqliteUrl, StoreUrl, parse_store_url

ENV_FILE = Path(".env")
SECRETS_DIR = Path("/run/secrets")
_PAGE = "must be a page, such as /routes/explore, without # and white space"
_NEEDED = {
    "jwks": ("authing_jwks_url", "authing_issuer", "authing_audience"),
    "online": ("authing_online_url",),
}
"""The settings that a mode of verification needs."""


class KeySettings(BaseSettings):
    """The settings that `keys` needs. It ignores all others."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        env_file_encoding="utf-8-sig",
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    session_keys_file: Path
    session_access_ttl: Duration = timedelta(seconds=600)
    session_absolute_ttl: Duration = timedelta(days=30)

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment wins over `.env`, and that over secret files.
        folder = getattr(file_secret_settings, "secrets_dir", None)
        found = {
            name: read_secret_file(folder, name) for name in settings_cls.model_fields if folder
        }
        given = {name: value for name, value in found.items() if value}
        secret_files = InitSettingsSource(settings_cls, init_kwargs=given)
        return init_settings, env_settings, dotenv_settings, secret_files


class Settings(KeySettings):
    """All settings of the production server. Secrets never show in a repr."""

    model_config = SettingsConfigDict(extra="forbid")

    authing_base_url: WebAddress = "https://oauth.authing.cn"
    authing_user_pool_id: Annotated[
        str, pattern(r"[A-Za-z0-9_-]{1,64}", "must be 1 to 64 letters, digits, _ or -")
    ]
    authing_user_pool_secret: CurrentAndNext
    authing_token_mode: Literal["hs256", "jwks", "online"] = "hs256"
    authing_token_secrets: CommaSeparated[AuthingSecret] = ()
    authing_jwks_url: WebAddress | None = None
    authing_online_url: OnlineUrl | None = None
    authing_issuer: str | None = None
    authing_audience: str | None = None
    authing_management_url: WebAddress | None = None
    authing_recheck: Duration = timedelta(hours=1)
    authing_webhook_secret: CommaSeparated[AuthingSecret] = ()
    authing_ticket_ttl: Duration = timedelta(seconds=120)
    authing_token_max_age: DurationOrZero = timedelta(seconds=600)
    authing_timeout: Duration = timedelta(seconds=6)
    authing_ca_file: Path | None = None

    miniprogram_user_name: Annotated[
        str, pattern(r"gh_[0-9A-Za-z]+(@app)?", "must be an original id, such as gh_a781a791e29e")
    ] = "gh_a781a791e29e"
    miniprogram_path: Annotated[str, pattern(r"[^?#\s]+(\?[^#\s]*)?", _PAGE)] = "/routes/explore"
    miniprogram_type: Literal["release", "test", "preview"] = "release"
    miniprogram_self_hosted: bool = False
    miniprogram_get_phone: bool = True

    session_issuer: WebAddress
    session_audience: str | None = None
    session_idle_ttl: Duration = timedelta(days=14)
    session_recovery_window: DurationOrZero = timedelta(hours=24)
    session_max_per_user: Annotated[int, whole(1, 1000)] = 100
    session_one_per_device_type: bool = False
    session_device_binding: Literal["off", "optional", "required"] = "optional"

    store_url: Annotated[SqliteUrl | RedisUrl, NoDecode, from_text(parse_store_url)] = SqliteUrl(
        Path("data/sessions.db")
    )
    store_ca_file: Path | None = None
    store_sentinel_password: SecretStr | None = None

    service_api_keys: CommaSeparated[ServiceKey] = ()

    rate_limit_login: Rate = "30/minute"
    rate_limit_refresh: Rate = "60/minute"
    trusted_proxies: CommaSeparated[Network] = ()
    cors_origins: CommaSeparated[Origin] = ()
    events_ttl: Duration = timedelta(days=30)

    host: str = "127.0.0.1"
    port: Annotated[int, whole(0, 65535)] = 8000
    keep_alive: Duration = timedelta(seconds=620)
    metrics_port: Annotated[int, whole(1, 65535)] | None = None
    drain_delay: DurationOrZero = timedelta(seconds=5)
    shutdown_timeout: Duration = timedelta(seconds=20)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], from_text(str.lower)] = (
        "info"
    )
    log_format: Literal["json", "console"] = "json"
    api_docs: bool = False

    @property
    def store_address(self) -> StoreUrl:
        """STORE_URL, with the settings that connecting to it needs."""
        url, secret = self.store_url, self.store_sentinel_password
        if isinstance(url, SqliteUrl):
            return url
        password = None if secret is None else secret.get_secret_value()
        return replace(url, ca_file=self.store_ca_file, sentinel_password=password)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        # The text names the variable, because such a rule belongs to no single field.
        if self.session_idle_ttl > self.session_absolute_ttl:
            raise ValueError("SESSION_IDLE_TTL: must not be longer than SESSION_ABSOLUTE_TTL")
        if self.session_access_ttl > self.session_idle_ttl:
            raise ValueError("SESSION_ACCESS_TTL: must not be longer than SESSION_IDLE_TTL")
        if self.metrics_port == self.port:
            raise ValueError("METRICS_PORT: must not be the same as PORT")
        for name in _NEEDED.get(self.authing_token_mode, ()):
            if getattr(self, name) is None:
                mode = f"AUTHING_TOKEN_MODE={self.authing_token_mode}"
                raise ValueError(f"{name.upper()}: is required with {mode}")
        return self


S = TypeVar("S", bound=KeySettings)


def load_settings(
    kind: type[S], *, env_file: Path | None, secrets_dir: Path | None, **given: Any
) -> S:
    """Read the settings; a StartupError is one line that says what is wrong with each variable."""
    if env_file is not None and env_file.exists():
        _check_env_file(env_file)
    try:
        return kind(_env_file=env_file, _secrets_dir=secrets_dir, **given)
    except ValidationError as error:
        raise StartupError(_one_line(error, env_file)) from None


def refusal_of(name: str, value: str) -> str:
    """Say what is wrong with a value of one setting; "" if it is accepted."""
    try:
        type_of(Settings, name).validate_python(value)
    except ValidationError as error:
        return _line({**error.errors(include_input=False)[0], "loc": (name,)})
    return ""


def _check_env_file(path: Path) -> None:
    # The library skips a line that it cannot parse, and so would skip a setting.
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for binding in parse_stream(lines):
                if binding.error or (binding.key is not None and binding.value is None):
                    raise StartupError(f"{path}, line {binding.original.line}: is not NAME=value")
    except (OSError, UnicodeDecodeError):
        raise StartupError(f"{path}: cannot be read as a text file") from None


def _one_line(error: ValidationError, env_file: Path | None) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [_line(problem) for problem in problems]
    missing = sum(problem["type"] == "missing" for problem in problems)
    if missing > 1 and env_file is not None and not env_file.exists():  # nothing is set up yet
        lines.append("`python -m app init` asks for them and writes .env")
    return "; ".join(lines)


def _line(problem: ErrorDetails) -> str:
    name = str(problem["loc"][0]).upper() + ": " if problem["loc"] else ""
    match problem["type"]:
        case "missing":
            return name + "is required"
        case "extra_forbidden":
            return name + "is not a setting (in .env)"
        case _:
            text = problem["msg"].removeprefix("Value error, ")
            return name + text.replace("Input should", "must")
