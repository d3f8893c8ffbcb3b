"""Request and response bodies. Instants are epoch seconds; unknown members are absent, not null."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal, NotRequired, Self, cast

from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict

from app.api.problems import Language
from app.sessions.history import HistoryEvent
from app.sessions.models import Device, Profile, Revocation, Session, TokenPair, epoch

EXPLANATIONS: Mapping[str, Mapping[Language, str]] = tomllib.loads(
    files(__package__).joinpath("explanations.toml").read_text("utf-8")
)
"""For each end why it is, what that means and what to do: by reason and kind, or by reason."""

Identifier = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
_NO_IDENTIFIER, _CONTROL = re.compile(r"[^A-Za-z0-9._:-]"), re.compile(r"[\x00-\x1f\x7f]")
_DEVICE = {
    **dict.fromkeys(("id", "type"), (_NO_IDENTIFIER, 128)),
    **dict.fromkeys(("name", "app_version"), (_CONTROL, 64)),
}
"""For each member the characters that are dropped, and the length that is kept."""


class LoginRequest(BaseModel):
    """A ticket, or the raw `extMsg` that WeChat returned, and the device."""

    ticket: Annotated[str, Field(min_length=1, max_length=8192)] | None = Field(None, repr=False)
    ext_msg: Annotated[str, Field(max_length=8192)] | None = Field(None, repr=False)
    device: Any = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        # An empty `ext_msg` is what WeChat returned, unless there is a ticket.
        if self.ticket is None:
            one = "ext_msg" in self.model_fields_set
        else:
            one = not (self.ext_msg or "").strip()
        if not one:
            raise ValueError("exactly one of ticket and ext_msg is expected")
        return self


class RefreshRequest(BaseModel):
    """The refresh token of the last token response."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=256, repr=False)]


class User(TypedDict):
    """OpenID Connect standard claims (OIDC Core 5.1)."""

    sub: str
    name: NotRequired[str]
    nickname: NotRequired[str]
    preferred_username: NotRequired[str]
    given_name: NotRequired[str]
    family_name: NotRequired[str]
    middle_name: NotRequired[str]
    profile: NotRequired[str]
    picture: NotRequired[str]
    website: NotRequired[str]
    email: NotRequired[str]
    email_verified: NotRequired[bool]
    gender: NotRequired[str]
    birthdate: NotRequired[str]
    zoneinfo: NotRequired[str]
    locale: NotRequired[str]
    phone_number: NotRequired[str]
    phone_number_verified: NotRequired[bool]


class SessionOut(TypedDict):
    """One signed-in device. `expires_at` is the absolute end; no refresh moves it."""

    id: str
    created_at: int
    expires_at: int
    device: NotRequired[Device]


class ListedSession(SessionOut):
    """One of the user's sessions; `current` is true for the session of the bearer.

    `last_used_at` is the login or the last refresh. An older access token gets the login only.
    """

    last_used_at: int
    current: bool


class CurrentSession(SessionOut):
    """This session and its user."""

    last_used_at: int
    user: User


class TokenResponse(TypedDict):
    """Tokens after a login or a refresh. Lifetimes are in seconds from `server_time`."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_after: int
    refresh_token: str
    refresh_expires_in: int
    server_time: int
    session: SessionOut
    user: User


class RefreshResponse(TokenResponse):
    """`replayed`: the same successor again, because its first response may have been lost."""

    outcome: Literal["rotated", "replayed"]


class Revocations(TypedDict):
    """Ended sessions, oldest first. Ask again with `cursor`, after `poll_after` seconds."""

    events: list[Revocation]
    cursor: str
    poll_after: int


class History(TypedDict):
    """What happened, newest first. The refreshes of an active session are one event."""

    events: Sequence[HistoryEvent]


class Introspection(TypedDict):
    """The state of a token (RFC 7662); only `active` if it is not good."""

    active: bool
    iss: NotRequired[str]
    aud: NotRequired[str]
    sub: NotRequired[str]
    sid: NotRequired[str]
    client_id: NotRequired[str]
    iat: NotRequired[int]
    exp: NotRequired[int]
    token_type: NotRequired[Literal["Bearer", "refresh_token"]]


class JwkSet(TypedDict):
    """The public keys of access tokens (RFC 7517). The members of a key depend on its `kty`."""

    keys: list[dict[str, str]]


class Discovery(TypedDict):
    """Authorization server metadata (RFC 8414)."""

    issuer: str
    jwks_uri: str
    introspection_endpoint: NotRequired[str]
    introspection_endpoint_auth_methods_supported: NotRequired[list[str]]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    dpop_signing_alg_values_supported: NotRequired[list[str]]


class Liveness(TypedDict):
    """The process responds."""

    status: Literal["ok"]


class Checks(TypedDict):
    """The conditions of readiness, and whether key file and secret files on disk are in force."""

    store: Literal["ok", "unavailable"]
    keys: Literal["ok", "reload_failed"]
    secrets: Literal["ok", "reload_failed"]
    draining: Literal["no", "yes"]


class Readiness(TypedDict):
    """Whether this instance can take traffic. `authing` is informative and decides nothing."""

    status: Literal["ready", "not_ready"]
    checks: Checks
    authing: str


def device_of(given: Any) -> Device:
    """The device of the core: what is left of what the app says."""
    if not isinstance(given, dict):
        return {}
    kept = {
        name: forbidden.sub("", text).strip()[:length].strip()
        for name, (forbidden, length) in _DEVICE.items()
        if isinstance(text := given.get(name), str)
    }
    return cast("Device", {name: text for name, text in kept.items() if text})


def user_out(session: Session, profile: Profile) -> User:
    """The user, as `GET /v1/me` returns it."""
    return cast("User", {"sub": session.subject, **profile.claims})


def session_out(session: Session, profile: Profile) -> SessionOut:
    """A session, as the app sees it."""
    shown: SessionOut = {
        "id": session.id,
        "created_at": epoch(session.created_at),
        "expires_at": epoch(session.absolute_expires_at),
    }
    if profile.device:
        shown["device"] = profile.device
    return shown


def listed_session(session: Session, profile: Profile, *, current_id: str | None) -> ListedSession:
    """A session in a list."""
    return {
        **session_out(session, profile),
        "last_used_at": epoch(session.last_used_at),
        "current": session.id == current_id,
    }


def history_out(told: Sequence[HistoryEvent], language: Language) -> History:
    """The history, with the explanation of each end in this language."""
    return {"events": [_explained(each, language) for each in told]}


def _explained(event: HistoryEvent, language: Language) -> HistoryEvent:
    if "reason" not in event:
        return event
    variant = f"{event['reason']}.{event.get('kind') or event.get('by')}"
    texts = EXPLANATIONS.get(variant) or EXPLANATIONS[event["reason"]]
    return {**event, "explanation": texts[language]}


def token_response(pair: TokenPair, refresh_after: int) -> TokenResponse:
    """The response of a login or a refresh. `refresh_after` is in seconds."""
    return {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_after": refresh_after,
        "refresh_token": pair.refresh_token,
        "refresh_expires_in": pair.refresh_expires_in,
        "server_time": epoch(pair.issued_at),
        "session": session_out(pair.session, pair.profile),
        "user": user_out(pair.session, pair.profile),
    }
