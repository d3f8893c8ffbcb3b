"""The wrong places of a good credential, one row each."""

from dataclasses import dataclass, field

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
KEY = "9d1f0c5e-6a7b-4c3d-8e2f-a0b1c2d3e4f5"
LOGIN, REFRESH, ME, LIST = "/v1/sessions", "/v1/sessions/refresh", "/v1/me", "/v1/sessions"
MALFORMED, UNSUPPORTED = (400, "malformed_request"), (415, "unsupported_media_type")
INVALID, MISSING = (422, "invalid_request"), (401, "access_token_missing")
NO_SERVICE_KEY = (401, "service_key_invalid")
BAD_TOKEN, NOT_FOUND = (401, "access_token_invalid"), (404, "not_found")
WRONG_METHOD = (405, "method_not_allowed")


@dataclass(frozen=True)
class Row:
    """A request in which TICKET, ACCESS, REFRESH stand for good ones, and the refusal of it."""

    id: str
    method: str
    path: str
    refusal: tuple[int, str]
    body: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


def row(
    id_: str,
    request: str,
    refusal: tuple[int, str],
    body: str = "",
    *headers: tuple[str, str],
    **more: dict[str, str],
) -> Row:
    method, path = request.split(" ")
    every = [*headers, *(pair for labels in more.values() for pair in labels.items())]
    return Row(id_, method, path, refusal, body, every)


GOOD = ("Authorization", "Bearer ACCESS")
LOGIN_BODY, REFRESH_BODY = '{"ticket": "TICKET"}', '{"refresh_token": "REFRESH"}'
PART = 'Content-Disposition: form-data; name="ticket"\r\n\r\nTICKET'

IN_THE_QUERY = (
    row("query-ticket", f"POST {LOGIN}?ticket=TICKET", MALFORMED, label=JSON),
    row("query-ticket-beside-a-body", f"POST {LOGIN}?ticket=a", MALFORMED, LOGIN_BODY, label=JSON),
    row("query-ext-msg", f"POST {LOGIN}?ext_msg=ticket%3DTICKET", MALFORMED, label=JSON),
    row("query-refresh-token", f"POST {REFRESH}?refresh_token=REFRESH", MALFORMED, label=JSON),
    row("query-access-token", f"GET {ME}?access_token=ACCESS", MALFORMED),
    row("query-access-token-beside-a-header", f"GET {ME}?access_token=ACCESS", MALFORMED, "", GOOD),
    row("query-semicolon", f"GET {ME}?a=b;access_token=ACCESS", MISSING),
    row("query-brackets", f"GET {ME}?access_token[]=ACCESS", MISSING),
    row("query-authorization", f"GET {ME}?authorization=Bearer%20ACCESS", MISSING),
)
IN_ANOTHER_FORM = (
    row("form-ticket", f"POST {LOGIN}", UNSUPPORTED, "ticket=TICKET", label=FORM),
    row("form-refresh-token", f"POST {REFRESH}", UNSUPPORTED, "refresh_token=REFRESH", label=FORM),
    row("form-access-token", f"GET {ME}", MISSING, "access_token=ACCESS", label=FORM),
    row("json-labelled-form", f"POST {LOGIN}", UNSUPPORTED, LOGIN_BODY, label=FORM),
    row(
        *("multipart-ticket", f"POST {LOGIN}", UNSUPPORTED, f"--x\r\n{PART}\r\n--x--"),
        label=MULTIPART,
    ),
    row("xml-refresh-token", f"POST {REFRESH}", MALFORMED, "<a>REFRESH</a>", label=JSON),
)
IN_ANOTHER_TYPE = (
    row("ticket-list", f"POST {LOGIN}", INVALID, '{"ticket": ["TICKET"]}', label=JSON),
    row("ext-msg-object", f"POST {LOGIN}", INVALID, '{"ext_msg": {"a": "TICKET"}}', label=JSON),
    row("refresh-list", f"POST {REFRESH}", INVALID, '{"refresh_token": ["REFRESH"]}', label=JSON),
    row(
        "ticket-and-ext-msg",
        f"POST {LOGIN}",
        INVALID,
        '{"ticket":"TICKET","ext_msg":"a"}',
        label=JSON,
    ),
    row("ticket-twice", f"POST {LOGIN}", MALFORMED, '{"ticket":"TICKET","ticket":"a"}', label=JSON),
    row("ticket-in-capitals", f"POST {LOGIN}", INVALID, '{"TICKET": "a"}', label=JSON),
    row("ticket-in-a-list", f"POST {LOGIN}", INVALID, f"[{LOGIN_BODY}]", label=JSON),
    row("ticket-in-a-wrapper", f"POST {LOGIN}", INVALID, f'{{"data": {LOGIN_BODY}}}', label=JSON),
    row("ticket-as-text", f"POST {LOGIN}", INVALID, '"TICKET"', label=JSON),
)
IN_ANOTHER_HEADER = (
    row("two-same-authorizations", f"GET {ME}", BAD_TOKEN, "", GOOD, GOOD),
    row("two-authorizations", f"GET {ME}", BAD_TOKEN, "", GOOD, ("Authorization", "Basic dTpw")),
    row("bad-then-good", f"GET {ME}", BAD_TOKEN, "", ("Authorization", "Bearer a"), GOOD),
    row("joined", f"GET {ME}", BAD_TOKEN, "", ("Authorization", "Bearer ACCESS, Bearer ACCESS")),
    row("basic", f"GET {ME}", MISSING, "", ("Authorization", "Basic ACCESS")),
    row("proxy-authorization", f"GET {ME}", MISSING, "", ("Proxy-Authorization", "Bearer ACCESS")),
    row("x-access-token", f"GET {ME}", MISSING, "", ("X-Access-Token", "ACCESS")),
    row("cookie", f"GET {ME}", MISSING, "", ("Cookie", "access_token=ACCESS")),
    row("refresh-token", f"GET {ME}", BAD_TOKEN, "", ("Authorization", "Bearer REFRESH")),
    row("ticket", f"GET {ME}", BAD_TOKEN, "", ("Authorization", "Bearer TICKET")),
    row("service-key-place", "GET /internal/v1/users/a/ban", NO_SERVICE_KEY, "", GOOD),
    row("access-token-at-refresh", f"POST {REFRESH}", UNSUPPORTED, "", GOOD),
    row("ticket-as-bearer", f"POST {LOGIN}", UNSUPPORTED, "", ("Authorization", "Bearer TICKET")),
    row("ticket-header", f"POST {LOGIN}", INVALID, "{}", ("X-Ticket", "TICKET"), label=JSON),
    row("ticket-cookie", f"POST {LOGIN}", INVALID, "{}", ("Cookie", "ticket=TICKET"), label=JSON),
    row(
        *("two-keys", f"POST {LOGIN}", INVALID, LOGIN_BODY),
        *[("Idempotency-Key", KEY), ("Idempotency-Key", KEY)],
        label=JSON,
    ),
)
WITH_ANOTHER_METHOD = (
    row("get-with-a-body", f"GET {LOGIN}", MISSING, LOGIN_BODY, label=JSON),
    row("get-refresh", f"GET {REFRESH}", WRONG_METHOD, REFRESH_BODY, label=JSON),
    row("delete-refresh", f"DELETE {REFRESH}", WRONG_METHOD, "", GOOD),
    row(
        *("overridden-by-header", f"POST {ME}", WRONG_METHOD, "", GOOD),
        ("X-HTTP-Method-Override", "DELETE"),
    ),
    row("overridden-by-query", f"POST {ME}?_method=DELETE", WRONG_METHOD, "", GOOD),
)
AT_ANOTHER_PATH = (
    row("path-parameter", f"GET {ME};a=b", NOT_FOUND, "", GOOD),
    row("path-ticket", f"POST {LOGIN}/TICKET", WRONG_METHOD, "{}", label=JSON),
    row("path-matrix-ticket", f"POST {LOGIN};ticket=TICKET", NOT_FOUND, "{}", label=JSON),
)
ROWS = (
    *IN_THE_QUERY,
    *IN_ANOTHER_FORM,
    *IN_ANOTHER_TYPE,
    *IN_ANOTHER_HEADER,
    *WITH_ANOTHER_METHOD,
    *AT_ANOTHER_PATH,
)
