"""Keys that may have signed Authing's token. Each is pinned to one algorithm (RFC 8725 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

Algorithm: TypeAlias = Literal["HS256", "RS256", "ES256"]

_MIN_HMAC_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key and the only algorithm that it may be used with."""

    algorithm: Algorithm
    material: Any = field(repr=False)
    kid: str | None = None


class TokenKeys(Protocol):
    """Where the keys come from."""

    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """Give the keys to try on a token.

        `algorithm` and `kid` are what its unverified header claims; they may only narrow the
        choice.

        Raises:
            AuthingUnavailable: the keys cannot be had.
        """
        ...


class SharedSecretKeys:
    """Shared secrets, tried in the order given: which of them signs, Authing does not document."""

    def __init__(self, secrets: Sequence[str]) -> None:
        # HMAC itself fills a key up with zeros (RFC 2104 section 2), so this changes no
        # signature; it spares the library's warning about Authing's shorter secrets.
        padded = (secret.encode().ljust(_MIN_HMAC_BYTES, b"\0") for secret in secrets)
        self._keys = [TokenKey("HS256", material) for material in padded]

    async def candidates(self, algorithm: str, kid: str | None) -> Sequence[TokenKey]:
        """Give all of them to any token. What it claims cannot change what they are for."""
        del algorithm, kid
        return self._keys
