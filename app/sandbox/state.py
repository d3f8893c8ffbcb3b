"""The options of a sandbox and its state: tickets, counts and the fault in force. No HTTP.

pydantic checks the values when they are made; its message names the member and the rule.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, field, fields, replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from app.sandbox.personas import Persona, SigningKeys, new_ticket

FAULTS = (
    *("none", "slow", "delayed", "drop", "accept_then_drop", "doubled", "truncated", "html"),
    *("redirect", "http_500", "http_503", "rate_limited", "bad_token", "clock_ahead"),
    "store_unavailable",
)
STRICT = ConfigDict(strict=True, extra="forbid")
Name: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9_-]{1,32}$")]
Place: TypeAlias = Literal["exchange", "management", "answers"]
"""Two APIs of Authing, and the service's own answers to the app."""


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
    """A fault of the next `times` calls in one place; without `times`, of all until it is cleared.

    `seconds` is the delay, and the Retry-After of a refusal.
    """

    kind: Annotated[str, Field(pattern=f"^({'|'.join(FAULTS)})$")]
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0, le=600)] = 3
    of: Place = "exchange"


NO_FAULT = Fault("none")


@dataclass(frozen=True, config=STRICT)
class Consent:
    """The user's choices in the mini program. `expired`: the ticket reaches the app too late."""

    persona: Name = "lin"
    get_phone: bool = True
    approve: bool = True
    expired: bool = False


@dataclass(frozen=True, config=STRICT)
class Standing:
    """Whether a persona may sign in. Authing does not know one that is `Deleted`."""

    status: Literal["Activated", "Suspended", "Deactivated", "Resigned", "Archived", "Deleted"]
    persona: Name = "lin"


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
    """The state of one sandbox, and the commands of its control API, which return JSON objects.

    Tests read it, and may replace `keys` to rotate the pool's keys.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.keys = SigningKeys(options.user_pool_secret)
        self.fault = NO_FAULT
        self.tickets: dict[str, Ticket] = {}
        self.statuses: dict[str, str] = {}
        self.management_tokens: dict[str, float] = {}
        self.tickets_issued = self.exchanges = self.logins = self.jwks_reads = self.users_read = 0

    def issue(self, consent: Consent) -> str:
        """Issue a ticket; its life starts now, and ends now if the app is to get it too late."""
        expires_at = self.options.clock() + self.options.ticket_ttl * (not consent.expired)
        ticket = new_ticket()
        self.tickets[ticket] = Ticket(consent.persona, consent.get_phone, expires_at)
        self.tickets_issued += 1
        return ticket

    def issue_ticket(self, consent: Consent) -> dict[str, Any]:
        """Play the mini program: `{persona?, get_phone?, approve?, expired?}`."""
        pool = {"user_pool_id": self.options.user_pool_id}
        if not consent.approve:
            return {"ext_msg": "code=400&message=用户取消授权", **pool}
        ticket, expires_in = self.issue(consent), self.options.ticket_ttl
        ext_msg = f"code=200&message=授权成功&ticket={ticket}"  # unencoded, as WeChat delivers it
        return {"ticket": ticket, "ext_msg": ext_msg, "expires_in": expires_in, **pool}

    def settings(self) -> dict[str, Any]:
        """Return the switches."""
        return {each.name: getattr(self.options, each.name) for each in fields(Switches)}

    def change_settings(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change all given switches or none; return all switches."""
        switches = Switches(**{**self.settings(), **changes})
        self.options = replace(self.options, **asdict(switches))
        return self.settings()

    def read_fault(self) -> dict[str, Any]:
        """Return the fault in force; its kind may be `none`."""
        return asdict(self.fault)

    def set_fault(self, fault: Fault) -> dict[str, Any]:
        """Set a fault, and end the one before: `{kind, times?, seconds?, of?}`."""
        self.fault = fault
        return asdict(fault)

    def clear_fault(self) -> dict[str, Any]:
        """End the fault."""
        return self.set_fault(NO_FAULT)

    def set_status(self, standing: Standing) -> dict[str, Any]:
        """Suspend or delete a user: `{persona?, status}`."""
        self.statuses[Persona(standing.persona).user_id] = standing.status
        return asdict(standing)

    def stats(self) -> dict[str, Any]:
        """Return the counts so far."""
        names = ("tickets_issued", "exchanges", "logins", "jwks_reads", "users_read")
        return {name: getattr(self, name) for name in names}

    def next_fault(self, of: Place) -> Fault:
        """Return the fault of this call, and count it."""
        fault = self.fault
        if fault.of != of:
            return NO_FAULT
        if fault.times is not None:
            self.fault = replace(fault, times=fault.times - 1) if fault.times > 1 else NO_FAULT
        return fault

    def arrive(self, ticket: str) -> None:
        """Count an exchange."""
        self.exchanges += 1
        if ticket in self.tickets:
            self.tickets[ticket].attempts += 1

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


def json_object(body: bytes) -> dict[str, Any]:
    """Decode one JSON object; any other body counts as an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
