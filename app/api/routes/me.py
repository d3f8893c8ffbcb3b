"""The signed-in user."""

from fastapi import Response

from app.api.deps import ServicesDep, SessionDep
from app.api.openapi import problems
from app.api.routing import new_router
from app.api.schemas import User, user_out

router = new_router()


@router.get("/v1/me", summary="The user", responses=problems(401, 503))
async def show_me(found: SessionDep) -> User:
    """Show the user, as Authing described them at login."""
    return user_out(*found)


@router.delete("/v1/me", status_code=204, summary="Erase", responses=problems(401, 503))
async def erase_me(found: SessionDep, services: ServicesDep) -> Response:
    """End all sessions of the user and erase what is stored of them."""
    session, _ = found
    await services.sessions.erase(session.subject)
    return Response(status_code=204)
