"""All errors of Ticketgate: one tree of exceptions with stable codes.

A class has a `code`; `app/api/problems.py` maps it to an HTTP status. No error has free text: a
text could bring a secret into a log. Instead, an operator gets an `outcome` or a number.

    TicketgateError
    ├── RequestError    the request itself is wrong
    ├── LoginRefused    no session will be made from this ticket
    ├── AuthingError    Authing gave no result that can be believed
    ├── RefreshRefused, ProofError, AccessRefused, EndedSession    of an existing session
    └── LoginInProgress, RateLimited, ServiceKeyInvalid, StoreUnavailable, InternalError
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, TypeAlias, dataclass_transform

_NoResponse = Literal["dns", "connect_refused", "connect_timeout", "tls", "reset", "deadline"]
_Status = Literal["http_5xx", "rate_limited", "auth_config", "redirect", "bad_status"]
_Form = Literal["bad_framing", "bad_encoding", "bad_content_type", "too_large", "bad_json"]
_Other = Literal["bad_shape", "bad_token", "jwks_unavailable", "bulkhead", "breaker_open"]
Outcome: TypeAlias = Literal[_NoResponse, _Status, _Form, _Other]


@dataclass_transform(eq_default=False)
class TicketgateError(Exception):
    """The root of all errors that a request can cause. Every subclass becomes a dataclass."""

    code: ClassVar[str]

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        dataclass(eq=False, repr=False)(cls)

    def __post_init__(self) -> None:
        self.args = ()  # they would be the text of the error


class RequestError(TicketgateError):
    """The request itself is wrong."""


class MalformedRequest(RequestError, code="malformed_request"):
    """Framing, encoding or JSON that does not parse under the strict rules."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: a JSON pointer (RFC 6901) and what is expected there."""

    pointer: str
    message: str


class InvalidRequest(RequestError, code="invalid_request"):
    """Well-formed JSON with fields that are missing or wrong. Never carries the input."""

    errors: Sequence[FieldError]


class IdempotencyKeyMismatch(RequestError, code="idempotency_key_mismatch"):
    """The idempotency key was used with another ticket."""


class NotFound(RequestError, code="not_found"):
    """No such path, or no resource with this id."""


class MethodNotAllowed(RequestError, code="method_not_allowed"):
    """The path exists, but not with this method. `allowed` lists its methods."""

    allowed: Sequence[str]


class BodyTooLarge(RequestError, code="body_too_large"):
    """The body is larger than 8 KiB."""


class UriTooLong(RequestError, code="uri_too_long"):
    """The request target is longer than 2 KiB."""


class HeaderTooLarge(RequestError, code="header_too_large"):
    """The header section is larger than 16 KiB or has more than 100 fields."""


class UnsupportedMediaType(RequestError, code="unsupported_media_type"):
    """The body is not labelled `application/json`."""


class LoginCancelled(RequestError, code="login_cancelled"):
    """`ext_msg` says that the user declined in the mini program."""


class ExtMsgUnsupported(RequestError, code="ext_msg_unsupported"):
    """`ext_msg` holds no ticket: it is of another login flow, or damaged."""


class LoginRefused(TicketgateError):
    """A definite no: this ticket will not become a session."""


class TicketRejected(LoginRefused, code="ticket_rejected"):
    """Authing refused the ticket: expired, unknown or used there."""

    authing_code: int  # logged, never interpreted: no public source says what each number means


class TicketUsed(LoginRefused, code="ticket_used"):
    """The ticket has become a session already, and this is no retry of that login."""


class AccountBlocked(LoginRefused, code="account_blocked"):
    """Authing knows the user and has blocked or deleted them; `authing_code` if a code says so."""

    authing_code: int | None = None


class UserBanned(LoginRefused, code="user_banned"):
    """The user is banned here, until an instant or (None) until the ban is lifted."""

    until: datetime | None


class LoginInProgress(TicketgateError, code="login_in_progress"):
    """Another request is exchanging this ticket; try again after `retry_after` seconds."""

    retry_after: int


class RateLimited(TicketgateError, code="rate_limited"):
    """Too many requests of this kind. Says nothing about any session."""

    retry_after: int


class AuthingError(TicketgateError):
    """Authing gave no result that can be believed; the user is not judged."""

    outcome: Outcome
    retry_after: int = 2
    authing_code: int | None = None


class AuthingUnavailable(AuthingError, code="authing_unavailable"):
    """No connection, a 5xx, a throttled request, or an open breaker after many of these."""


class AuthingTimeout(AuthingError, code="authing_timeout"):
    """The deadline of the exchange passed. The ticket may be used or not."""


class AuthingOverloaded(AuthingError, code="authing_overloaded"):
    """The maximum of concurrent exchanges is reached; Authing was not asked."""


class AuthingMisconfigured(AuthingError, code="authing_misconfigured"):
    """Authing refuses this service: the pool id, the pool secret or the address is wrong."""


class AuthingBadAnswer(AuthingError, code="authing_bad_answer"):
    """The response has no form that Authing's documents or clients know."""


class AuthingTokenInvalid(AuthingError, code="authing_token_invalid"):
    """The token in the response does not verify, or is of another pool or user."""


class AuthingUntrusted(AuthingError, code="authing_untrusted"):
    """The TLS certificate of Authing does not verify. Nothing was sent."""


class EndedSession(TicketgateError, code="session_ended"):
    """The session has ended. `replaced_by` is the device type of the login that replaced it."""

    reason: str
    replaced_by: str | None = None


class RefreshRefused(TicketgateError):
    """The refresh token in the body is refused."""


class RefreshTokenInvalid(RefreshRefused, code="refresh_token_invalid"):
    """Not a refresh token of this service, or its session is unknown."""


class RefreshSessionEnded(EndedSession, RefreshRefused):
    """The session of this token has ended."""


class ProofError(TicketgateError):
    """There is no good proof of possession (RFC 9449). `nonce` is for the next proof."""

    nonce: str
    outcome: str


class ProofRequired(ProofError, code="proof_required"):
    """There is no proof, but the session is bound to a key, or every session must be."""


class ProofInvalid(ProofError, code="proof_invalid"):
    """The proof is badly formed, of another key or request, used before, or without our nonce."""


class AccessRefused(TicketgateError):
    """The bearer token in `Authorization` is refused."""


class AccessTokenMissing(AccessRefused, code="access_token_missing"):
    """There is no bearer token."""


class AccessTokenInvalid(AccessRefused, code="access_token_invalid"):
    """Not an access token of this service."""


class AccessTokenExpired(AccessRefused, code="access_token_expired"):
    """A genuine access token that has expired."""


class AccessSessionEnded(EndedSession, AccessRefused):
    """The session of this token has ended."""


class ServiceKeyInvalid(TicketgateError, code="service_key_invalid"):
    """A route for the rest of the backend, without one of the service keys."""


class StoreUnavailable(TicketgateError, code="store_unavailable"):
    """The store cannot be reached. Says nothing about any session: they live on."""

    # At random, so that those refused at once do not return at once.
    retry_after: int = field(init=False, default_factory=lambda: 1 + secrets.randbelow(3))


class InternalError(TicketgateError, code="internal_error"):
    """A bug in this service; or, with the outcome `shutdown`, the process stopped first."""

    outcome: str | None = None


class StartupError(Exception):
    """The service cannot start. One line names the setting and the rule, never the value."""


class StoreInUse(StartupError):
    """Another process has the SQLite file: a second server, or a server beside `check`."""
