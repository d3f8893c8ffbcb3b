"""The token in Authing's response, verified by Authing: for pools whose signing key is not known.

Two addresses are known. The legacy one, `/authing/token?access_token=`, returns `{status, code,
token}`, and `token` holds the claims. `/api/v2/oidc/validate_token` returns bare claims, or a code.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from typing_extensions import override

from app.authing.documents import decisive
from app.authing.response import Reply, request
from app.authing.result import OK, code_of, raise_for_code
from app.authing.transport import Transport
from app.authing.verifier import ExpectedAudience, Verifier
from app.errors import AuthingBadAnswer, AuthingTokenInvalid, TicketRejected
from app.sessions.ports import Clock


class OnlineVerifier(Verifier):
    """Asks Authing whether a token is genuine. The caller sets the deadline of a call.

    `url` ends in the name of the query parameter for the token: `?access_token` or `?id_token`. The
    token is sent nowhere else. User, pool, times and age are checked as in every mode.
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        expected: ExpectedAudience,
        *,
        max_age: timedelta,
        clock: Clock,
    ) -> None:
        super().__init__(expected, max_age=max_age, clock=clock)
        self._transport = transport
        self._address, _, self._parameter = url.partition("?")

    @override
    async def _genuine_claims(self, unverified_token: str) -> Mapping[str, Any]:
        token = {self._parameter: unverified_token}
        return _claims_of(
            await request(self._transport, "GET", self._address, self._clock, params=token)
        )


def _claims_of(reply: Reply) -> Mapping[str, Any]:
    document = reply.document if isinstance(reply.document, dict) else {}
    code = code_of(document)
    try:
        raise_for_code(code, reply.status, retry_after=reply.retry_after)
    except TicketRejected:  # any code without a meaning of its own refuses what was sent
        raise AuthingTokenInvalid("bad_token", authing_code=code) from None
    status, token = decisive(document, "status"), decisive(document, "token")
    if token is None and not isinstance(status, bool):
        if not document:
            raise AuthingBadAnswer("bad_shape")
        return document
    if status is not True or code != OK or not isinstance(token, dict):
        raise AuthingTokenInvalid("bad_token")
    return token
