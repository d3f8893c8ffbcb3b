"""What can be chosen from outside, each with its rule: options, a fault, the user's consent.

A value that breaks a rule is refused when it is made, so nothing else has to check it again. The
texts of refusals name the member and the rule, never the value.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SHAPES = ("bare", "envelope_object", "envelope_string", "nested")
ALGORITHMS = ("HS256", "RS256")
REFUSAL_STATUSES = (200, 400)
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
)
SWITCHES = (
    "shape",
    "code_as_text",
    "need_secret",
    "ticket_ttl",
    "single_use",
    "token_algorithm",
    "refusal_status",
)
"""The options that may change while the sandbox runs."""

_PERSONA = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_DAY = 86_400
_TEN_MINUTES = 600


class BadInput(ValueError):
    """A value that the sandbox does not take; the text names the member and the rule."""


def _require(member: str, rule: str, *, holds: bool) -> None:
    if not holds:
        raise BadInput(f"{member}: {rule}")


def _require_flags(owner: object, *members: str) -> None:
    for member in members:
        _require(member, "true or false", holds=type(getattr(owner, member)) is bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _PERSONA.fullmatch(value) is not None


def _one_of(choices: tuple[Any, ...]) -> str:
    return f"one of {', '.join(map(str, choices))}"


@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """How the fake user pool is set up.

    `need_secret` and `ticket_ttl` (seconds) are the two switches of Authing's console. `shape` and
    `code_as_text` choose among the answers that Authing has given over the years. No public source
    says with which HTTP status an exchange is refused: `refusal_status` is 200 or 400. `issuer` and
    `audience` are for RS256. `clock` gives seconds since 1970. `login_url` is where the page says
    that a ticket is to be posted.
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
    issuer: str = "https://sandbox.example/oidc"
    audience: str = "sandbox-app"
    login_url: str = "http://127.0.0.1:8000/v1/sessions"
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        _require("shape", _one_of(SHAPES), holds=self.shape in SHAPES)
        _require("token_algorithm", _one_of(ALGORITHMS), holds=self.token_algorithm in ALGORITHMS)
        status = self.refusal_status
        _require("refusal_status", _one_of(REFUSAL_STATUSES), holds=status in REFUSAL_STATUSES)
        ttl = self.ticket_ttl
        _require(
            "ticket_ttl", "whole seconds, 1 to 86400", holds=type(ttl) is int and 0 < ttl <= _DAY
        )
        _require_flags(self, "code_as_text", "need_secret", "single_use")


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next `times` exchanges; None: with all, until it is cleared.

    `seconds` is how long `slow` waits, and what `http_503` and `rate_limited` ask for in
    Retry-After. What each kind does is told in `faults.py`.
    """

    kind: str = "none"
    times: int | None = None
    seconds: float = 3

    def __post_init__(self) -> None:
        _require("kind", _one_of(FAULTS), holds=self.kind in FAULTS)
        times, seconds = self.times, self.seconds
        _require(
            "times",
            "a whole number from 1, or absent",
            holds=times is None or (type(times) is int and times > 0),
        )
        _require(
            "seconds",
            "a number, 0 to 600",
            holds=type(seconds) in (int, float) and 0 <= seconds <= _TEN_MINUTES,
        )


@dataclass(frozen=True)
class Consent:
    """What the user does in the mini program: who they are, and what they agree to."""

    persona: str = "lin"
    get_phone: bool = True
    approve: bool = True

    def __post_init__(self) -> None:
        _require("persona", "1 to 32 of a-z, 0-9, _ and -", holds=_is_name(self.persona))
        _require_flags(self, "get_phone", "approve")
