"""Every way Ticketgate says no, as one tree of exceptions with stable codes.

A class carries a `code`, never a status: how HTTP shows it is decided by one table in
`app/api/problems.py`. None carries free text, because a text that was made near a secret ends up
in a log; what an operator needs beyond the code is a word of a closed vocabulary (`outcome`) or a
number.

    TicketgateError
    ├── RequestError                  the request itself is not good
    │   ├── MalformedRequest              malformed_request
    │   ├── InvalidRequest                invalid_request (with a list of fields)
    │   ├── IdempotencyKeyMismatch        idempotency_key_mismatch
    │   ├── NotFound                      not_found
    │   ├── MethodNotAllowed              method_not_allowed
    │   ├── BodyTooLarge                  body_too_large
    │   ├── UriTooLong                    uri_too_long
    │   ├── HeaderTooLarge                header_too_large
    │   ├── UnsupportedMediaType          unsupported_media_type
    │   ├── LoginCancelled                login_cancelled
    │   └── ExtMsgUnsupported             ext_msg_unsupported
    ├── LoginRefused                  there will be no session for this ticket
    │   ├── TicketRejected                ticket_rejected
    │   ├── TicketUsed                    ticket_used
    │   ├── AccountBlocked                account_blocked
    │   └── UserBanned                    user_banned (with the end of the ban)
    ├── LoginInProgress                   login_in_progress
    ├── RateLimited                       rate_limited
    ├── AuthingError                  Authing could not be asked, or not be believed
    │   ├── AuthingUnavailable            authing_unavailable
    │   ├── AuthingTimeout                authing_timeout
    │   ├── AuthingOverloaded             authing_overloaded
    │   ├── AuthingMisconfigured          authing_misconfigured
    │   ├── AuthingBadAnswer              authing_bad_answer
    │   ├── AuthingTokenInvalid           authing_token_invalid
    │   └── AuthingUntrusted              authing_untrusted
    ├── RefreshRefused                the refresh token in the body is not good
    │   ├── RefreshTokenInvalid           refresh_token_invalid
    │   └── RefreshSessionEnded           session_ended (with the ending's name)
    ├── AccessRefused                 the bearer token is not good
    │   ├── AccessTokenMissing            access_token_missing
    │   ├── AccessTokenInvalid            access_token_invalid
    │   ├── AccessTokenExpired            access_token_expired
    │   └── AccessSessionEnded            session_ended (with the ending's name)
    ├── StoreUnavailable                  store_unavailable
    └── InternalError                     internal_error
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


class TicketgateError(Exception):
    """Root of everything that Ticketgate refuses on purpose."""

    code: ClassVar[str]


# --- the request itself ---


class RequestError(TicketgateError):
    """The request is not one that this API takes."""


class MalformedRequest(RequestError):
    """Framing, encoding or JSON that does not parse under the strict rules."""

    code = "malformed_request"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: a JSON pointer (RFC 6901) and what is expected there."""

    pointer: str
    message: str


class InvalidRequest(RequestError):
    """Well-formed JSON with fields that are missing or wrong. Never carries the input."""

    code = "invalid_request"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__()
        self.errors = tuple(errors)


class IdempotencyKeyMismatch(RequestError):
    """The idempotency key was used with another ticket."""

    code = "idempotency_key_mismatch"


class NotFound(RequestError):
    """No such path, or nothing of that name there."""

    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method; `allowed` are those it has."""

    code = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = tuple(allowed)


class BodyTooLarge(RequestError):
    """The body is larger than 8 KiB."""

    code = "body_too_large"


class UriTooLong(RequestError):
    """The request target is longer than 2 KiB."""

    code = "uri_too_long"


class HeaderTooLarge(RequestError):
    """The header section is larger than 16 KiB or has more than 100 fields."""

    code = "header_too_large"


class UnsupportedMediaType(RequestError):
    """The body is not labelled `application/json`."""

    code = "unsupported_media_type"


class LoginCancelled(RequestError):
    """The user declined in the mini program, says `ext_msg`."""

    code = "login_cancelled"


class ExtMsgUnsupported(RequestError):
    """`ext_msg` holds no ticket: another flow's answer, or something garbled."""

    code = "ext_msg_unsupported"


# --- a login ---


class LoginRefused(TicketgateError):
    """A definite no: this ticket will not become a session."""


class TicketRejected(LoginRefused):
    """Authing refused the ticket: expired, unknown or used there.

    `authing_code` is Authing's business code. No public source says which number means what for
    this endpoint, so it is logged and never interpreted.
    """

    code = "ticket_rejected"

    def __init__(self, authing_code: int) -> None:
        super().__init__()
        self.authing_code = authing_code


class TicketUsed(LoginRefused):
    """The ticket has become a session already, and this is no retry of that login."""

    code = "ticket_used"


class AccountBlocked(LoginRefused):
    """Authing knows the user and has blocked or deleted them."""

    code = "account_blocked"


class UserBanned(LoginRefused):
    """We have banned the user, until an instant or (None) until somebody lifts it."""

    code = "user_banned"

    def __init__(self, until: datetime | None) -> None:
        super().__init__()
        self.until = until


class LoginInProgress(TicketgateError):
    """Another request is exchanging this ticket. `retry_after` is in seconds."""

    code = "login_in_progress"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class RateLimited(TicketgateError):
    """Too many of this kind. Says nothing about any session. `retry_after` is in seconds."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


# --- Authing could not be asked, or not be believed ---


class AuthingError(TicketgateError):
    """No verdict about the user could be had.

    `outcome` is one word of a closed vocabulary that tells an operator what happened (for logs and
    metrics). `retry_after` is in seconds.
    """

    def __init__(self, outcome: str, *, retry_after: int = 2) -> None:
        super().__init__()
        self.outcome = outcome
        self.retry_after = retry_after


class AuthingUnavailable(AuthingError):
    """No connection, a 5xx, Authing throttles us; or it was so too often to ask again just now."""

    code = "authing_unavailable"


class AuthingTimeout(AuthingError):
    """The deadline of the exchange passed; what Authing did with the ticket is unknown."""

    code = "authing_timeout"


class AuthingOverloaded(AuthingError):
    """As many exchanges as we allow are under way already; Authing was not asked."""

    code = "authing_overloaded"


class AuthingMisconfigured(AuthingError):
    """Authing refuses us, not the user: pool id, pool secret or address are wrong."""

    code = "authing_misconfigured"


class AuthingBadAnswer(AuthingError):
    """The answer is not one that Authing's documents or clients know."""

    code = "authing_bad_answer"


class AuthingTokenInvalid(AuthingError):
    """The token in the answer does not verify, or speaks of another pool or user."""

    code = "authing_token_invalid"


class AuthingUntrusted(AuthingError):
    """TLS could not establish that the peer is Authing. Nothing was sent."""

    code = "authing_untrusted"


# --- our own tokens ---


class EndedSession(TicketgateError):
    """The session has ended; `reason` is the name of the ending.

    `replaced_by` is the device type of the login that replaced it, if the app told one.
    """

    code = "session_ended"

    def __init__(self, reason: str, replaced_by: str | None = None) -> None:
        super().__init__()
        self.reason = reason
        self.replaced_by = replaced_by


class RefreshRefused(TicketgateError):
    """The refresh token in the body is not good."""


class RefreshTokenInvalid(RefreshRefused):
    """Not a refresh token of ours, or its session is not known (any more)."""

    code = "refresh_token_invalid"


class RefreshSessionEnded(EndedSession, RefreshRefused):
    """The session has ended. See EndedSession."""


class AccessRefused(TicketgateError):
    """The bearer token in `Authorization` is not good."""


class AccessTokenMissing(AccessRefused):
    """There is no bearer token."""

    code = "access_token_missing"


class AccessTokenInvalid(AccessRefused):
    """Not an access token of ours."""

    code = "access_token_invalid"


class AccessTokenExpired(AccessRefused):
    """Ours and genuine, but its time is over."""

    code = "access_token_expired"


class AccessSessionEnded(EndedSession, AccessRefused):
    """The session has ended. See EndedSession."""


# --- ourselves ---


class StoreUnavailable(TicketgateError):
    """The store could not be asked. Says nothing about any session: they live on."""

    code = "store_unavailable"
    retry_after = 2


class InternalError(TicketgateError):
    """A bug of ours. Its cause is logged by type and place only."""

    code = "internal_error"


# --- at start ---


class StartupError(Exception):
    """The service cannot start as configured. The text is one line that names the setting.

    The only error with a text: it is made from names and rules, never from a setting's value.
    """
