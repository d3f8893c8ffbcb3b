"""Authing as our identity provider: a ticket becomes a verified identity.

The page that says what happens in an exchange and in which order. How failures of the wire are
called, what statuses and codes decide, and what shapes there are stands in trouble, verdict and
envelope.
"""

from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from app.authing.client_errors import within
from app.authing.envelope import MAX_DEPTH, UserRecord, read_user, unwrap
from app.authing.response import ask, http_date, read_json, retry_after
from app.authing.result import is_success, raise_for_code, raise_for_status
from app.authing.verifier import SignedClaims, Verifier
from app.errors import AuthingBadAnswer, AuthingTokenInvalid
from app.jose.strict_json import JsonValue
from app.sessions.models import Identity
from app.sessions.ports import Clock


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AuthingClient:
    """Implements IdentityProvider. `deadline` of a whole call in seconds, verification included.

    An exchange is sent once: Authing may consume the ticket even if its answer is lost.
    """

    http: httpx.AsyncClient
    _: KW_ONLY
    base_url: str
    user_pool_id: str
    user_pool_secret: str = field(repr=False)
    verifier: Verifier
    deadline: float
    clock: Clock = _utc_now

    async def exchange(self, ticket: str) -> Identity:
        """Exchange the ticket for its user. See IdentityProvider.

        Raises:
            TicketRejected: Authing refuses the ticket.
            AccountBlocked: Authing has blocked or deleted the user.
            AuthingError: there is no verdict; which kind of trouble says the class.
        """
        async with within(self.deadline):
            record = await self._redeem(ticket)
            signed = await self.verifier.verify(record.unverified_token)
        return _identity(record, signed)

    async def probe(self) -> datetime | None:
        """Ask the host for its front page, without any secret; return the time on its clock.

        None if it does not tell. Any HTTP answer will do: what counts is that one comes.

        Raises:
            AuthingError: no answer could be had.
        """
        async with within(self.deadline), ask(self.http, "GET", self.base_url) as response:
            return http_date(response.headers.get("date", ""))

    async def _redeem(self, ticket: str) -> UserRecord:
        # The secret always goes along, because pools differ in whether they insist on it. Neither
        # goes into the URL, which gets logged; the vendor's sample repeats the ticket there.
        body: JsonValue = {"ticket": ticket, "secret": self.user_pool_secret}
        async with ask(self.http, "POST", self._exchange_url(), json=body) as response:
            wait = retry_after(response, self.clock())
            raise_for_status(response.status_code, retry_after=wait)
            envelope = unwrap(await _document(response))
        raise_for_code(envelope.code, response.status_code, retry_after=wait)
        return read_user(envelope.content)

    def _exchange_url(self) -> str:
        pool = quote(self.user_pool_id, safe="")
        return f"{self.base_url.rstrip('/')}/oauth/app2wxapp/auth/{pool}"


async def _document(response: httpx.Response) -> JsonValue:
    try:
        return await read_json(response, max_depth=MAX_DEPTH)
    except AuthingBadAnswer:
        if is_success(response.status_code):
            raise
        return None  # an error page: its status says what there is to say


def _identity(record: UserRecord, signed: SignedClaims) -> Identity:
    """Join what the body tells with what the signature vouches for: they must be of one user."""
    if record.user_id != signed.user_id:
        raise AuthingTokenInvalid("bad_token")
    if record.unionid and signed.unionid and record.unionid != signed.unionid:
        raise AuthingTokenInvalid("bad_token")
    return Identity(signed.user_id, record.claims, signed.issued_at)
