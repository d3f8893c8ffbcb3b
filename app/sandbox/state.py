"""The options of a sandbox and its state: tickets, counts and the faults in force. No HTTP.

pydantic checks the values when they are made; its message names the member and the rule.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import field, replace
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from app.sandbox.personas import SigningKeys, new_ticket

FAULTS = {
    "none": "",
    "slow": "slow",
    "accept_then_drop": "dropped_after_accept",
    "drop": "",
    "http_500": "",
    "http_503": "5xx",
    "rate_limited": "rate_limited",
    "html": "html",
    "truncated": "truncated",
    "redirect": "",
    "bad_token": "wrong_signature",
    "clock_ahead": "clock_ahead",
}
"""The faults of Authing, and their names at the fault desk if they are there."""
AUTHING_FAULTS = {name: kind for kind, name in FAULTS.items() if name}
PROBLEMS = {"503": "store_unavailable", "429": "rate_limited"}
"""The answers that replace those of the service, and the codes of their problem documents."""
ANSWER_FAULTS = ("dropped", "doubled", "delayed", *PROBLEMS)

STRICT = ConfigDict(strict=True, extra="forbid")
Times: TypeAlias = Annotated[int, Field(ge=1)] | None
"""How many requests have a fault; None means all, until it is cleared."""
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=600)]
Name: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9_-]{1,32}$")]
Status: TypeAlias = Literal[
    "Activated", "Suspended", "Deactivated", "Resigned", "Archived", "Deleted"
]

_MAX_TICKETS = 100_000  # a long load test must not fill the memory; the oldest are dropped


def one_of(*names: str) -> Any:
    """Return the rule of a text that is one of these."""
    return Field(pattern=f"^({'|'.join(names)})$")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Switches:
    """The options that may change while the sandbox runs.

    `need_secret` and `ticket_ttl` (seconds) are the two switches of Authing's console. `shape` and
    `code_as_text` choose among the responses that Authing has sent over the years. No public source
    gives the HTTP status of a refused exchange: `refusal_status` is 200 or 400. Nor does one say
    whether a refusal of the secret uses the ticket: with `refusal_spends` it does.
    """

    shape: Literal["bare", "envelope_object", "envelope_string", "nested"] = "bare"
    code_as_text: bool = False
    need_secret: bool = True
    ticket_ttl: Annotated[int, Field(ge=1, le=86_400)] = 120
    single_use: bool = True
    token_algorithm: Literal["HS256", "RS256"] = "HS256"
    refusal_status: Literal[200, 400] = 200
    refusal_spends: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SandboxOptions(Switches):
    """The fake user pool. `issuer` and `audience` are for RS256.

    `clock` returns seconds since 1970. `service_key` is a key of the service, which the page uses
    to read the history of a session. `graded` says whether the sandbox grades an app.
    """

    user_pool_id: str
    user_pool_secret: str = field(repr=False)
    issuer: str = "https://sandbox.example/oidc"
    audience: str = "sandbox-app"
    service_key: str = field(default="", repr=False)
    graded: bool = False
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, config=STRICT)
class Fault:
    """A fault of the next `times` calls of the exchange or of the management API.

    `seconds` is the delay of `slow`, and the Retry-After of `http_503` and `rate_limited`.
    """

    kind: Annotated[str, one_of(*FAULTS)]
    times: Times = None
    seconds: Seconds = 3
    of: Literal["exchange", "management"] = "exchange"


NO_FAULT = Fault("none")


@dataclass(frozen=True, config=STRICT)
class DeskFaults:
    """The faults by the names of the fault desk; an absent one ends."""

    authing: Annotated[str, one_of(*AUTHING_FAULTS)] | None = None
    answers: Annotated[str, one_of(*ANSWER_FAULTS)] | None = None
    times: Times = None
    seconds: Seconds = 3


AnyFault = TypeVar("AnyFault", Fault, DeskFaults)


@dataclass(frozen=True, config=STRICT)
class Consent:
    """The user's choices in the mini program. `expired`: the ticket reaches the app too late."""

    persona: Name = "lin"
    get_phone: bool = True
    approve: bool = True
    expired: bool = False


class Refusal(Exception):
    """The pool refuses an exchange: a business code and a message like Authing's."""


@dataclass
class Ticket:
    """An issued ticket. `attempts` counts its exchanges, `logins` the successful ones."""

    persona: str
    get_phone: bool
    expires_at: float
    attempts: int = 0
    logins: int = 0


class SandboxState:
    """The state of one sandbox. Tests read it, and may replace `keys` to rotate the pool's keys.

    `fault` is that of Authing, `answers` that of the service's answers.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.keys = SigningKeys(options.user_pool_secret)
        self.fault = NO_FAULT
        self.answers = DeskFaults()
        self.tickets: OrderedDict[str, Ticket] = OrderedDict()
        self.statuses: dict[str, str] = {}
        self.management_tokens: dict[str, float] = {}
        self.tickets_issued = self.exchanges = self.logins = self.jwks_reads = self.users_read = 0

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
            return NO_FAULT
        self.fault = _left(fault, NO_FAULT)
        return fault

    def next_answer_fault(self) -> DeskFaults:
        """Return the fault of this answer of the service, and count it."""
        faults = self.answers
        self.answers = _left(faults, DeskFaults())
        return faults

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


def _left(fault: AnyFault, none: AnyFault) -> AnyFault:
    """Return what is left of a fault after one call."""
    if fault.times is None:
        return fault
    return replace(fault, times=fault.times - 1) if fault.times > 1 else none


def json_object(body: bytes) -> dict[str, Any] | None:
    """Decode one JSON object; None for any other body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
