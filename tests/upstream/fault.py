"""One row of the table of faults: a fault of Authing, and what the app is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.authing.builders import Answer
from tests.upstream.faulty_authing import FaultyAuthing

Strike: TypeAlias = Callable[[FaultyAuthing], Awaitable[None]]


@dataclass(frozen=True)
class Told:
    """The response to the app, and the outcome for the operator. None: not in the response."""

    status: int
    code: str | None
    client_action: str | None
    outcome: str
    retry_after: int | None = None


@dataclass(frozen=True)
class Fault:
    """`strike` makes the fault; `told` is its effect. `host` to `timeout` are for `faulty_authing`.

    `asked` is the number of requests that Authing receives. `mends`: the same ticket works after
    the fault.
    """

    id: str
    strike: Strike
    told: Told
    asked: int = 1
    host: str = "127.0.0.1"
    tls: bool = False
    base_url: str | None = None
    timeout: float = 1
    mends: bool = True

    def __str__(self) -> str:
        return self.id


def unavailable(outcome: str, retry_after: int = 2) -> Told:
    return Told(503, "authing_unavailable", "retry_after", outcome, retry_after)


def bad_answer(outcome: str) -> Told:
    return Told(502, "authing_bad_answer", "retry", outcome)


WELCOME = Told(201, None, None, "ok")
TIMEOUT = Told(503, "authing_timeout", "retry_after", "deadline", 2)
UNTRUSTED = Told(502, "authing_untrusted", "contact_support", "tls")
TOKEN_INVALID = Told(502, "authing_token_invalid", "contact_support", "bad_token")
MISCONFIGURED = Told(503, "authing_misconfigured", "contact_support", "auth_config", 2)
REJECTED = Told(400, "ticket_rejected", "relaunch_wechat", "ticket_rejected")
BLOCKED = Told(403, "account_blocked", "contact_support", "account_blocked")


def says(response: bytes | Answer) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        authing.server.response = response

    return strike
