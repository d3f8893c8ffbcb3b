"""Authing's management API: whether a user may still sign in.

It needs nothing but the pool id and the pool secret. Its host is not that of the exchange.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from http import HTTPStatus
from typing import Any

from typing_extensions import override

from app.authing.client import PoolSecrets
from app.authing.response import SUCCESS, Reply, deadline, decisive, request
from app.authing.result import code_of, raise_for_code
from app.authing.transport import Transport
from app.errors import AuthingBadAnswer, AuthingMisconfigured, LoginRefused
from app.sessions.ports import UserDirectory

_UNKNOWN_USER = 2004
_USER_LOCKED = 2005
_MARGIN = 60.0  # seconds before its expiry in which a token is not used any more


@dataclass(slots=True)
class ManagementClient(UserDirectory):
    """Asks about users, for one event loop. `timeout` in seconds covers one question.

    Its token is kept until shortly before it expires. Concurrent questions share one fetch.
    """

    transport: Transport
    _: KW_ONLY
    url: str
    user_pool_id: str
    pool_secrets: PoolSecrets
    timeout: float
    monotonic: Callable[[], float] = time.monotonic
    _token: str = field(default="", init=False, repr=False)
    _usable_until: float = field(default=0.0, init=False)
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @override
    async def may_sign_in(self, subject: str) -> bool:
        async with deadline(self.timeout):
            token = await self._valid_token()
            reply = await self._get_user(subject, token)
            if _is_unauthorized(reply):
                if self._token == token:  # no other question has replaced it meanwhile
                    self._token = ""
                reply = await self._get_user(subject, await self._valid_token())
            return _may_sign_in(reply, subject)

    async def check_secret(self) -> None:
        """Fetch a token, which proves the pool id and the pool secret, or raise AuthingError."""
        async with deadline(self.timeout):
            await self._valid_token()

    async def _valid_token(self) -> str:
        async with self._fetching:
            if not self._token or self.monotonic() >= self._usable_until:
                self._token, life = await self.pool_secrets.send(self._fetch)
                self._usable_until = self.monotonic() + max(life - _MARGIN, life / 2)
            return self._token

    async def _fetch(self, secret: str) -> tuple[str, float]:
        """Return a token, and its life in seconds."""
        keys = {"accessKeyId": self.user_pool_id, "accessKeySecret": secret}
        data = _data(await self._send("POST", "get-management-token", json=keys))
        text = decisive(data, "access_token")
        seconds = decisive(data, "expires_in") or decisive(data, "expire_in")
        if not (isinstance(text, str) and text.isascii() and text.isprintable() and text):
            raise AuthingBadAnswer("bad_shape")
        try:
            return text, float(seconds)
        except (TypeError, ValueError):
            raise AuthingBadAnswer("bad_shape") from None

    async def _get_user(self, subject: str, token: str) -> Reply:
        headers = {"authorization": f"Bearer {token}", "x-authing-userpool-id": self.user_pool_id}
        return await self._send("GET", "get-user", params={"userId": subject}, headers=headers)

    async def _send(self, method: str, name: str, **content: Any) -> Reply:
        url = f"{self.url}/api/v3/{name}"
        return await request(self.transport, method, url, **content)


def _is_unauthorized(reply: Reply) -> bool:
    """Return whether the token has ended. An `apiCode` beside the 401 says why, and is not read."""
    stated = [decisive(reply.members, name) for name in ("code", "statusCode")]
    return any(code in [401, "401"] for code in [reply.status, *stated])


def _data(reply: Reply) -> Any:
    code = code_of(reply.members)
    try:
        raise_for_code(code, reply)
    except LoginRefused:  # a code that is about a ticket in an exchange, and here about us
        raise AuthingMisconfigured("auth_config", authing_code=code) from None
    data = decisive(reply.members, "data")
    if not isinstance(data, dict):
        raise AuthingBadAnswer("bad_shape")
    return data


def _may_sign_in(reply: Reply, subject: str) -> bool:
    """Read the verdict; only a definite one is False.

    A framework answers 404 for an unknown path too: that is trouble. Of the API's own refusals HTTP
    is 200, or the code is 2004.
    """
    code = code_of(reply.members)
    unknown = code == HTTPStatus.NOT_FOUND and reply.status in SUCCESS
    if unknown or code in (_UNKNOWN_USER, _USER_LOCKED):
        return False
    user = _data(reply)
    status, named = decisive(user, "status"), decisive(user, "userId")
    if not isinstance(status, str) or named not in (None, subject):
        raise AuthingBadAnswer("bad_shape")
    return status == "Activated"
