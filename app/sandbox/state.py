"""The options of a sandbox and its state: tickets, counts and the current fault. No HTTP.

Values are checked when they are made. A refusal names the member and the rule, never the value.
"""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.sandbox.personas import SigningKeys, new_ticket

SHAPES = ("bare", "envelope_object", "envelope_string", "nested")
ALGORITHMS = ("HS256", "RS256")
REFUSAL_STATUSES = (200, 400)
FAULTY = ("exchange", "management")
STATUSES = ("Activated", "Suspended", "Deactivated", "Resigned", "Archived", "Deleted")
FAULTS = (
    "none",
    "slow",
    "drop",
    "accept_then_drop",
    "http_500",
    "http_503",
    "rate_limited",
    "html",
    "truncated",
    "redirect",
    "bad_token",
    "clock_ahead",
)
SWITCHES = (
    "shape",
    "code_as_text",
    "need_secret",
    "ticket_ttl",
    "single_use",
    "token_algorithm",
    "refusal_status",
    "refusal_spends",
)
"""The options that may change while the sandbox runs."""

_DAY = 86_400
_TEN_MINUTES = 600
_MAX_TICKETS = 100_000  # a long load test must not fill the memory; the oldest are dropped


class BadInput(ValueError):
    """A value that the sandbox refuses; the text names the member and the rule."""


def _one_of(choices: tuple[Any, ...]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(map(str, choices))}", choices.__contains__


_is_name = re.compile(r"[a-z0-9_-]{1,32}").fullmatch
_FLAG = ("true or false", lambda value: type(value) is bool)
_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "shape": _one_of(SHAPES),
    "token_algorithm": _one_of(ALGORITHMS),
    "refusal_status": _one_of(REFUSAL_STATUSES),
    "ticket_ttl": ("whole seconds, 1 to 86400", lambda v: type(v) is int and 0 < v <= _DAY),
    **dict.fromkeys(
        (
            *("code_as_text", "need_secret", "single_use", "refusal_spends"),
            *("get_phone", "approve", "expired", "one_per_device_type"),
        ),
        _FLAG,
    ),
    "kind": _one_of(FAULTS),
    "of": _one_of(FAULTY),
    "status": _one_of(STATUSES),
    "times": (
        "a whole number from 1, or absent",
        lambda v: v is None or (type(v) is int and v > 0),
    ),
    "seconds": ("a number, 0 to 600", lambda v: type(v) in (int, float) and 0 <= v <= _TEN_MINUTES),
    "persona": ("1 to 32 of a-z, 0-9, _ and -", lambda v: type(v) is str and bool(_is_name(v))),
}


class _Checked:
    """Checks the members of a dataclass by their rules."""

    def __post_init__(self) -> None:
        for member, (rule, holds) in _RULES.items():
            if hasattr(self, member) and not holds(getattr(self, member)):
                raise BadInput(f"{member}: {rule}")


@dataclass(frozen=True, kw_only=True)
class SandboxOptions(_Checked):
    """The settings of the fake user pool.

    `need_secret` and `ticket_ttl` (seconds) are the two switches of Authing's console. `shape` and
    `code_as_text` choose among the responses that Authing has sent over the years. No public source
    gives the HTTP status of a refused exchange: `refusal_status` is 200 or 400. Nor does one say
    whether a refusal of the secret uses the ticket: with `refusal_spends` it does. `issuer` and
    `audience` are for RS256. `clock` returns seconds since 1970. `service_key` is a key of the
    service, which the page uses to read the history of a session. `graded` says whether the
    sandbox grades an app.
    """

    user_pool_id: str
    user_pool_secret: str = field(repr=False)
    shape: str = "bare"
    code_as_text: bool = False
    need_secret: bool = True
    ticket_ttl: int = 120
    single_use: bool = True
    token_algorithm: str = "HS256"
    refusal_status: int = 200
    refusal_spends: bool = False
    issuer: str = "https://sandbox.example/oidc"
    audience: str = "sandbox-app"
    service_key: str = field(default="", repr=False)
    graded: bool = False
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class Fault(_Checked):
    """A fault of the next `times` exchanges; None means all, until it is cleared.

    `seconds` is the delay of `slow`, and the Retry-After of `http_503` and `rate_limited`. `of`
    says whether exchanges or the management API fail.
    """

    kind: str = "none"
    times: int | None = None
    seconds: float = 3
    of: str = "exchange"


@dataclass(frozen=True)
class Consent(_Checked):
    """The user's choices in the mini program. `expired`: the ticket reaches the app too late."""

    persona: str = "lin"
    get_phone: bool = True
    approve: bool = True
    expired: bool = False


@dataclass(frozen=True)
class ServiceChoice(_Checked):
    """Settings of the service that the page changes while it runs."""

    one_per_device_type: bool


@dataclass(frozen=True)
class Standing(_Checked):
    """Whether a persona may sign in. Authing does not know one that is `Deleted`."""

    persona: str = "lin"
    status: str = "Suspended"


class Refusal(Exception):
    """The pool refuses an exchange, with a business code and a message like Authing's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Ticket:
    """An issued ticket. `attempts` counts its exchanges, `logins` the successful ones."""

    persona: str
    get_phone: bool
    expires_at: float
    attempts: int = 0
    logins: int = 0


class SandboxState:
    """The state of one sandbox. Tests read it, and may replace `keys` to rotate the pool's keys."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.keys = SigningKeys(options.user_pool_secret)
        self.fault = Fault()
        self.tickets: OrderedDict[str, Ticket] = OrderedDict()
        self.tickets_issued = 0
        self.exchanges = 0
        self.logins = 0
        self.jwks_reads = 0
        self.statuses: dict[str, str] = {}
        self.management_tokens: dict[str, float] = {}
        self.users_read = 0

    def issue(self, consent: Consent) -> str:
        """Issue a ticket; its life starts now, and ends now if the app is to get it too late."""
        if len(self.tickets) == _MAX_TICKETS:
            self.tickets.popitem(last=False)
        expires_at = self.options.clock() + self.options.ticket_ttl * (not consent.expired)
        ticket = new_ticket()
        self.tickets[ticket] = Ticket(consent.persona, consent.get_phone, expires_at)
        self.tickets_issued += 1
        return ticket

    def arrive(self, ticket: str) -> Fault:
        """Count an exchange and return its fault."""
        self.exchanges += 1
        if ticket in self.tickets:
            self.tickets[ticket].attempts += 1
        return self.next_fault("exchange")

    def next_fault(self, of: str) -> Fault:
        """Return the fault of this call, and count it."""
        fault = self.fault
        if fault.of != of:
            return Fault()
        if fault.times is not None:
            left = fault.times - 1
            self.fault = replace(fault, times=left) if left else Fault()
        return fault

    def redeem(self, ticket: str) -> Ticket:
        """Use a ticket, or raise Refusal with a code. Authing's own codes are not known."""
        if not ticket:
            raise Refusal(2231, "参数不完整")
        known = self.tickets.get(ticket)
        if known is None or (known.logins and self.options.single_use):
            raise Refusal(2207, "登录信息有误")
        if self.options.clock() >= known.expires_at:
            raise Refusal(2206, "登录信息已过期")
        known.logins += 1
        self.logins += 1
        return known


def json_object(body: bytes) -> dict[str, Any] | None:
    """Decode one JSON object; None for any other body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
