"""Login, refresh, this session, logout."""

import random

from fastapi import Response

from app.api.deps import BearerDep, Services, ServicesDep, SessionDep
from app.api.routing import new_router, problems
from app.api.schemas import (
    CurrentSession,
    LoginRequest,
    RefreshAnswer,
    RefreshRequest,
    TokenAnswer,
    device_of,
    session_out,
    token_answer,
    user_out,
)
from app.errors import FieldError, InvalidRequest
from app.sessions.models import TokenPair

router = new_router()


@router.post(
    "/v1/sessions",
    status_code=201,
    summary="Log in with a ticket",
    responses=problems(400, 403, 413, 415, 422, 502, 503),
)
async def log_in(body: LoginRequest, response: Response, services: ServicesDep) -> TokenAnswer:
    """Exchange a ticket of the mini program for a session of the app's own."""
    pair = await services.sessions.open(_ticket(body, services), device_of(body.device))
    response.headers["Location"] = f"/v1/sessions/{pair.session.id}"
    return token_answer(pair, _refresh_after(pair))


@router.post(
    "/v1/sessions/refresh",
    summary="Get the next pair of tokens",
    responses=problems(400, 413, 415, 422, 503),
)
async def refresh(body: RefreshRequest, services: ServicesDep) -> RefreshAnswer:
    """Rotate the refresh token. After a lost answer, send the same token again."""
    pair = await services.sessions.refresh(body.refresh_token)
    answer = token_answer(pair, _refresh_after(pair))
    return {**answer, "outcome": "replayed" if pair.replayed else "rotated"}


@router.get("/v1/sessions/current", summary="This session", responses=problems(401, 503))
async def show_current(found: SessionDep) -> CurrentSession:
    """Show the bearer's session and its user."""
    session, profile = found
    return {
        **session_out(session, profile),
        "last_used_at": int(session.last_used_at.timestamp()),
        "user": user_out(session, profile),
    }


@router.delete(
    "/v1/sessions/current", status_code=204, summary="Log out", responses=problems(401, 503)
)
async def log_out(token: BearerDep, services: ServicesDep) -> Response:
    """End the bearer's session. Logging out twice is no error."""
    await services.sessions.log_out(token)
    return Response(status_code=204)


def _ticket(body: LoginRequest, services: Services) -> str:
    if body.ext_msg is not None:
        return services.ticket_of(body.ext_msg)
    ticket = services.clean_ticket(body.ticket or "")
    if ticket is None:
        raise InvalidRequest([FieldError("/ticket", "is not a ticket of the mini program")])
    return ticket


def _refresh_after(pair: TokenPair) -> int:
    # Jittered, so that apps which signed in together do not come back together; well before the
    # end, so that a refresh has time to be retried.
    return int(pair.expires_in * random.uniform(0.6, 0.8))  # noqa: S311  # no secret
