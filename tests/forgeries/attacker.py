"""Who forges access tokens: knows our ways and has our key, and signs what we never would."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.jose.key_ring import SigningKey
from tests.forgeries.forge import AccessForge


@dataclass(frozen=True, kw_only=True)
class Attacker(AccessForge):
    """In front of a service with a signed-in user, with all that may have been stolen or found."""

    retired: SigningKey = field(repr=False)
    revoked_session: str
    other_subject: str
    refresh_token: str = field(repr=False)
    ticket: str = field(repr=False)
    authing_token: str = field(repr=False)

    @property
    def now(self) -> int:
        return int(self.claims["iat"])


def header(**members: Any) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(header=members)


def claims(**members: Any) -> Callable[[Attacker], str]:
    return lambda attacker: attacker.token(claims=members)


def claim(name: str, change: Callable[[Any], Any]) -> Callable[[Attacker], str]:
    """A token in which one claim was made from the true one."""
    return lambda attacker: attacker.token(claims={name: change(attacker.claims[name])})
