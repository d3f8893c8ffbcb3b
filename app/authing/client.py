"""Authing as our identity provider: a ticket becomes a verified identity.

The steps of an exchange, in order. `transport` maps connection errors, `result` reads statuses,
codes and shapes, `verifier` checks the token.
"""

from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from functools import lru_cache, partial
from urllib.parse import quote

from typing_extensions import override

from app.authing.pool_secrets import PoolSecrets
from app.authing.response import http_date, request, send
from app.authing.result import UserRecord, raise_for_code, read_user, unwrap
from app.authing.transport import Transport
from app.authing.verifier import SignedClaims, Verifier
from app.errors import AuthingTokenInvalid
from app.jose.strict_json import JsonValue
from app.sessions.models import Identity
from app.sessions.ports import Clock, IdentityProvider


@dataclass(frozen=True, slots=True)
class AuthingClient(IdentityProvider):
    """Exchanges tickets at Authing's app2wxapp endpoint. The caller sets the deadline of a call.

    Each exchange is sent once: Authing may consume the ticket even if its response is lost. Only if
    Authing refuses us, and not the ticket, the exchange is sent again with the other pool secret.
    """

    transport: Transport
    _: KW_ONLY
    base_url: str
    user_pool_id: str
    pool_secrets: PoolSecrets
    verifier: Verifier
    clock: Clock

    @override
    async def exchange(self, ticket: str, network: str = "") -> Identity:
        record = await self.pool_secrets.send(partial(self._send_ticket, ticket))
        signed = await self.verifier.verify(record.unverified_token)
        return _identity(record, signed)

    async def probe(self) -> datetime | None:
        """Request the host's root without any secret; return the time in the response's Date.

        Any HTTP response will do. Returns None if it has no Date.

        Raises:
            AuthingError: there was no response.
        """
        response = await send(self.transport, "GET", self.base_url)
        return http_date(response.headers.get("date", ""))

    async def _send_ticket(self, ticket: str, secret: str) -> UserRecord:
        # The secret is always sent, because only some pools require it. Ticket and secret are not
        # in the URL, because URLs are logged; the vendor's sample repeats the ticket there.
        body: JsonValue = {"ticket": ticket, "secret": secret}
        reply = await request(
            self.transport,
            "POST",
            _exchange_url(self.base_url, self.user_pool_id),
            self.clock,
            json=body,
        )
        envelope = unwrap(reply.document)
        raise_for_code(envelope.code, reply.status, retry_after=reply.retry_after)
        return read_user(envelope.content)


@lru_cache(maxsize=1)
def _exchange_url(base_url: str, user_pool_id: str) -> str:
    return f"{base_url.rstrip('/')}/oauth/app2wxapp/auth/{quote(user_pool_id, safe='')}"


def _identity(record: UserRecord, signed: SignedClaims) -> Identity:
    """Join the body with the signed claims; both must be of the same user."""
    if record.user_id != signed.user_id:
        raise AuthingTokenInvalid("bad_token")
    if record.unionid and signed.unionid and record.unionid != signed.unionid:
        raise AuthingTokenInvalid("bad_token")
    return Identity(signed.user_id, record.claims, signed.issued_at)
