"""The settings of the samples, and the command: it reads one token a line and prints a verdict."""

import os
import sys
from collections.abc import Callable
from typing import Any

from jwks_cache import JwksUnavailable
from revocations import Revocations

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ.get("AUDIENCE", ISSUER)
JWKS_URL = os.environ.get("JWKS_URL", f"{ISSUER}/.well-known/jwks.json")
ALGORITHM = os.environ.get("ALGORITHM", "ES256")
_REVOCATIONS_URL = os.environ.get("REVOCATIONS_URL")


class Refused(Exception):
    """The token is not good: answer 401. The reason is for your log, not for the client."""


def run(verify: Callable[[str], dict[str, Any]]) -> None:
    """Print `accept SUB SID`, `refuse REASON` or `unavailable` for each line."""
    revoked: Revocations | frozenset[str] = frozenset()
    if _REVOCATIONS_URL:
        stream = "REVOCATIONS_STREAM" in os.environ
        revoked = Revocations(_REVOCATIONS_URL, os.environ["SERVICE_API_KEY"], stream=stream)
        revoked.complete.wait(10)
    for line in sys.stdin:
        try:
            claims = verify(line.rstrip("\n"))
        except Refused as reason:
            verdict = f"refuse {reason}"
        except JwksUnavailable:
            verdict = "unavailable"
        else:
            ended = claims["sid"] in revoked
            verdict = "refuse revoked" if ended else f"accept {claims['sub']} {claims['sid']}"
        print(verdict, flush=True)
