"""Credentials in wrong places or forms: none is accepted, and none is used up."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.running_app import SERVICE_KEY, RunningApp

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
GOOD = ("Authorization", "Bearer ACCESS")
LOGIN, REFRESH, ME = "POST /v1/sessions", "POST /v1/sessions/refresh", "GET /v1/me"
TICKET, TOKEN = '{"ticket": "TICKET"}', '{"refresh_token": "REFRESH"}'
PART = '--x\r\nContent-Disposition: form-data; name="ticket"\r\n\r\nTICKET\r\n--x--'
MALFORMED, UNSUPPORTED = (400, "malformed_request"), (415, "unsupported_media_type")
INVALID, MISSING = (422, "invalid_request"), (401, "access_token_missing")
BAD_TOKEN = (401, "access_token_invalid")
NOT_FOUND, WRONG_METHOD = (404, "not_found"), (405, "method_not_allowed")


def row(
    id_: str,
    request: str,
    refusal: tuple[int, str],
    body: str = "",
    *headers: tuple[str, str],
    label: str = JSON,
) -> Any:
    """A request in which TICKET, ACCESS and REFRESH stand for good ones, and its refusal.

    A body has this label.
    """
    labels = [("Content-Type", label)] if body else []
    return pytest.param(request, refusal, body, [*headers, *labels], id=id_)


ROWS = (
    # in the query
    row("query-ticket", f"{LOGIN}?ticket=TICKET", MALFORMED, " "),
    row("query-ticket-beside-a-body", f"{LOGIN}?ticket=a", MALFORMED, TICKET),
    row("query-ext-msg", f"{LOGIN}?ext_msg=ticket%3DTICKET", MALFORMED, " "),
    row("query-refresh-token", f"{REFRESH}?refresh_token=REFRESH", MALFORMED, " "),
    row("query-access-token", f"{ME}?access_token=ACCESS", MALFORMED),
    row("query-semicolon", f"{ME}?a=b;access_token=ACCESS", MISSING),
    row("query-brackets", f"{ME}?access_token[]=ACCESS", MISSING),
    row("query-authorization", f"{ME}?authorization=Bearer%20ACCESS", MISSING),
    # in another form
    row("form-ticket", LOGIN, UNSUPPORTED, "ticket=TICKET", label=FORM),
    row("form-refresh-token", REFRESH, UNSUPPORTED, "refresh_token=REFRESH", label=FORM),
    row("form-access-token", ME, MISSING, "access_token=ACCESS", label=FORM),
    row("json-labelled-form", LOGIN, UNSUPPORTED, TICKET, label=FORM),
    row("multipart-ticket", LOGIN, UNSUPPORTED, PART, label="multipart/form-data; boundary=x"),
    row("xml-refresh-token", REFRESH, MALFORMED, "<a>REFRESH</a>"),
    # in another type
    row("ticket-list", LOGIN, INVALID, '{"ticket": ["TICKET"]}'),
    row("ext-msg-object", LOGIN, INVALID, '{"ext_msg": {"a": "TICKET"}}'),
    row("refresh-list", REFRESH, INVALID, '{"refresh_token": ["REFRESH"]}'),
    row("ticket-twice", LOGIN, MALFORMED, '{"ticket":"TICKET","ticket":"a"}'),
    row("ticket-in-capitals", LOGIN, INVALID, '{"TICKET": "a"}'),
    row("ticket-in-a-list", LOGIN, INVALID, f"[{TICKET}]"),
    row("ticket-in-a-wrapper", LOGIN, INVALID, f'{{"data": {TICKET}}}'),
    row("ticket-as-text", LOGIN, INVALID, '"TICKET"'),
    # in another header
    row("two-authorizations", ME, BAD_TOKEN, "", GOOD, ("Authorization", "Basic dTpw")),
    row("bad-then-good", ME, BAD_TOKEN, "", ("Authorization", "Bearer a"), GOOD),
    row("joined", ME, BAD_TOKEN, "", ("Authorization", "Bearer ACCESS, Bearer ACCESS")),
    row("proxy-authorization", ME, MISSING, "", ("Proxy-Authorization", "Bearer ACCESS")),
    row("x-access-token", ME, MISSING, "", ("X-Access-Token", "ACCESS")),
    row("cookie", ME, MISSING, "", ("Cookie", "access_token=ACCESS")),
    row("refresh-token", ME, BAD_TOKEN, "", ("Authorization", "Bearer REFRESH")),
    row("ticket", ME, BAD_TOKEN, "", ("Authorization", "Bearer TICKET")),
    row("access-token-at-refresh", REFRESH, UNSUPPORTED, "", GOOD),
    row("ticket-as-bearer", LOGIN, UNSUPPORTED, "", ("Authorization", "Bearer TICKET")),
    row("ticket-header", LOGIN, INVALID, "{}", ("X-Ticket", "TICKET")),
    row("ticket-cookie", LOGIN, INVALID, "{}", ("Cookie", "ticket=TICKET")),
    # with another method, at another path
    row("get-with-a-body", "GET /v1/sessions", MISSING, TICKET),
    row("get-refresh", "GET /v1/sessions/refresh", WRONG_METHOD, TOKEN),
    row("delete-refresh", "DELETE /v1/sessions/refresh", WRONG_METHOD, "", GOOD),
    row("overridden", "POST /v1/me", WRONG_METHOD, "", GOOD, ("X-HTTP-Method-Override", "DELETE")),
    row("overridden-by-query", "POST /v1/me?_method=DELETE", WRONG_METHOD, "", GOOD),
    row("path-parameter", f"{ME};a=b", NOT_FOUND, "", GOOD),
    row("path-ticket", f"{LOGIN}/TICKET", WRONG_METHOD, "{}"),
    row("path-matrix-ticket", f"{LOGIN};ticket=TICKET", NOT_FOUND, "{}"),
)


@pytest.mark.parametrize(("request_", "refusal", "body", "headers"), ROWS)
async def test_a_misplaced_credential_is_neither_accepted_nor_used_up(
    app: RunningApp,
    request_: str,
    refusal: tuple[int, str],
    body: str,
    headers: list[tuple[str, str]],
) -> None:
    tokens, ticket, exchanges = await app.log_in(), app.ticket(), app.sandbox.state.exchanges
    held = {"TICKET": ticket, "ACCESS": tokens["access_token"], "REFRESH": tokens["refresh_token"]}

    def filled(text: str, *, quoted: bool = False) -> str:
        for name, value in held.items():
            text = text.replace(name, quote(value, safe="") if quoted else value)
        return text

    method, path = request_.split()
    request = httpx.Request(
        method,
        f"http://api.test{filled(path, quoted=True)}",
        content=filled(body),
        headers=[(name, filled(value)) for name, value in headers],
    )
    response = await app.phone.send(request)
    assert (response.status_code, response.json()["code"]) == refusal
    assert app.sandbox.state.exchanges == exchanges
    assert (await app.get("/v1/sessions", tokens)).json()[0]["current"]
    assert (await app.refresh(tokens["refresh_token"]))["outcome"] == "rotated"
    assert (await app.try_log_in(ticket)).status_code == 201


# --- forms of a bearer token ---


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bearer    "])
async def test_a_scheme_is_read_in_any_case_and_with_several_spaces_behind_it(
    app: RunningApp, scheme: str
) -> None:
    """RFC 9110 sections 11.1 and 11.4: 1*SP."""
    token = (await app.log_in())["access_token"]
    users = "/internal/v1/users/a/sessions"
    for path, credential in (("/v1/me", token), (users, SERVICE_KEY)):
        headers = {"Authorization": f"{scheme} {credential}"}
        assert (await app.phone.get(path, headers=headers)).status_code == 200


NOT_BEARER = (b"", b"a.b", b"Bearer", b"Bearer   ", b"Basic dTpw", b"DPoP a", b"Bearer\ta")
IMPOSSIBLE = (b"Bearer  two", b"Bearer a b", b"Bearer a,b", b'Bearer "a"', b"Bearer \xff")


@pytest.mark.parametrize(
    ("value", "refusal"),
    [*((value, MISSING) for value in NOT_BEARER), *((value, BAD_TOKEN) for value in IMPOSSIBLE)],
)
async def test_another_scheme_is_no_credential_and_impossible_characters_are_invalid(
    phone: httpx.AsyncClient, value: bytes, refusal: tuple[int, str]
) -> None:
    response = await phone.get("/v1/me", headers={b"Authorization": value})
    assert (response.status_code, response.json()["code"]) == refusal
