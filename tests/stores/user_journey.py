"""All that can happen to a user, over the API of a real service."""

from typing import Any

from app.sessions.tokens import issue_refresh_token
from tests.support.proofs import DeviceKey
from tests.support.running_app import ISSUER, RunningApp

DEVICE = {"id": "id-of-a-made-up-phone", "type": "ios", "name": "phone of a made-up person"}


async def everything_that_happens_to(running: RunningApp, persona: str) -> dict[str, Any]:
    """Log in and out, be robbed, replaced and banned; return the tokens that are valid at last."""
    ended = await running.log_in(persona, device=DEVICE)
    await running.log_out(ended)
    stolen = await running.log_in(persona)
    successor = await running.refresh(stolen["refresh_token"])
    await running.refresh(successor["refresh_token"])
    await running.try_refresh(stolen["refresh_token"])
    subject: str = ended["user"]["sub"]
    await running.backend(
        "PUT", subject, "ban", {"reason": "spam", "until": "2030-01-01T00:00:00Z"}
    )
    await running.backend("DELETE", subject, "ban")
    await running.log_in(persona, device=DEVICE)
    device = DeviceKey(ISSUER, nonce=running.services.proofs.new_nonce())
    login = await running.try_log_in(running.ticket(persona), None, device.proof("/v1/sessions"))
    bound = running.tokens(login, 201)
    await running.try_refresh(bound["refresh_token"])  # without a proof
    await running.try_refresh(bound["refresh_token"], None, device.proof())
    await running.log_out(bound)
    key = f"made-up-idempotency-key-of-{persona}"
    ticket = running.ticket(persona)
    await running.try_log_in(ticket, key, device=DEVICE)
    replacing = await running.try_log_in(ticket, key, device=DEVICE)
    active = running.tokens(replacing, 201)
    await running.refresh(active["refresh_token"])
    refreshed = await running.refresh(active["refresh_token"])
    secret = running.services.keys.ring.current_secret_key
    ahead = issue_refresh_token(secret, active["session"]["id"], 2)  # as if a write were lost
    refreshed = await running.refresh(ahead)
    await running.get("/v1/me", refreshed)
    return refreshed
