"""Routes for the rest of the backend, behind a service key: list sessions, kick, ban.

Without `SERVICE_API_KEYS` these routes do not exist.
"""

from datetime import UTC, datetime
from typing import Annotated, NotRequired

from fastapi import Path, Request, Security
from pydantic import BaseModel, BeforeValidator, ConfigDict
from typing_extensions import TypedDict, override

from app.api.deps import BearerToken, ServicesDep, services
from app.api.openapi import problems
from app.api.routing import new_router
from app.api.schemas import Identifier, ListedSession, listed_session
from app.errors import AccessRefused, ServiceKeyInvalid
from app.sessions.models import Ban, EndReason

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

    reason: Identifier
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
        """Authenticate the rest of the backend.

        Raises:
            ServiceKeyInvalid: there is no bearer token, or it is not one of the service keys.
        """
        try:
            key = await super().__call__(request)
        except AccessRefused:
            raise ServiceKeyInvalid from None
        if not (await services(request)).service_keys.accept(key):
            raise ServiceKeyInvalid
        return key


_SERVICE_KEY = _ServiceKey("service_key", "One of SERVICE_API_KEYS")
router = new_router("backend", prefix="/internal/v1", dependencies=[Security(_SERVICE_KEY)])


@router.get(
    "/users/{subject}/sessions", summary="A user's sessions", responses=problems(401, 404, 422, 503)
)
async def show_sessions(subject: Subject, services: ServicesDep) -> list[ListedSession]:
    """List the user's active sessions, oldest first."""
    listed = await services.sessions.active_sessions(subject)
    return [listed_session(*each, current_id=None) for each in listed]


@router.delete(
    "/users/{subject}/sessions",
    status_code=204,
    summary="Kick",
    responses=problems(401, 404, 422, 503),
)
async def kick(subject: Subject, services: ServicesDep) -> None:
    """End all sessions of the user; they may sign in again."""
    await services.sessions.end_all(subject, EndReason.KICKED)


@router.put("/users/{subject}/ban", summary="Ban", responses=problems(401, 404, 415, 422, 503))
async def ban(subject: Subject, body: BanIn, services: ServicesDep) -> BanOut:
    """Ban the user or change the ban, and end all sessions of the user."""
    return _ban_out(await services.bans.ban(subject, body.reason, body.until))


@router.get(
    "/users/{subject}/ban", summary="The ban in force", responses=problems(401, 404, 422, 503)
)
async def show_ban(subject: Subject, services: ServicesDep) -> BanOut:
    """Show the ban, if there is one in force."""
    return _ban_out(await services.bans.find(subject))


@router.delete(
    "/users/{subject}/ban",
    status_code=204,
    summary="Lift the ban",
    responses=problems(401, 404, 422, 503),
)
async def lift_ban(subject: Subject, services: ServicesDep) -> None:
    """Lift the ban. Lifting none is no error."""
    await services.bans.lift(subject)


@router.get("/bans", summary="The bans in force", responses=problems(401, 404, 503))
async def show_bans(services: ServicesDep) -> list[ListedBan]:
    """List the bans in force, at most 1,000; those that last longest come first."""
    return [{"sub": ban.subject, **_ban_out(ban)} for ban in await services.bans.in_force()]


def _ban_out(ban: Ban) -> BanOut:
    shown: BanOut = {"reason": ban.reason, "created_at": int(ban.created_at.timestamp())}
    if ban.until is not None:
        shown["until"] = ban.until.isoformat()
    return shown
