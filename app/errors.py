"""All errors of Ticketgate: one tree of exceptions with stable codes.

A class has a `code` and no HTTP status; `app/api/problems.py` maps one to the other. No error has
free text, because texts end up in logs and may hold a secret. Beyond the code, an operator gets a
word of a closed vocabulary (`outcome`) or a number.

    TicketgateError
    ├── RequestError                  the request itself is wrong
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
    ├── LoginRefused                  no session will be made from this ticket
    │   ├── TicketRejected                ticket_rejected
    │   ├── TicketUsed                    ticket_used
    │   ├── AccountBlocked                account_blocked
    │   └── UserBanned                    user_banned (with the end of the ban)
    ├── TryLater                      the same request may be sent again, later
    │   ├── LoginInProgress               login_in_progress
    │   └── RateLimited                   rate_limited
    ├── AuthingError                  Authing gave no result that can be believed
    │   ├── AuthingUnavailable            authing_unavailable
    │   ├── AuthingTimeout                authing_timeout
    │   ├── AuthingOverloaded             authing_overloaded
    │   ├── AuthingMisconfigured          authing_misconfigured
    │   ├── AuthingBadAnswer              authing_bad_answer
    │   ├── AuthingTokenInvalid           authing_token_invalid
    │   └── AuthingUntrusted              authing_untrusted
    ├── RefreshRefused                the refresh token in the body is refused
    │   ├── RefreshTokenInvalid           refresh_token_invalid
    │   └── RefreshSessionEnded           session_ended (with the reason)
    ├── AccessRefused                 the bearer token is refused
    │   ├── AccessTokenMissing            access_token_missing
    │   ├── AccessTokenInvalid            access_token_invalid
    │   ├── AccessTokenExpired            access_token_expired
    │   └── AccessSessionEnded            session_ended (with the reason)
    ├── StoreUnavailable                  store_unavailable
    └── InternalError                     internal_error
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


class TicketgateError(Exception):
    """The root of all errors that a request can cause."""

    code: ClassVar[str]


class RequestError(TicketgateError):
    """The request itself is wrong."""


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
    """No such path, or no resource with this id."""

    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method. `allowed` lists its methods."""

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
    """`ext_msg` says that the user declined in the mini program."""

    code = "login_cancelled"


class ExtMsgUnsupported(RequestError):
    """`ext_msg` holds no ticket: it is of another login flow, or damaged."""

    code = "ext_msg_unsupported"


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
    """The user is banned here, until an instant or (None) until the ban is lifted."""

    code = "user_banned"

    def __init__(self, until: datetime | None) -> None:
        super().__init__()
        self.until = until


class TryLater(TicketgateError):
    """Nothing was done. The same request may be sent again after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class LoginInProgress(TryLater):
    """Another request is exchanging this ticket."""

    code = "login_in_progress"


class RateLimited(TryLater):
    """Too many requests of this kind. Says nothing about any session."""

    code = "rate_limited"


class AuthingError(TicketgateError):
    """Authing gave no result that can be believed; the user is not judged.

    `outcome` is a word of a closed vocabulary for logs and metrics. `retry_after` is in seconds.
    """

    def __init__(self, outcome: str, *, retry_after: int = 2) -> None:
        super().__init__()
        self.outcome = outcome
        self.retry_after = retry_after


class AuthingUnavailable(AuthingError):
    """No connection, a 5xx, a throttled request, or an open breaker after many of these."""

    code = "authing_unavailable"


class AuthingTimeout(AuthingError):
    """The deadline of the exchange passed. The ticket may be used or not."""

    code = "authing_timeout"


class AuthingOverloaded(AuthingError):
    """The maximum of concurrent exchanges is reached; Authing was not asked."""

    code = "authing_overloaded"


class AuthingMisconfigured(AuthingError):
    """Authing refuses this service: the pool id, the pool secret or the address is wrong."""

    code = "authing_misconfigured"


class AuthingBadAnswer(AuthingError):
    """The response has no form that Authing's documents or clients know."""

    code = "authing_bad_answer"


class AuthingTokenInvalid(AuthingError):
    """The token in the response does not verify, or is of another pool or user."""

    code = "authing_token_invalid"


class AuthingUntrusted(AuthingError):
    """The TLS certificate of Authing does not verify. Nothing was sent."""

    code = "authing_untrusted"


class EndedSession(TicketgateError):
    """The session has ended; `reason` is an EndReason.

    `replaced_by` is the device type of the login that replaced it, if known.
    """

    code = "session_ended"

    def __init__(self, reason: str, replaced_by: str | None = None) -> None:
        super().__init__()
        self.reason = reason
        self.replaced_by = replaced_by


class RefreshRefused(TicketgateError):
    """The refresh token in the body is refused."""


class RefreshTokenInvalid(RefreshRefused):
    """Not a refresh token of this service, or its session is unknown."""

    code = "refresh_token_invalid"


class RefreshSessionEnded(EndedSession, RefreshRefused):
    """The session of this token has ended."""


class AccessRefused(TicketgateError):
    """The bearer token in `Authorization` is refused."""


class AccessTokenMissing(AccessRefused):
    """There is no bearer token."""

    code = "access_token_missing"


class AccessTokenInvalid(AccessRefused):
    """Not an access token of this service."""

    code = "access_token_invalid"


class AccessTokenExpired(AccessRefused):
    """A genuine access token that has expired."""

    code = "access_token_expired"


class AccessSessionEnded(EndedSession, AccessRefused):
    """The session of this token has ended."""


class StoreUnavailable(TicketgateError):
    """The store cannot be reached. Says nothing about any session: they live on."""

    code = "store_unavailable"
    retry_after = 2


class InternalError(TicketgateError):
    """A bug in this service. The log names its type and place only."""

    code = "internal_error"


class StartupError(Exception):
    """The service cannot start as configured. The text is one line that names the setting.

    Its text is made of names and rules, never of the value of a setting.
    """
