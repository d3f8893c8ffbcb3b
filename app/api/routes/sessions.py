"""Login, refresh, the user and the user's sessions."""

import random
from typing import Annotated, Literal, TypeAlias

from fastapi import Header, Query, Request, Response

from app.api import schemas
from app.api.deps import BearerDep, Services, ServicesDep, SessionDep
from app.api.openapi import problems
from app.api.routing import new_router
from app.errors import FieldError, InvalidRequest, MalformedRequest, TicketRejected, TicketUsed
from app.sessions.login import Login
from app.sessions.miniprogram import clean_ticket, ticket_from_ext_msg
from app.sessions.models import EndReason, TokenPair, epoch
from app.sessions.proofs import SentProof

router = new_router("app")

_KeyHeader = Annotated[str | None, Header(min_length=16, max_length=255, pattern=r"^[\x21-\x7e]+$")]
_Scope: TypeAlias = Literal["others", "all"]


@router.post(
    "/v1/sessions",
    status_code=201,
    summary="Log in with a ticket",
    responses=problems(403, 409, 415, 422, 429, 502, 503),
)
async def log_in(
    body: schemas.LoginRequest,
    request: Request,
    response: Response,
    services: ServicesDep,
    idempotency_key: _KeyHeader = None,
) -> schemas.TokenResponse:
    """Exchange a ticket of the mini program for a session of the app's own.

    With an `Idempotency-Key`, a retry with the same ticket and key returns the same session. A
    proof in `DPoP` binds the session to the key of the proof.
    """
    client = services.proxies.client_of(request.scope)  # tells of a proxy that is not trusted
    proof = SentProof(request.headers.getlist("dpop"), request.method, request.scope["path"])
    device = schemas.device_of(body.device)
    login = Login(_ticket(body), device, idempotency_key, client.network, proof)
    try:
        pair = await services.logins.log_in(login)
    except (TicketRejected, TicketUsed):
        # Only a refusal counts: thousands of phones share one address of a carrier, and a valid
        # ticket is never refused for its neighbours.
        await services.login_limit(client.address)
        if client.network != client.address:
            await services.network_limit(client.network)
        raise
    response.headers["Location"] = f"{services.issuer_path}/v1/sessions/{pair.session.id}"
    _add_nonce(response, services, proof)
    if pair.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return schemas.token_response(pair, _refresh_after(pair))


@router.post(
    "/v1/sessions/refresh",
    summary="Get the next pair of tokens",
    responses=problems(415, 422, 429, 503),
)
async def refresh(
    body: schemas.RefreshRequest,
    request: Request,
    response: Response,
    services: ServicesDep,
    idempotency_key: _KeyHeader = None,
) -> schemas.RefreshResponse:
    """Rotate the refresh token. After a lost response, send the same token again.

    With an `Idempotency-Key`, the successor is returned again to the same key only. Any other
    repetition of the token is theft and ends the session. A bound session needs a proof in `DPoP`
    of its key; without one nothing changes. A proof binds any other session.
    """
    proof = SentProof(request.headers.getlist("dpop"), request.method, request.scope["path"])
    pair = await services.sessions.refresh(body.refresh_token, idempotency_key, proof)
    _add_nonce(response, services, proof)
    tokens = schemas.token_response(pair, _refresh_after(pair))
    return {**tokens, "outcome": "replayed" if pair.replayed else "rotated"}


@router.get("/v1/sessions", summary="The user's sessions", responses=problems(401, 429, 503))
async def show_all(found: SessionDep, services: ServicesDep) -> list[schemas.ListedSession]:
    """List the user's active sessions, oldest first."""
    current, _ = found
    # The most expensive request of a bearer: up to 1,000 sessions, each with its profile.
    await services.list_limit(current.subject)
    listed = await services.sessions.active_sessions(current.subject)
    # The bearer's own session is the one that its token may see.
    seen = [(current if each.id == current.id else each, profile) for each, profile in listed]
    return [schemas.listed_session(*each, current_id=current.id) for each in seen]


@router.delete(
    "/v1/sessions", status_code=204, summary="End several", responses=problems(401, 422, 503)
)
async def end_several(
    found: SessionDep,
    services: ServicesDep,
    scope: Annotated[_Scope | None, Query(include_in_schema=False)] = None,
) -> None:
    """End the user's other sessions, or all of them. `scope` has no default."""
    if scope is None:
        raise MalformedRequest
    current, _ = found
    keep = current.id if scope == "others" else None
    await services.sessions.end_all(current.subject, EndReason.REVOKED, keep=keep, by=current.id)


@router.get("/v1/sessions/current", summary="This session", responses=problems(401, 503))
async def show_current(found: SessionDep) -> schemas.CurrentSession:
    """Show the bearer's session and its user."""
    session, profile = found
    return {
        **schemas.session_out(session, profile),
        "last_used_at": epoch(session.last_used_at),
        "user": schemas.user_out(session, profile),
    }


@router.delete(
    "/v1/sessions/current", status_code=204, summary="Log out", responses=problems(401, 503)
)
async def log_out(token: BearerDep, services: ServicesDep) -> None:
    """End the bearer's session. Logging out again is no error."""
    await services.sessions.log_out(token)


@router.delete(
    "/v1/sessions/{session_id}",
    status_code=204,
    summary="End one",
    responses=problems(401, 404, 422, 503),
)
async def end_one(session_id: str, found: SessionDep, services: ServicesDep) -> None:
    """End one of the user's sessions. Sessions of other users are not found."""
    current, _ = found
    await services.sessions.revoke(current.subject, session_id, by=current.id)


@router.get("/v1/me", summary="The user", responses=problems(401, 503))
async def show_me(found: SessionDep) -> schemas.User:
    """Show the user, as Authing described them at login."""
    return schemas.user_out(*found)


@router.delete("/v1/me", status_code=204, summary="Erase", responses=problems(401, 503))
async def erase_me(found: SessionDep, services: ServicesDep) -> None:
    """End all sessions of the user and erase what is stored of them."""
    session, _ = found
    await services.sessions.erase(session.subject)


def _add_nonce(response: Response, services: Services, proof: SentProof) -> None:
    if proof.headers and services.proofs.binding != "off":
        response.headers["DPoP-Nonce"] = services.proofs.new_nonce()


def _ticket(body: schemas.LoginRequest) -> str:
    if body.ticket is None:
        return ticket_from_ext_msg(body.ext_msg or "")
    ticket = clean_ticket(body.ticket)
    if ticket is None:
        raise InvalidRequest([FieldError("/ticket", "is not a ticket of the mini program")])
    return ticket


def _refresh_after(pair: TokenPair) -> int:
    # Jittered, so that apps that logged in together do not refresh together. Well before the end,
    # so that a failed refresh can be retried.
    return int(pair.expires_in * random.uniform(0.6, 0.8))  # noqa: S311  # no secret
