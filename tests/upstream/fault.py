"""One row of the table of faults: what goes wrong at Authing, and what the app is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.authing.builders import Answer
from tests.upstream.stage import Stage

Strike: TypeAlias = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Told:
    """What the app is told, and by which word the operator finds it. None: not in the answer."""

    status: int
    code: str | None
    client_action: str | None
    outcome: str
    retry_after: int | None = None


@dataclass(frozen=True)
class Fault:
    """`strike` makes it; `told` follows from it, on a stage opened as the other members say.

    `asked` is how often Authing gets to see a request. `mends`: the ticket can be tried again with
    success as soon as the fault is gone.
    """

    id: str
    strike: Strike
    told: Told
    asked: int = 1
    host: str = "127.0.0.1"
    tls: bool = False
    base_url: str | None = None
    deadline: int = 1
    mends: bool = True

    def __str__(self) -> str:
        return self.id

    @property
    def mode(self) -> str:
        return self.id.partition("-")[0]


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


def says(answer: bytes | Answer) -> Strike:
    async def strike(stage: Stage) -> None:
        stage.authing.answer = answer

    return strike
