"""The secrets of the user pool: Authing keeps two, the current one and the next."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from app.errors import AuthingMisconfigured, LoginRefused

T = TypeVar("T")


class PoolSecrets:
    """Uses the secret that Authing accepted last, and after a refusal of it the other one.

    `current` returns the configured secrets, which may change while the service runs.
    """

    def __init__(self, current: Callable[[], Sequence[str]]) -> None:
        self._current = current
        self._accepted: str | None = None

    async def send(self, request: Callable[[str], Awaitable[T]]) -> T:
        """Send a request with a secret. It is sent again only if Authing refuses us for certain.

        Raises:
            AuthingMisconfigured: Authing refuses us with each secret.
            LoginRefused, AuthingError: of the request.
        """
        *others, last = sorted(self._current(), key=lambda secret: secret != self._accepted)
        for secret in others:
            with suppress(AuthingMisconfigured):
                return await self._use(secret, request)
        return await self._use(last, request)

    async def _use(self, secret: str, request: Callable[[str], Awaitable[T]]) -> T:
        try:
            result = await request(secret)
        except LoginRefused:  # of the ticket or the user, so the secret was accepted
            self._accepted = secret
            raise
        self._accepted = secret
        return result
