"""Routes for the rest of the backend, behind a service key: list, kick, ban, follow and explain.

Without `SERVICE_API_KEYS` these routes do not exist.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated, NotRequired

from fastapi import Header, Path, Request, Security
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict, override

from app.api import schemas
from app.api.deps import BearerToken, ServicesDep, services
from app.api.openapi import problems
from app.api.problems import preferred_language
from app.api.routing import new_router
from app.errors import AccessRefused, ServiceKeyInvalid
from app.events import add_context
from app.sessions.history import POLL_AFTER, HistoryEvent, RevocationFeed
from app.sessions.models import Ban, EndReason, Revocation, RevocationPage, epoch

_EVENT_STREAM = "text/event-stream"
Subject = Annotated[str, Path(min_length=1, max_length=128)]


def _instant(value: object) -> datetime:
    # pydantic would accept a number too. OverflowError: the first and last hours of the calendar.
    try:
        instant = datetime.fromisoformat(value.upper()) if isinstance(value, str) else None
        if instant is not None and instant.tzinfo is not None:
            return instant.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be an instant in ISO 8601 with its offset")


class BanIn(BaseModel):
    """`until` is ISO 8601 with an offset; without it the ban has no end. `reason` is your word."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "spam"}]})

    reason: schemas.Identifier
    until: Annotated[datetime, BeforeValidator(_instant)] | None = None


class BanOut(TypedDict):
    """The ban in force. `until` is ISO 8601."""

    reason: str
    created_at: int
    until: NotRequired[str]


class ListedBan(BanOut):
    """A ban in the list, with its user."""

    sub: str


class _ServiceKey(BearerToken):
    @override
    async def __call__(self, request: Request) -> str:
        """Authenticate the rest of the backend, or raise ServiceKeyInvalid."""
        try:
            key = await super().__call__(request)
        except AccessRefused:
            raise ServiceKeyInvalid from None
        core = await services(request)
        if not core.service_keys.accept(key):
            raise ServiceKeyInvalid
        if "subject" in request.path_params:
            secret = core.keys.ring.current_secret_key
            add_context(user=secret.pseudonym(request.path_params["subject"]))
        return key


_SERVICE_KEY = _ServiceKey(
    "service_key",
    "`Authorization: Bearer <key>` with one of SERVICE_API_KEYS. "
    "`python -m app keys service` makes a key.",
)
router = new_router("backend", prefix="/internal/v1", dependencies=[Security(_SERVICE_KEY)])
_ERRORS = problems(401, 404, 422, 503)


@router.get("/users/{subject}/sessions", summary="A user's sessions", responses=_ERRORS)
async def show_sessions(subject: Subject, services: ServicesDep) -> list[schemas.ListedSession]:
    """List the user's active sessions, oldest first."""
    listed = await services.sessions.active_sessions(subject)
    return [schemas.listed_session(*each, current_id=None) for each in listed]


@router.delete("/users/{subject}/sessions", status_code=204, summary="Kick", responses=_ERRORS)
async def kick(subject: Subject, services: ServicesDep) -> None:
    """End all sessions of the user; they may sign in again."""
    await services.sessions.end_all(subject, EndReason.KICKED)


@router.put("/users/{subject}/ban", summary="Ban", responses=_ERRORS | problems(415))
async def ban(subject: Subject, body: BanIn, services: ServicesDep) -> BanOut:
    """Ban the user or change the ban, and end all sessions of the user."""
    return _ban_out(await services.bans.ban(subject, body.reason, body.until))


@router.get("/users/{subject}/ban", summary="The ban in force", responses=_ERRORS)
async def show_ban(subject: Subject, services: ServicesDep) -> BanOut:
    """Show the ban, if there is one in force."""
    return _ban_out(await services.bans.find(subject))


@router.delete("/users/{subject}/ban", status_code=204, summary="Lift the ban", responses=_ERRORS)
async def lift_ban(subject: Subject, services: ServicesDep) -> None:
    """Lift the ban. Lifting none is no error."""
    await services.bans.lift(subject)


@router.get(
    "/users/{subject}/history", summary="What happened to a user's sessions", responses=_ERRORS
)
async def show_user_history(
    subject: Subject, request: Request, response: Response, services: ServicesDep
) -> schemas.History:
    """List what happened, newest first: at most the 1,000 newest sessions, and bans."""
    return _explained(await services.history.of_user(subject), request, response)


@router.get(
    "/sessions/{session_id}/history", summary="What happened to a session", responses=_ERRORS
)
async def show_session_history(
    session_id: Subject, request: Request, response: Response, services: ServicesDep
) -> schemas.History:
    """List what happened to one session, newest first. `Accept-Language` chooses the language."""
    return _explained(await services.history.of_session(session_id), request, response)


@router.get("/bans", summary="The bans in force", responses=problems(401, 404, 503))
async def show_bans(services: ServicesDep) -> list[ListedBan]:
    """List the bans in force, at most 1,000; those that last longest come first."""
    return [{"sub": ban.subject, **_ban_out(ban)} for ban in await services.bans.in_force()]


@router.get(
    "/revocations",
    summary="Sessions that have ended",
    response_model=schemas.Revocations,
    responses=problems(401, 404, 422, 429, 503) | {200: {"content": {_EVENT_STREAM: {}}}},
)
async def show_revocations(
    request: Request,
    services: ServicesDep,
    after: str = "",
    last_event_id: Annotated[str | None, Header()] = None,
) -> schemas.Revocations | Response:
    """List the sessions that ended after the cursor, while their access tokens may be valid.

    With `Accept: text/event-stream` the response stays open, and each session is an event of it.
    Then `Last-Event-ID` has precedence over `after`.
    """
    feed = services.revocations
    if _wants_stream(request):
        return _EventStream(feed, await feed.read_page(last_event_id or after))
    page = await feed.read(after)
    return {
        "events": [each for _, each in page.revocations],
        "cursor": page.cursor,
        "poll_after": 0 if page.more else POLL_AFTER,
    }


def _wants_stream(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(each.partition(";")[0].strip() == _EVENT_STREAM for each in accepted)


class _EventStream(StreamingResponse):
    """The feed as server-sent events (HTML standard, section 9.2).

    It takes its place among the streams, or raises RateLimited, before it is sent.
    """

    def __init__(self, feed: RevocationFeed, page: RevocationPage) -> None:
        super().__init__(
            self._text(feed.follow(page)),
            headers={"X-Accel-Buffering": "no"},  # nginx would collect the events
            media_type=_EVENT_STREAM,
        )
        self._place = ExitStack()
        self._place.enter_context(feed.following())

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)

    async def _text(
        self, pages: AsyncIterator[Sequence[tuple[str, Revocation]]]
    ) -> AsyncIterator[str]:
        yield f"retry: {1000 * POLL_AFTER}\n\n"
        async for page in pages:
            events = (f"id: {at}\ndata: {to_json(each).decode()}\n\n" for at, each in page)
            yield "".join(events) or ":\n\n"


def _explained(
    told: Sequence[HistoryEvent], request: Request, response: Response
) -> schemas.History:
    language = preferred_language(",".join(request.headers.getlist("accept-language")))
    response.headers.update({"Content-Language": language, "Vary": "Accept-Language"})
    return schemas.history_out(told, language)


def _ban_out(ban: Ban) -> BanOut:
    shown: BanOut = {"reason": ban.reason, "created_at": epoch(ban.created_at)}
    if ban.until is not None:
        shown["until"] = ban.until.isoformat()
    return shown
