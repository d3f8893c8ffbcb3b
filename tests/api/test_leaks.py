"""No secret shows up in an error or in a log, in whichever spelling."""

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.api.error_cases import CASES, Case, Outcome, Provoked
from tests.api.error_scenarios import CANARY


def spellings(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(data).decode().rstrip("=")
    yield base64.urlsafe_b64encode(data).decode().rstrip("=")
    yield data.hex()
    yield json.dumps(secret)[1:-1]
    yield secret[:12]


def found_in(text: str, secrets: frozenset[str]) -> list[str]:
    haystack = text.lower()
    return [s for secret in secrets for s in spellings(secret) if s.lower() in haystack]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_error_holds_no_secret(case: Case, outcome: Outcome) -> None:
    response = outcome.response
    shown = "\n".join(
        [response.text, *(f"{name}: {value}" for name, value in response.headers.items())]
    )
    assert found_in(shown, outcome.secrets | {CANARY}) == []


def test_the_logs_of_all_errors_hold_no_secret(provoked: Provoked) -> None:
    secrets = frozenset[str]().union(*(one.secrets for one in provoked.outcomes.values()))
    assert len(provoked.log.splitlines()) > len(CASES)
    assert found_in(provoked.log, secrets | {CANARY}) == []


def test_the_search_would_find_a_secret() -> None:
    secret = frozenset({"a secret/with+signs"})
    for spelling in spellings(*secret):
        assert found_in(f"<{spelling}>", secret)
