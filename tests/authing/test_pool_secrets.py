"""Two pool secrets: the other one is tried after a refusal of us, and stays in use."""

from collections.abc import Callable
from functools import partial

import pytest

from app.authing.client import PoolSecrets
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingMisconfigured,
    AuthingTimeout,
    AuthingTokenInvalid,
    AuthingUnavailable,
    TicketgateError,
    TicketRejected,
)

FIRST, NEXT = "made-up-first-secret", "made-up-next-secret"
REFUSES_US = AuthingMisconfigured("auth_config")


class Authing:
    """Answers a request with what `says` returns for its secret."""

    def __init__(self, says: Callable[[str], TicketgateError | None]) -> None:
        self.says = says
        self.in_force = [FIRST, NEXT]
        self.sent: list[str] = []
        self.secrets = PoolSecrets(lambda: self.in_force)

    async def ask(self) -> None:
        assert await self.secrets.send(self._answer) == "a token"

    async def _answer(self, secret: str) -> str:
        self.sent.append(secret)
        if (refusal := self.says(secret)) is not None:
            raise refusal
        return "a token"


def refuses(refused: str, secret: str) -> TicketgateError | None:
    return REFUSES_US if secret == refused else None


async def test_the_other_secret_is_tried_once_and_stays_in_use() -> None:
    authing = Authing(partial(refuses, FIRST))
    for _ in range(3):
        await authing.ask()
    assert authing.sent == [FIRST, NEXT, NEXT, NEXT]


async def test_the_first_secret_is_used_while_it_is_good() -> None:
    authing = Authing(partial(refuses, NEXT))
    for _ in range(2):
        await authing.ask()
    assert authing.sent == [FIRST, FIRST]


@pytest.mark.parametrize(
    "other",
    [
        *(TicketRejected(2206), AccountBlocked(), AuthingUnavailable("http_5xx")),
        *(AuthingBadAnswer("bad_shape"), AuthingTimeout("deadline")),
        AuthingTokenInvalid("bad_token"),
    ],
)
async def test_nothing_is_sent_again_after_any_other_answer_or_none(other: TicketgateError) -> None:
    authing = Authing(lambda _secret: other)
    with pytest.raises(type(other)):
        await authing.ask()
    assert authing.sent == [FIRST]


async def test_two_refused_secrets_are_a_wrong_configuration() -> None:
    authing = Authing(lambda _secret: REFUSES_US)
    for _ in range(2):
        with pytest.raises(AuthingMisconfigured):
            await authing.ask()
    assert authing.sent == [FIRST, NEXT] * 2


@pytest.mark.parametrize("spent", [TicketRejected(2207), AccountBlocked(2005)])
async def test_a_ticket_that_the_refusal_has_spent_shows_that_the_other_secret_is_good(
    spent: TicketgateError,
) -> None:
    authing = Authing(lambda secret: REFUSES_US if secret == FIRST else spent)
    with pytest.raises(type(spent)):
        await authing.ask()
    authing.says = partial(refuses, FIRST)
    await authing.ask()
    assert authing.sent == [FIRST, NEXT, NEXT]


async def test_secrets_that_change_are_used_at_once() -> None:
    authing = Authing(lambda _secret: None)
    await authing.ask()
    authing.in_force = [NEXT]
    await authing.ask()
    assert authing.sent == [FIRST, NEXT]
