"""Two pool secrets: the other one is tried after a refusal of us, and stays in use."""

from contextlib import AbstractAsyncContextManager

import pytest

from app.authing.client import AuthingClient, PoolSecrets
from app.authing.response import deadline
from app.errors import (
    AccountBlocked,
    AuthingBadAnswer,
    AuthingMisconfigured,
    AuthingTimeout,
    AuthingUnavailable,
    TicketgateError,
    TicketRejected,
)
from tests.authing.builders import (
    SECRET,
    TICKET,
    Answer,
    Peer,
    Request,
    authing,
    http_response,
    json_response,
    make_user,
    peer,
)

NEXT = "made-up-next-secret-9876543210"
REFUSALS_OF_US = [
    *(json_response({"code": code, "data": None}) for code in (1001, "1001", 2224, 2231, 4212)),
    json_response({"statusCode": 499, "apiCode": 2101}, status=499),
    *(http_response("{}", status=status) for status in (401, 403, 404)),
]


def with_two_secrets(seen: Peer) -> AbstractAsyncContextManager[AuthingClient]:
    return authing(seen.url, pool_secrets=PoolSecrets(lambda: [SECRET, NEXT]))


def sent(seen: Peer) -> list[str]:
    assert all(request.json["ticket"] == TICKET for request in seen.requests)
    return [request.json["secret"] for request in seen.requests]


def authing_that_refuses(secret: str, refusal: bytes) -> AbstractAsyncContextManager[Peer]:
    def says(request: Request) -> bytes:
        return refusal if request.json["secret"] == secret else json_response(make_user())

    return peer(says)


@pytest.mark.parametrize("refusal", REFUSALS_OF_US)
async def test_the_other_secret_is_tried_once_with_the_same_ticket_and_stays_in_use(
    refusal: bytes,
) -> None:
    async with authing_that_refuses(SECRET, refusal) as seen, with_two_secrets(seen) as client:
        for _ in range(3):
            await client.exchange(TICKET)
        assert sent(seen) == [SECRET, NEXT, NEXT, NEXT]


async def test_the_first_secret_is_used_while_it_is_good() -> None:
    refusing = authing_that_refuses(NEXT, REFUSALS_OF_US[0])
    async with refusing as seen, with_two_secrets(seen) as client:
        await client.exchange(TICKET)
        await client.exchange(TICKET)
        assert sent(seen) == [SECRET, SECRET]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (json_response({"code": 2206}), TicketRejected),
        (json_response({"code": 2005}), AccountBlocked),
        (json_response({"code": 1000}), AuthingUnavailable),
        (json_response({"code": 500}), AuthingUnavailable),
        (http_response(status=429), AuthingUnavailable),
        (http_response(status=503), AuthingUnavailable),
        (http_response("<html>", content_type="text/html"), AuthingBadAnswer),
        (json_response({"code": 200, "data": {}}), AuthingBadAnswer),
        (Answer(then="reset"), AuthingUnavailable),
        (Answer(then="close"), AuthingUnavailable),
        (Answer(then="hang"), AuthingTimeout),
    ],
)
async def test_a_ticket_is_not_sent_again_after_any_other_answer_or_none(
    response: bytes | Answer, error: type[TicketgateError]
) -> None:
    async with peer(response) as seen, with_two_secrets(seen) as client:
        with pytest.raises(error):
            async with deadline(0.3):
                await client.exchange(TICKET)
        assert sent(seen) == [SECRET]


async def test_two_refused_secrets_are_a_wrong_configuration() -> None:
    async with peer(REFUSALS_OF_US[0]) as seen, with_two_secrets(seen) as client:
        for _ in range(2):
            with pytest.raises(AuthingMisconfigured):
                await client.exchange(TICKET)
        assert sent(seen) == [SECRET, NEXT, SECRET, NEXT]


@pytest.mark.parametrize("code", [2207, 2005])
async def test_a_ticket_that_the_refusal_has_spent_shows_that_the_other_secret_is_good(
    code: int,
) -> None:
    spent: set[str] = set()

    def says(request: Request) -> bytes:
        ticket, secret = request.json["ticket"], request.json["secret"]
        was_spent = ticket in spent
        spent.add(ticket)
        if secret == SECRET:
            return REFUSALS_OF_US[0]
        return json_response({"code": code} if was_spent else make_user())

    async with peer(says) as seen, with_two_secrets(seen) as client:
        with pytest.raises((TicketRejected, AccountBlocked)):
            await client.exchange(TICKET)
        spent.clear()
        await client.exchange(TICKET)
        assert sent(seen) == [SECRET, NEXT, NEXT]


async def test_secrets_that_change_are_used_at_once() -> None:
    in_force = [SECRET]
    async with (
        peer(json_response(make_user())) as seen,
        authing(seen.url, pool_secrets=PoolSecrets(lambda: in_force)) as client,
    ):
        await client.exchange(TICKET)
        in_force[:] = [NEXT]
        await client.exchange(TICKET)
        assert sent(seen) == [SECRET, NEXT]
