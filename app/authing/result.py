"""The meaning of Authing's response: status, business code, shape and user record. Pure.

The vendor's own clients disagree whether status or code decides, so success needs both. Since 2020
the exchange has answered with a bare user, with an envelope around a user, and with an envelope
around the user as a JSON string; a sibling nests two envelopes. The reader is tolerant about the
shape, and strict about codes, ids, token and blocks. Fields that are not named here are dropped, so
that `salt` or `password` go no further.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from app import errors
from app.authing.profile import claims_of
from app.authing.response import SUCCESS, Reply, decisive, loads

_MAX_UNWRAPS = 2
_CODE_NAMES = ("code", "apiCode", "statusCode")
_CODE_TEXT = re.compile(r"-?[0-9]{1,9}")
_LARGEST_CODE = 999_999_999
# We send it in a header and in a path. Authing's ids are 24 hex digits.
_USER_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NOT_BLOCKED = (None, False, 0, "", "0", "false")
OK = 200
_SERVER_ERRORS = range(500, 600)
# No permission; monthly quota used up; application missing; sign-up closed; user not in the pool;
# limit of users; configuration; user pool missing; parameters incomplete; configuration.
_MISCONFIGURED = frozenset({1001, 2002, 2011, 2031, 2036, 2040, 2101, 2224, 2231, 4212})
_OURS_TO_FIX = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class UserRecord:
    """The unverified user in a response; `claims` are those of OpenID Connect, without `sub`."""

    user_id: str
    unverified_token: str = field(repr=False)
    unionid: str | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


def raise_for_code(code: int | None, reply: Reply) -> None:
    """Raise for the business code; for the status if there is no code.

    AuthingBadAnswer, if status and code contradict each other, or both are unknown. The codes are
    those of docs.authing.cn/v2/reference/error-code.
    """
    wait = reply.retry_after
    match code:
        case None if reply.status in _OURS_TO_FIX:
            raise errors.AuthingMisconfigured("auth_config")
        case None | 200:
            if reply.status not in SUCCESS:
                raise errors.AuthingBadAnswer("bad_status")
        case 429 | 1000 | 2100:  # busy; throttled; too many sign-ups
            raise errors.AuthingUnavailable("rate_limited", retry_after=wait, authing_code=code)
        case _ if code in _SERVER_ERRORS:
            raise errors.AuthingUnavailable("http_5xx", retry_after=wait, authing_code=code)
        case _ if code in _MISCONFIGURED:
            raise errors.AuthingMisconfigured("auth_config", authing_code=code)
        case 2005:  # the user is locked
            raise errors.AccountBlocked(code)
        case _:
            raise errors.TicketRejected(code)


def unwrap(document: Any) -> tuple[int | None, Any]:
    """Return the first code that is not success, and the content of at most two envelopes."""
    code: int | None = None
    content = document
    for _ in range(_MAX_UNWRAPS + 1):
        if isinstance(content, str):
            try:
                content = loads(content)
            except errors.AuthingBadAnswer:
                return code, None
        if not isinstance(content, dict):
            break
        found = code_of(content)
        code = code if found is None else found
        if code not in (None, OK) or decisive(content, "data") is None:
            return code, content
        content = content["data"]
    return code, None


def read_user(content: Any) -> UserRecord:
    """Read the innermost object as a user, perhaps in a `userEntity` wrapper."""
    if not isinstance(content, dict):
        raise errors.AuthingBadAnswer("bad_shape")
    entity = decisive(content, "userEntity")
    user = {**content, **entity} if isinstance(entity, dict) else content
    first, second = _text(user, "_id"), _text(user, "id")
    user_id = first or second or ""
    if second not in (None, user_id) or not _USER_ID.fullmatch(user_id):
        raise errors.AuthingBadAnswer("bad_shape")
    # Checked before the token, because a blocked user may get none.
    for level in (user,) if user is content else (content, user):
        if not all(_is_clearly_false(decisive(level, name)) for name in ("blocked", "isDeleted")):
            raise errors.AccountBlocked
    token = _text(user, "id_token") or _text(user, "token")
    if token is None:
        raise errors.AuthingBadAnswer("bad_shape")
    return UserRecord(user_id, token, _text(user, "unionid"), claims_of(user))


def code_of(level: Mapping[str, Any]) -> int | None:
    """Return the business code, an integer or its text; None if the object has none."""
    values = [decisive(level, name) for name in _CODE_NAMES if name in level]
    value = next((value for value in values if value is not None), None)
    if value is None:
        return None
    if isinstance(value, str) and _CODE_TEXT.fullmatch(value):
        return int(value)
    # By type, because True is an int in Python.
    if type(value) is int and abs(value) <= _LARGEST_CODE:
        return value
    raise errors.AuthingBadAnswer("bad_shape")


def _is_clearly_false(flag: object) -> bool:
    return (flag.strip().lower() if isinstance(flag, str) else flag) in _NOT_BLOCKED


def _text(user: Mapping[str, Any], name: str) -> str | None:
    value = decisive(user, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise errors.AuthingBadAnswer("bad_shape")
    return value
