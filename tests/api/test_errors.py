"""Every error over HTTP: status, members, headers and language; and the table is complete."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.problems import MESSAGES, PROBLEMS, preferred_language
from app.errors import TicketgateError
from tests.api.error_cases import CASES, ROWS, AllOutcomes, Case, Outcome
from tests.api.error_scenarios import CANARY
from tests.api.routes import OAUTH, ROUTES, WEBHOOKS
from tests.support.leaks import found

ALWAYS = {"type", "title", "status", "detail", "instance", "code", "client_action", "request_id"}
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def _wait(case: Case, problem: dict[str, Any]) -> int | None:
    """The seconds of the problem, if the case allows several, else the case's own."""
    if isinstance(case.retry_after, range):
        assert problem["retry_after"] in case.retry_after
        return int(problem["retry_after"])
    return case.retry_after


@every_case
def test_an_error_is_a_problem_document_with_the_members_of_its_row(
    case: Case, outcome: Outcome
) -> None:
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
    scheme, _, parameters = headers.get("WWW-Authenticate", "").partition(" ")
    assert scheme == ("Bearer" if case.status == 401 else "")
    bad_token = case.status == 401 and case.code not in {
        "access_token_missing",
        "service_key_invalid",
    }
    assert ('error="invalid_token"' in parameters) == bad_token
    assert ("Allow" in headers) == (case.status == 405)
    assert ("Connection" in headers) == (case.status == 413)
    assert headers["Content-Language"] == "en"
    assert headers["Vary"] == "Accept-Language"


def found_in(text: str, secrets: frozenset[str]) -> set[str]:
    return found({secret: secret for secret in secrets | {CANARY}}, text)


@every_case
def test_an_error_holds_no_secret(case: Case, outcome: Outcome) -> None:
    headers = [f"{name}: {value}" for name, value in outcome.response.headers.items()]
    assert found_in("\n".join([outcome.response.text, *headers]), outcome.secrets) == set()


def test_the_logs_of_all_errors_hold_no_secret(all_outcomes: AllOutcomes) -> None:
    secrets = frozenset[str]().union(*(one.secrets for one in all_outcomes.outcomes.values()))
    assert len(all_outcomes.log.splitlines()) > len(CASES)
    assert found_in(all_outcomes.log, secrets) == set()


# --- the table ---


def leaves(kind: type[TicketgateError]) -> list[type[TicketgateError]]:
    """Walk down to the errors that are raised; those above only group them."""
    below = [child for child in kind.__subclasses__() if child.__module__ == kind.__module__]
    return [leaf for child in below for leaf in leaves(child)] or [kind]


def test_every_error_has_a_row_texts_and_a_case() -> None:
    errors = set(leaves(TicketgateError))
    assert PROBLEMS.keys() == errors
    assert MESSAGES.keys() == {error.code for error in errors}
    assert {(case.status, case.code) for case in CASES} == {(row[0], row[1]) for row in ROWS}


def test_the_page_has_the_same_table_as_the_code() -> None:
    assert len(set(ROWS)) == len(ROWS)
    assert set(ROWS) == {(row.status, e.code, row.client_action) for e, row in PROBLEMS.items()}


@pytest.mark.parametrize("code", sorted(MESSAGES))
def test_an_error_is_worded_in_english_and_in_chinese(code: str) -> None:
    english, chinese = MESSAGES[code]["en"], MESSAGES[code]["zh"]
    assert all(english)
    assert all(text.isascii() for text in english)
    assert not any(text.isascii() for text in chinese)


def test_the_page_has_the_same_routes_as_the_code() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "api.md").read_text("utf-8")
    section = page.partition("\n## Routes\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[A-Z].*?`) \| ", section.replace("\\|", "or"), re.MULTILINE)
    told = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for cell in cells
        for path in re.findall(r"(/[^\s?`,]*)", cell)
        for method in re.findall(r"[A-Z]{3,}", cell)
    }
    # HEAD is told in a sentence; the pages that API_DOCS turns on are no part of the API.
    served = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for path, methods in (ROUTES | OAUTH | WEBHOOKS).items()
        for method in methods - {"HEAD"}
    }
    assert told == served | {("GET", "/docs"), ("GET", "/openapi.json")}


# --- English or Chinese, by Accept-Language (RFC 9110 section 12.5.4) ---


CHINESE = [
    *("zh", "zh-CN", "ZH-hans-cn", "zh, en;q=0.9", "en;q=0.8, zh;q=0.9", "en;q=0, zh;q=0.1"),
    *("zh_CN", "zh_Hans_CN", "zh-Hans_CN", "en;q=0.5, zh_TW;q=0.8", "zh_CN.UTF-8", "zh_CN_#Hans"),
    *("de, zh;q=0.3", "zh;q=0.5,en;q=0.4", "zh ; q=0.5", "fr;q=0.9, zh-TW;q=0.2, *;q=0.1"),
]
ENGLISH = [
    *("", "*", "de", "en", "en-GB, zh;q=0.9", "zh, en", "zh;q=0.8, en;q=0.9"),
    *("zh;Q=0.1, en;q=0.5", "zh;q=0"),
]
GARBAGE = ["zh;q=", "zh;q=nan", "zh;q=inf", "zh;q=much", "zhe", "z-h", ",,;;=", "_zh", "q=zh"]


@pytest.mark.parametrize("accepted", CHINESE)
def test_a_client_that_prefers_chinese_gets_chinese(accepted: str) -> None:
    assert preferred_language(accepted) == "zh"


@pytest.mark.parametrize("accepted", [*ENGLISH, *GARBAGE])
def test_all_other_clients_get_english(accepted: str) -> None:
    assert preferred_language(accepted) == "en"


async def test_an_error_is_worded_in_the_language_of_the_request(phone: httpx.AsyncClient) -> None:
    english = await phone.get("/v1/me", headers={"Accept-Language": "en"})
    chinese = await phone.get("/v1/me", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"})
    assert english.headers["Content-Language"] == "en"
    assert english.json()["title"] == "An access token is required"
    assert english.json()["detail"] == "Send it as Authorization: Bearer."
    assert chinese.headers["Content-Language"] == "zh"
    assert chinese.json()["title"] == "缺少访问凭证"
    assert chinese.json()["detail"] == "请在 Authorization 中以 Bearer 方式携带访问凭证。"
    differ = {name for name, value in english.json().items() if value != chinese.json()[name]}
    assert differ == {"title", "detail", "request_id", "instance"}


async def test_the_language_is_sought_in_all_lines_of_the_field(phone: httpx.AsyncClient) -> None:
    lines = [("Accept-Language", "en;q=0.1"), ("Accept-Language", "zh")]
    response = await phone.get("/v1/me", headers=lines)
    assert response.headers["Content-Language"] == "zh"
