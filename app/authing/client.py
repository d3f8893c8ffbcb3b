"""Authing as our identity provider: a ticket becomes a verified identity.

The steps of an exchange, in order. `transport` maps connection errors, `result` reads statuses,
codes and shapes, `verifier` checks the token.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import quote

from typing_extensions import override

from app.authing.response import http_date, request, send
from app.authing.result import UserRecord, raise_for_code, read_user, unwrap
from app.authing.transport import Transport
from app.authing.verifier import Verifier
from app.errors import AuthingMisconfigured, AuthingTokenInvalid, LoginRefused
from app.sessions.models import Identity
from app.sessions.ports import IdentityProvider

T = TypeVar("T")


class PoolSecrets:
    """Uses the pool secret that Authing accepted last, and after a refusal of it the other one.

    Authing keeps two, the current one and the next. `current` returns the configured secrets, which
    may change while the service runs.
    """

    def __init__(self, current: Callable[[], Sequence[str]]) -> None:
        self._current = current
        self._accepted: str | None = None

    async def send(self, request: Callable[[str], Awaitable[T]]) -> T:
        """Send a request with a secret. It is sent again only if Authing refuses us for certain."""
        refusal = AuthingMisconfigured("auth_config")
        for secret in sorted(self._current(), key=lambda secret: secret != self._accepted):
            try:
                result = await request(secret)
            except AuthingMisconfigured as error:
                refusal = error
            except LoginRefused:  # of the ticket or the user, so the secret was accepted
                self._accepted = secret
                raise
            else:
                self._accepted = secret
                return result
        raise refusal


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

    @override
    async def exchange(self, ticket: str, network: str = "") -> Identity:
        record = await self.pool_secrets.send(partial(self._send_ticket, ticket))
        signed = await self.verifier.verify(record.unverified_token)
        # The body is not signed: it must be of the same user.
        has_other_unionid = record.unionid and signed.unionid not in (None, record.unionid)
        if record.user_id != signed.user_id or has_other_unionid:
            raise AuthingTokenInvalid("bad_token")
        return Identity(signed.user_id, record.claims, signed.issued_at)

    async def probe(self) -> datetime | None:
        """Request the host's root without any secret; return the time in the response's Date."""
        response = await send(self.transport, "GET", self.base_url)
        return http_date(response.headers.get("date", ""))

    async def _send_ticket(self, ticket: str, secret: str) -> UserRecord:
        # The secret is always sent, because only some pools require it. Ticket and secret are not
        # in the URL, because URLs are logged; the vendor's sample repeats the ticket there.
        pool = quote(self.user_pool_id, safe="")
        url = f"{self.base_url.rstrip('/')}/oauth/app2wxapp/auth/{pool}"
        body = {"ticket": ticket, "secret": secret}
        reply = await request(self.transport, "POST", url, json=body)
        code, content = unwrap(reply.document)
        raise_for_code(code, reply)
        return read_user(content)
