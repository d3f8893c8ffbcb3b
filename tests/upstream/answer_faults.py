"""Faults in complete responses, and what they mean for the login."""

from datetime import timedelta
from email.utils import format_datetime
from itertools import product
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from tests.authing.builders import (
    EPOCH,
    NOW,
    POOL,
    encoded,
    http_response,
    json_response,
    legacy_claims,
    make_user,
    sign_token,
)
from tests.upstream.fault import (
    BLOCKED,
    MISCONFIGURED,
    REJECTED,
    TOKEN_INVALID,
    WELCOME,
    Fault,
    Told,
    bad_answer,
    says,
    unavailable,
)

USER = make_user()
HTML = "<!doctype html><title>Wi-Fi</title><p>Please accept our terms."


def page(status: int) -> bytes:
    return http_response(HTML, status=status, content_type="text/html")


def refusal(code: int, status: int = 200) -> bytes:
    return json_response({"code": code, "message": "made up", "data": None}, status=status)


def fault(id_: str, response: bytes, told: Told) -> Fault:
    return Fault(id_, says(response), told)


def user(id_: str, told: Told, **changes: Any) -> Fault:
    return fault(id_, json_response(make_user(**changes)), told)


def nested(times: int) -> Any:
    document: Any = USER
    for _ in range(times):
        document = {"code": 200, "data": document}
    return document


# --- responses without a user ---

NOT_JSON: dict[str, str | bytes] = {
    "truncated": encoded(USER)[:-9],
    "empty": "",
    "nan": '{"code": NaN}',
    "duplicate-keys": '{"code": 200, "code": 200}',
    "bad-utf8": b'{"message": "\xff"}',
    "depth-1000": '{"a":' * 1000 + "1" + "}" * 1000,
}
ERROR_PAGES = {
    "json": lambda status: refusal(status, status),
    "html": page,
    "empty": lambda status: http_response(status=status, content_type=None),
}
RETRY_AFTER = {
    "3": ({"Retry_After": "3"}, 3),
    "date": (
        {
            "Retry_After": format_datetime(
                NOW.replace(microsecond=0) + timedelta(seconds=20), usegmt=True
            )
        },
        20,
    ),
    "1000000000": ({"Retry_After": "1000000000"}, 60),
    "none": ({}, 2),
}
LABELS = {"labelled-html": "text/html", "labelled-text": "text/plain", "not-labelled": None}

# --- responses with a user ---

ENVELOPES = {
    "bare-user": USER,
    "data-object": {"code": 200, "message": "made up", "data": USER},
    "data-string": {"code": 200, "message": "made up", "data": encoded(USER)},
    "nested-twice": nested(2),
    "code-text": {"code": "200", "data": USER},
    "code-text-data-string": {"code": "200", "data": encoded(USER)},
}
SHAPES = {
    "nested-three-deep": nested(3),
    "data-number": {"code": 200, "data": 7},
    "data-list": {"code": 200, "data": [USER]},
    "id-absent": {name: value for name, value in USER.items() if name != "_id"},
    "id-number": make_user(_id=7),
    "token-absent": {name: value for name, value in USER.items() if name != "token"},
    "token-null": make_user(token=None),
}
DATA = legacy_claims()["data"]
OTHER_KEY = "another-made-up-secret-0123456789"
HEADER, CLAIMS, SIGNATURE = sign_token().split(".")
TOKENS = {
    "alg-none": sign_token(key="", algorithm="none"),
    "other-key": sign_token(key=OTHER_KEY),
    "no-signature": f"{HEADER}.{CLAIMS}.",
    "other-alg": sign_token(key=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
    "own-access-token": sign_token(headers={"typ": "at+jwt"}),
    "other-pool": sign_token(legacy_claims(data={**DATA, "clientId": POOL[::-1]})),
    "other-user": sign_token(legacy_claims(data={**DATA, "id": "5e00000000000000000000bb"})),
    "other-unionid": sign_token(legacy_claims(data={**DATA, "unionid": "o-another"})),
    "stale": sign_token(legacy_claims(iat=EPOCH - 660)),
    "without-exp": sign_token({"data": DATA, "iat": EPOCH - 5}),
}

ANSWER_FAULTS = (
    *(
        fault(f"json-{what}", http_response(b), bad_answer("bad_json"))
        for what, b in NOT_JSON.items()
    ),
    *(
        fault(f"http5xx-{status}-{what}", make(status), unavailable("http_5xx"))
        for status, (what, make) in product((500, 502, 503, 504), ERROR_PAGES.items())
    ),
    *(
        fault(
            f"throttled-retry-after-{what}",
            json_response({"code": 429}, status=429, **headers),
            unavailable("rate_limited", seconds),
        )
        for what, (headers, seconds) in RETRY_AFTER.items()
    ),
    fault("label-captive-portal", page(200), bad_answer("bad_content_type")),
    *(
        fault(
            f"label-json-{what}",
            http_response(encoded(USER), content_type=label),
            bad_answer("bad_content_type"),
        )
        for what, label in LABELS.items()
    ),
    *(
        fault(f"envelope-{what}", json_response(document), WELCOME)
        for what, document in ENVELOPES.items()
    ),
    *(
        fault(f"shape-{what}", json_response(document), bad_answer("bad_shape"))
        for what, document in SHAPES.items()
    ),
    user("shape-oauth-not-json", WELCOME, oauth="{nickName:"),
    *(
        fault(f"rejected-{code}-in-http-{status}", refusal(code, status), REJECTED)
        for code, error_status in ((400, 400), (401, 401), (2020, 403), (98765, 404))
        for status in (200, error_status)
    ),
    fault("configuration-http-401", page(401), MISCONFIGURED),
    fault("configuration-http-403", page(403), MISCONFIGURED),
    fault("configuration-secret-refused", refusal(1001), MISCONFIGURED),
    user("blocked-blocked", BLOCKED, blocked=True),
    user("blocked-deleted", BLOCKED, isDeleted=True),
    user("blocked-blocked-as-text", BLOCKED, blocked="true"),
    user("blocked-deleted-as-text", BLOCKED, isDeleted="true"),
    *(user(f"token-{what}", TOKEN_INVALID, token=token) for what, token in TOKENS.items()),
)
