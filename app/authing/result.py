"""What Authing's answer decides, by HTTP status and business code. Pure.

The vendor documents neither the status nor the code of a failed exchange, and its own clients
disagree about which of the two to believe. So success needs both, and a number that nobody
explains is a refusal of the ticket.
"""

from http import HTTPStatus

from app.errors import (
    AuthingBadAnswer,
    AuthingMisconfigured,
    AuthingUnavailable,
    TicketRejected,
)

OK = 200
_THROTTLED = 429
# No permission; application missing; user pool missing.
_MISCONFIGURED = frozenset({1001, 2011, 2224})
_SUCCESS = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
_OURS_TO_FIX = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_WITH_RETRY_AFTER = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def is_success(status: int) -> bool:
    """Whether the HTTP layer says yes."""
    return status in _SUCCESS


def raise_for_status(status: int, *, retry_after: int) -> None:
    """Decide what needs no look at the body.

    Raises:
        AuthingUnavailable: Authing is down or throttles us; the ticket was not judged.
        AuthingBadAnswer: it sends us elsewhere. The secret goes nowhere else.
    """
    if status in _WITH_RETRY_AFTER:
        outcome = "rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else "http_5xx"
        raise AuthingUnavailable(outcome, retry_after=retry_after)
    match status // 100:
        case 5:
            raise AuthingUnavailable("http_5xx")
        case 3:
            raise AuthingBadAnswer("redirect")


def raise_for_code(code: int | None, status: int, *, retry_after: int) -> None:
    """Decide by the business code, and by the status where there is none.

    Raises:
        TicketRejected: any code that is not success and has no other meaning here.
        AuthingMisconfigured: Authing refuses us, not the ticket.
        AuthingUnavailable: the code says that we are throttled.
        AuthingBadAnswer: the two layers contradict each other, or say nothing known.
    """
    if code is not None and code != OK:
        if code == _THROTTLED:
            raise AuthingUnavailable("rate_limited", retry_after=retry_after)
        if code in _MISCONFIGURED:
            raise AuthingMisconfigured("auth_config")
        raise TicketRejected(code)
    if not is_success(status):
        if code is None and status in _OURS_TO_FIX:
            raise AuthingMisconfigured("auth_config")
        raise AuthingBadAnswer("bad_status")
