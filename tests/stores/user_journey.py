"""All that can happen to a user, over the API of a real service."""

from typing import Any

from tests.support.running_app import RunningApp

DEVICE = {"id": "id-of-a-made-up-phone", "type": "ios", "name": "phone of a made-up person"}


async def everything_that_happens_to(world: RunningApp, persona: str) -> dict[str, Any]:
    """Log in and out, be robbed, replaced and banned; return the tokens that are valid at last."""
    ended = await world.log_in(persona, device=DEVICE)
    await world.log_out(ended)
    stolen = await world.log_in(persona)
    successor = await world.refresh(stolen["refresh_token"])
    await world.refresh(successor["refresh_token"])
    await world.try_refresh(stolen["refresh_token"])
    subject: str = ended["user"]["sub"]
    await world.backend("PUT", subject, "ban", {"reason": "spam", "until": "2030-01-01T00:00:00Z"})
    await world.backend("DELETE", subject, "ban")
    await world.log_in(persona, device=DEVICE)
    key = f"made-up-idempotency-key-of-{persona}"
    replacing = await world.try_log_in(world.ticket(persona), key, device=DEVICE)
    active = world.tokens(replacing, 201)
    refreshed = await world.refresh(active["refresh_token"])
    await world.get("/v1/me", refreshed)
    return refreshed
