"""The settings: read once at start from the environment, `.env` and `/run/secrets`, then frozen.

Only `main` and the commands read them; other modules get plain values. `.env.example` explains the
variable of each field, which has the same name in capitals.
"""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from app.errors import StartupError
from app.store_url import RedisUrl, SqliteUrl, parse_store_url

ENV_FILE = Path(".env")
SECRETS_DIR = Path("/run/secrets")
_MAX_SECRET_FILE = 64 * 1024
"""Bytes. The event loop reads these files again and again, and must not wait for a pipe either."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SAMPLES = re.compile(r"(?i)change.?me|replace|placeholder|example|sample|your[-_ ]|xxxx")
# Mapped addresses, and NAT64 (RFC 6052): clients are read as their IPv4.
_FORMS_OF_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_RATE = re.compile(r"[1-9][0-9]{0,5}/(second|minute|hour|day)", re.ASCII)
# A variable with one of these beginnings is meant for this service, or for nothing.
_OUR_PREFIX = re.compile(r"(AUTHING|MINIPROGRAM|SESSION|STORE|SERVICE_API|RATE_LIMIT|EVENTS)_")
# Kubernetes sets these for each Service, and desktops set the last.
_OF_OTHERS = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)|SESSION_MANAGER")


def _rule(text: str) -> WrapValidator:
    """Refuse with this text, which says all bounds, whatever the reason of the refusal is."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(text) from None

    return WrapValidator(check)


def _seconds(value: object) -> object:
    # pydantic alone accepts more forms.
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"\d{1,10}", text):
        return int(text)
    if not re.fullmatch(r"P[0-9DTHMSWY]+", text):
        raise ValueError
    return text


def _web_address(value: str) -> str:
    if any(character in value for character in "@?#"):
        raise ValueError("must have no user, query or fragment")
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:  # its text quotes the value
        raise ValueError("must be an https address") from None
    secure = url.scheme == "https" or (url.scheme == "http" and host in _LOOPBACK)
    if not secure or not host or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be an https address (http only for loopback)")
    return value.rstrip("/")


def _online_url(value: str) -> str:
    """Add the name of the query parameter for the token, if the address does not end in it."""
    address, _, query = value.partition("?")
    address, parameter = _web_address(address), query.removesuffix("=")
    if not query:
        parameter = "id_token" if address.endswith("/validate_token") else "access_token"
    if parameter not in ("access_token", "id_token"):
        raise ValueError("must have no query but ?access_token= or ?id_token=")
    return f"{address}?{parameter}"


def _secret_of(min_bytes: int, *, min_distinct: int, advice: str = "") -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if len(text.encode()) < min_bytes:
            raise ValueError(f"must be at least {min_bytes} bytes long{advice}")
        if _SAMPLES.search(text) or any(_is_regular(r, min_distinct) for r in _readings(text)):
            raise ValueError(f"is a sample value or too regular, not a secret{advice}")
        return value

    return AfterValidator(check)


def _is_regular(data: bytes, min_distinct: int) -> bool:
    """Return whether data has too little variety for a secret. 32 random bytes have enough.

    Counted are distinct bytes, distinct steps from byte to byte (few in "abcd…"), and distinct
    pieces of three bytes (few in a word that is repeated).
    """
    steps = {second - first for first, second in pairwise(data)}
    pieces = [data[at : at + 3] for at in range(len(data) - 2)]
    few = min(len(set(data)), len(steps)) < min_distinct
    return few or len(set(pieces)) < len(pieces) * 3 / 4


def _readings(text: str) -> Iterator[bytes]:
    """Yield the text, and the 32 bytes that it stands for if it is hex or base64url."""
    yield text.encode()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        yield bytes.fromhex(text)
    if re.fullmatch(r"[\w-]{43}=?", text, re.ASCII):
        yield base64.urlsafe_b64decode(text[:43] + "=")


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _current_and_next(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len(value) not in (1, 2):
        raise ValueError("must be the current secret, or the current and the next one")
    return value


def _store_url(value: object) -> object:
    return parse_store_url(value.strip()) if isinstance(value, str) else value


def _rate(value: object) -> object:
    text = str(value).strip().lower()
    if text == "off":
        return None
    if not _RATE.fullmatch(text):
        raise ValueError(
            "must be <1 to 999999>/<second|minute|hour|day>, such as 30/minute, or off"
        )
    return text


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(str(value))
    except ValueError:  # its text quotes the value
        message = "must be addresses and networks, comma-separated, such as 10.0.0.0/8,fd00::1"
        raise ValueError(message) from None
    if network.prefixlen == 0:
        raise ValueError("must not be everybody")
    if isinstance(network, IPv6Network) and any(map(network.subnet_of, _FORMS_OF_IPV4)):
        raise ValueError("must have IPv4 networks in the form of IPv4")
    return network


def _origin(value: str) -> str:
    origin = value.rstrip("/").lower()
    if not re.fullmatch(
        r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", origin
    ):
        raise ValueError("must be origins, comma-separated, such as capacitor://localhost; never *")
    return origin


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_TEN_YEARS = timedelta(days=3650)
_DURATION = "must be whole seconds (600) or an ISO 8601 duration (PT10M), from {} s to 3650 days"
DurationOrZero = Annotated[
    timedelta,
    Field(ge=timedelta(0), le=_TEN_YEARS),
    BeforeValidator(_seconds),
    _rule(_DURATION.format(0)),
]
Duration = Annotated[
    timedelta,
    Field(ge=timedelta(seconds=1), le=_TEN_YEARS),
    BeforeValidator(_seconds),
    _rule(_DURATION.format(1)),
]
Port = Annotated[int, Field(ge=0, le=65535), _rule("must be a whole number from 0 to 65535")]
MetricsPort = Annotated[int, Field(ge=1, le=65535), _rule("must be a whole number from 1 to 65535")]
PoolId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"), _rule("must be 1 to 64 letters, digits, _ or -")
]
OriginalId = Annotated[
    str,
    Field(pattern=r"^gh_[0-9A-Za-z]+(@app)?$"),
    _rule("must be an original id, such as gh_a781a791e29e"),
]
PagePath = Annotated[
    str,
    Field(pattern=r"^[^?#\s]+(\?[^#\s]*)?$"),
    _rule("must be a page, such as /routes/explore, without # and white space"),
]
SessionCount = Annotated[int, Field(ge=1, le=1000), _rule("must be a whole number from 1 to 1000")]
StoreUrl = Annotated[SqliteUrl | RedisUrl, NoDecode, BeforeValidator(_store_url)]
Rate = Annotated[str | None, BeforeValidator(_rate)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
OnlineUrl = Annotated[str, AfterValidator(_online_url)]
_NEEDED = {
    "jwks": ("authing_jwks_url", "authing_issuer", "authing_audience"),
    "online": ("authing_online_url",),
}
"""The settings that a mode of verification needs."""
AuthingSecret = Annotated[SecretStr, _secret_of(16, min_distinct=6)]
ServiceKey = Annotated[
    SecretStr,
    _secret_of(32, min_distinct=12, advice="; `python -m app keys service` prints a good one"),
]
T = TypeVar("T")
CommaSeparated = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
PoolSecrets = Annotated[CommaSeparated[AuthingSecret], AfterValidator(_current_and_next)]


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
        secrets = _read_secret_files(folder, settings_cls.model_fields) if folder else {}
        secret_files = InitSettingsSource(settings_cls, init_kwargs=secrets)
        return init_settings, env_settings, dotenv_settings, secret_files


class Settings(KeySettings):
    """All settings of the production server. Secrets never show in a repr."""

    model_config = SettingsConfigDict(extra="forbid")

    authing_base_url: WebAddress = "https://oauth.authing.cn"
    authing_user_pool_id: PoolId
    authing_user_pool_secret: PoolSecrets
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

    miniprogram_user_name: OriginalId = "gh_a781a791e29e"
    miniprogram_path: PagePath = "/routes/explore"
    miniprogram_type: Literal["release", "test", "preview"] = "release"
    miniprogram_self_hosted: bool = False
    miniprogram_get_phone: bool = True

    session_issuer: WebAddress
    session_audience: str | None = None
    session_idle_ttl: Duration = timedelta(days=14)
    session_recovery_window: DurationOrZero = timedelta(hours=24)
    session_max_per_user: SessionCount = 100
    session_one_per_device_type: bool = False
    session_device_binding: Literal["off", "optional", "required"] = "optional"

    store_url: StoreUrl = SqliteUrl(Path("data/sessions.db"))
    store_ca_file: Path | None = None
    store_sentinel_password: SecretStr | None = None

    service_api_keys: CommaSeparated[ServiceKey] = ()

    rate_limit_login: Rate = "30/minute"
    rate_limit_refresh: Rate = "60/minute"
    trusted_proxies: CommaSeparated[Network] = ()
    cors_origins: CommaSeparated[Origin] = ()
    events_ttl: Duration = timedelta(days=30)

    host: str = "127.0.0.1"
    port: Port = 8000
    keep_alive: Duration = timedelta(seconds=620)
    metrics_port: MetricsPort | None = None
    drain_delay: DurationOrZero = timedelta(seconds=5)
    shutdown_timeout: Duration = timedelta(seconds=20)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )
    log_format: Literal["json", "console"] = "json"
    api_docs: bool = False

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


_SECRETS: Mapping[str, TypeAdapter[tuple[SecretStr, ...]]] = {
    "authing_user_pool_secret": TypeAdapter(PoolSecrets),
    "authing_token_secrets": TypeAdapter(CommaSeparated[AuthingSecret]),
    "authing_webhook_secret": TypeAdapter(CommaSeparated[AuthingSecret]),
    "service_api_keys": TypeAdapter(CommaSeparated[ServiceKey]),
}
"""The settings that may change while the service runs."""


def secret_values(settings: Settings) -> dict[str, Sequence[str]]:
    """Return the values of each secret that may change while the service runs."""
    return {name: _plain(getattr(settings, name)) for name in _SECRETS}


def read_secret(folder: Path, name: str) -> Sequence[str]:
    """Read the values of one of these secrets from its file.

    Raises:
        StartupError: the file is gone or empty, or breaks the rules of the setting.
    """
    try:
        return _plain(_SECRETS[name].validate_python(_read_secret_files(folder, [name])[name]))
    except (KeyError, ValidationError):
        raise StartupError(f"{name.upper()}: the file has no usable value") from None


def _plain(values: Iterable[SecretStr]) -> Sequence[str]:
    return tuple(value.get_secret_value() for value in values)


def _read_secret_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    # Unlike the library's own source, an empty file means unset, and an error names the setting.
    found = {}
    for name in names:
        path = folder / name.upper()
        if os.path.lexists(path):
            try:
                found[name] = _content(path).strip()
            except (OSError, UnicodeDecodeError):
                message = f"{name.upper()}: {path} cannot be read as a text file"
                raise StartupError(message) from None
    return {name: value for name, value in found.items() if value}


def _content(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > _MAX_SECRET_FILE:
        raise OSError
    return path.read_text("utf-8-sig")


def unknown_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Find variables that are probably misspelled settings.

    Returns each name in capitals with the nearest setting, or with "" if none is near.
    """
    settings = [field.upper() for field in Settings.model_fields]
    found = []
    for name in sorted({name.upper() for name in names} - set(settings)):
        near = get_close_matches(name, settings, n=1, cutoff=0.85) if "_" in name else []
        nearest = near[0] if near and near[0][0] == name[0] else ""
        if nearest or (_OUR_PREFIX.match(name) and not _OF_OTHERS.fullmatch(name)):
            found.append((name, nearest))
    return found


S = TypeVar("S", bound=KeySettings)


def load_settings(
    kind: type[S], *, env_file: Path | None, secrets_dir: Path | None, **given: Any
) -> S:
    """Read the settings.

    Raises:
        StartupError: one line with every variable that is wrong and what is wrong with it.
    """
    if env_file is not None and env_file.exists():
        _check_env_file(env_file)
    try:
        return kind(_env_file=env_file, _secrets_dir=secrets_dir, **given)
    except ValidationError as error:
        raise StartupError(_one_line(error, env_file)) from None


def refusal_of(name: str, value: str) -> str:
    """Say what is wrong with a value of one setting; "" if it is accepted."""
    try:
        TypeAdapter(Settings.model_fields[name].rebuild_annotation()).validate_python(value)
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
