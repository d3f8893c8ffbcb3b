"""The types of the settings. A refusal says the whole rule of the setting, and never the value."""

import base64
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_settings import BaseSettings, NoDecode

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SAMPLES = re.compile(r"(?i)change.?me|replace|placeholder|example|sample|your[-_ ]|xxxx")
# Mapped addresses, and NAT64 (RFC 6052): clients are read as their IPv4.
_FORMS_OF_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
_DURATION = "must be whole seconds (600) or an ISO 8601 duration (PT10M), from {} s to 3650 days"
_RATE = "must be <1 to 999999>/<second|minute|hour|day>, such as 30/minute, or off"
_ORIGIN = "must be origins, comma-separated, such as capacitor://localhost; never *"


def type_of(settings: type[BaseSettings], name: str) -> TypeAdapter[Any]:
    """Return what validates a value of one setting."""
    return TypeAdapter(settings.model_fields[name].rebuild_annotation())


def _rule(text: str, accept: Callable[[Any], object]) -> WrapValidator:
    """Refuse with this text a value that the type or `accept` refuses."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            found = handler(value)
        except ValidationError:
            raise ValueError(text) from None
        if not accept(found):
            raise ValueError(text)
        return found

    return WrapValidator(check)


def pattern(whole: str, text: str) -> WrapValidator:
    """Accept a text that matches as a whole."""
    return _rule(text, re.compile(whole).fullmatch)


def whole(low: int, high: int) -> WrapValidator:
    """Accept a whole number between these bounds."""
    return _rule(f"must be a whole number from {low} to {high}", lambda n: low <= n <= high)


def _duration(least: int) -> WrapValidator:
    """Accept from `least` seconds to ten years."""
    low, high = timedelta(seconds=least), timedelta(days=3650)
    return _rule(_DURATION.format(least), lambda duration: low <= duration <= high)


def from_text(parse: Callable[[str], object]) -> BeforeValidator:
    """Parse a text; a value that the code gives has its type already."""
    return BeforeValidator(lambda value: parse(value.strip()) if isinstance(value, str) else value)


def _seconds(text: str) -> int | str:
    # pydantic alone accepts more forms.
    if re.fullmatch(r"[0-9]{1,10}", text):
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


def _secret(min_bytes: int, *, min_distinct: int, advice: str = "") -> AfterValidator:
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

    It counts distinct bytes, distinct steps from byte to byte (few in "abcd…"), and distinct pieces
    of three bytes (few in a word that is repeated).
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


def _current_and_next(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len(value) not in (1, 2):
        raise ValueError("must be the current secret, or the current and the next one")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]
OnlineUrl = Annotated[str, AfterValidator(_online_url)]
DurationOrZero = Annotated[timedelta, from_text(_seconds), _duration(0)]
Duration = Annotated[timedelta, from_text(_seconds), _duration(1)]
Rate = Annotated[
    Annotated[str, pattern(r"[1-9][0-9]{0,5}/(second|minute|hour|day)", _RATE)] | None,
    from_text(lambda text: None if text.lower() == "off" else text.lower()),
]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Origin = Annotated[
    str,
    pattern(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", _ORIGIN),
    from_text(lambda text: text.rstrip("/").lower()),
]
AuthingSecret = Annotated[SecretStr, _secret(16, min_distinct=6)]
ServiceKey = Annotated[
    SecretStr,
    _secret(32, min_distinct=12, advice="; `python -m app keys service` prints a good one"),
]
T = TypeVar("T")
CommaSeparated = Annotated[
    tuple[T, ...], NoDecode, from_text(lambda text: [part.strip() for part in text.split(",")])
]
CurrentAndNext = Annotated[CommaSeparated[AuthingSecret], AfterValidator(_current_and_next)]
