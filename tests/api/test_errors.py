"""Every error over HTTP: status, members and headers."""

from typing import Any

import pytest

from app.api.problems import PROBLEMS
from tests.api.error_cases import CASES, Case, Outcome

ALWAYS = {"type", "title", "status", "detail", "instance", "code", "client_action", "request_id"}
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def _wait(case: Case, problem: dict[str, Any]) -> int | None:
    """The seconds of the problem, if the case allows several, else the case's own."""
    if isinstance(case.retry_after, range):
        assert problem["retry_after"] in case.retry_after
        return int(problem["retry_after"])
    return case.retry_after


@every_case
def test_an_error_has_the_status_and_members_of_its_row(case: Case, outcome: Outcome) -> None:
    problem: dict[str, Any] = outcome.response.json()
    expected = {
        "status": case.status,
        "code": case.code,
        "client_action": case.client_action,
        "session_alive": case.session_alive,
        "retry_after": _wait(case, problem),
        "reason": case.reason,
        "replaced_by": case.replaced_by,
        "until": case.until,
    }
    assert outcome.response.status_code == case.status
    assert {name: problem.get(name) for name in expected} == expected
    assert None not in problem.values()
    optional = {name for name, value in expected.items() if value is not None}
    own = {"invalid_request": {"errors"}, "proof_invalid": {"error"}}.get(case.code, set())
    assert problem.keys() == ALWAYS | optional | own


@every_case
def test_an_error_is_a_problem_document_with_an_id_to_ask_about(
    case: Case, outcome: Outcome
) -> None:
    problem = outcome.response.json()
    assert outcome.response.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert problem["type"] == f"urn:ticketgate:error:{case.code}"
    assert problem["request_id"] == outcome.response.headers["X-Request-Id"]
    assert problem["instance"] == f"urn:ticketgate:request:{problem['request_id']}"
    assert problem["title"]
    assert problem["detail"]


@every_case
def test_the_headers_of_an_error_repeat_what_intermediaries_must_know(
    case: Case, outcome: Outcome
) -> None:
    headers = outcome.response.headers
    wait = _wait(case, outcome.response.json())
    assert headers.get("Retry-After") == (None if wait is None else str(wait))
    assert ("WWW-Authenticate" in headers) == (case.status == 401)
    assert ("Allow" in headers) == (case.status == 405)
    assert ("Connection" in headers) == (case.status == 413)
    assert headers["Content-Language"] == "en"
    assert headers["Vary"] == "Accept-Language"


@pytest.mark.parametrize("case", [case for case in CASES if case.status == 401], ids=str)
def test_a_401_asks_for_a_bearer_and_says_whether_one_was_no_good(
    case: Case, outcome: Outcome
) -> None:
    scheme, _, parameters = outcome.response.headers["WWW-Authenticate"].partition(" ")
    assert scheme == "Bearer"
    none = case.code in {"access_token_missing", "service_key_invalid"}
    assert ('error="invalid_token"' in parameters) == (not none)


def test_every_error_of_the_table_has_a_case() -> None:
    rows = {(row.status, error.code, row.client_action) for error, row in PROBLEMS.items()}
    assert rows == {(case.status, case.code, case.client_action) for case in CASES}
