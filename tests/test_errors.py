"""The tree of errors: codes, and no texts."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from app import errors
from app.errors import (
    AccessSessionEnded,
    AuthingError,
    EndedSession,
    FieldError,
    InvalidRequest,
    LoginInProgress,
    MethodNotAllowed,
    ProofError,
    RateLimited,
    RefreshSessionEnded,
    StartupError,
    StoreUnavailable,
    TicketgateError,
    TicketRejected,
    UserBanned,
)


def children(kind: type[TicketgateError]) -> list[type[TicketgateError]]:
    # Other tests of the same run may have made subclasses of their own.
    own = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    # What ended sessions have in common is half of two errors and no error by itself.
    return [child for child in own if child is not EndedSession]


def descendants(kind: type[TicketgateError]) -> list[type[TicketgateError]]:
    return [each for child in children(kind) for each in (child, *descendants(child))]


LEAVES = [kind for kind in descendants(TicketgateError) if not children(kind)]


def make(kind: type[TicketgateError]) -> TicketgateError:
    if issubclass(kind, AuthingError):
        return kind("http_5xx")
    if issubclass(kind, ProofError):
        return kind("nonce", "reused")
    arguments: dict[type[TicketgateError], object] = {
        InvalidRequest: [FieldError("/ticket", "is required")],
        MethodNotAllowed: ["GET", "HEAD"],
        TicketRejected: 2020,
        RefreshSessionEnded: "expired",
        AccessSessionEnded: "expired",
        UserBanned: datetime(2026, 11, 22, tzinfo=UTC),
        LoginInProgress: 2,
        RateLimited: 7,
    }
    construct: type = kind
    made: TicketgateError = construct(arguments[kind]) if kind in arguments else construct()
    return made


def test_a_code_means_one_thing() -> None:
    codes = Counter(kind.code for kind in LEAVES)
    # The end of a session is told alike wherever the credential came from.
    assert [code for code, uses in codes.items() if uses > 1] == ["session_ended"]


@pytest.mark.parametrize("kind", LEAVES)
def test_an_error_carries_no_text_that_could_end_up_in_a_log(kind: type[TicketgateError]) -> None:
    error = make(kind)
    assert (str(error), error.args) == ("", ())
    assert repr(error) == f"{kind.__name__}()"


def test_trouble_with_the_store_spreads_the_retries_over_seconds() -> None:
    assert {StoreUnavailable().retry_after for _ in range(200)} == {1, 2, 3}


def test_a_refusal_to_start_is_no_answer_to_a_request() -> None:
    assert not issubclass(StartupError, TicketgateError)
    assert str(StartupError("STORE_URL: is in use")) == "STORE_URL: is in use"
