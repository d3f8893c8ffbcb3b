"""The signed-in user."""

from app.api.deps import SessionDep
from app.api.routing import new_router, problems
from app.api.schemas import User, user_out

router = new_router()


@router.get("/v1/me", summary="The user", responses=problems(401, 503))
async def show_me(found: SessionDep) -> User:
    """Show the user, as Authing described them at login."""
    return user_out(*found)
