"""No secret stands in an error or in a log, in any encoding."""

import pytest

from tests.api.error_cases import CASES, AllOutcomes, Case, Outcome
from tests.api.error_scenarios import CANARY
from tests.support.leaks import found


def found_in(text: str, secrets: frozenset[str]) -> set[str]:
    return found({secret: secret for secret in secrets}, text)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_error_holds_no_secret(case: Case, outcome: Outcome) -> None:
    response = outcome.response
    shown = "\n".join(
        [response.text, *(f"{name}: {value}" for name, value in response.headers.items())]
    )
    assert found_in(shown, outcome.secrets | {CANARY}) == set()


def test_the_logs_of_all_errors_hold_no_secret(all_outcomes: AllOutcomes) -> None:
    secrets = frozenset[str]().union(*(one.secrets for one in all_outcomes.outcomes.values()))
    assert len(all_outcomes.log.splitlines()) > len(CASES)
    assert found_in(all_outcomes.log, secrets | {CANARY}) == set()
