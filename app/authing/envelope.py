"""The shapes that Authing has answered in, read into one user record. Pure.

Since 2020 the exchange has been seen to answer with a bare user, with an envelope around a user,
and with an envelope around a string that holds the user as JSON; a sibling nests two envelopes.
The reader is tolerant about shape and strict about what decides: codes, the user's id, the token,
the blocks. What is not named here is dropped, so that `salt` or `password` go no further.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.authing.profile import claims_of
from app.authing.result import OK
from app.errors import AccountBlocked, AuthingBadAnswer
from app.jose.strict_json import JsonValue, StrictJsonError, loads

MAX_DEPTH = 16
"""How deep an answer may nest; each string of JSON inside counts anew."""

_MAX_UNWRAPS = 2
_CODE_NAMES = ("code", "apiCode", "statusCode")
_CODE_TEXT = re.compile(r"-?[0-9]{1,9}")
_LARGEST_CODE = 999_999_999
# It travels in a header and in a path of ours; Authing's are 24 hex digits.
_USER_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NOT_BLOCKED = (None, False, 0, "", "0", "false")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an answer comes down to: the code that decides, and what was inside."""

    code: int | None
    content: JsonValue = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserRecord:
    """The user as the body of the answer tells it; nobody has vouched for it yet.

    `claims` are OpenID Connect standard claims without `sub`.
    """

    user_id: str
    unverified_token: str = field(repr=False)
    unionid: str | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)


def unwrap(document: JsonValue) -> Envelope:
    """Take at most two envelopes off. The first code that is not success ends it.

    Raises:
        AuthingBadAnswer: a code is neither a whole number nor the text of one.
    """
    code: int | None = None
    content = document
    for _ in range(_MAX_UNWRAPS + 1):
        content = _decoded(content)
        if not isinstance(content, dict):
            break
        found = _code_of(content)
        code = code if found is None else found
        inner = content.get("data")
        if inner is None or code not in (None, OK):
            return Envelope(code, content)
        content = inner
    return Envelope(code, None)


def read_user(content: JsonValue) -> UserRecord:
    """Read the innermost object as a user, perhaps in a `userEntity` wrapper.

    Raises:
        AccountBlocked: Authing has blocked or deleted the user.
        AuthingBadAnswer: there is no user here, or one without id or token.
    """
    if not isinstance(content, dict):
        raise AuthingBadAnswer("bad_shape")
    entity = content.get("userEntity")
    user = {**content, **entity} if isinstance(entity, dict) else content
    user_id = _user_id(user)
    # Before the token is asked for: one who is blocked may get none.
    if not all(_is_clearly_false(user.get(name)) for name in ("blocked", "isDeleted")):
        raise AccountBlocked
    token = _text(user, "id_token") or _text(user, "token")
    if token is None:
        raise AuthingBadAnswer("bad_shape")
    return UserRecord(user_id, token, _text(user, "unionid"), claims_of(user))


def _decoded(content: JsonValue) -> JsonValue:
    if not isinstance(content, str):
        return content
    try:
        return loads(content.encode(), max_depth=MAX_DEPTH)
    except StrictJsonError:
        return None


def _code_of(level: Mapping[str, JsonValue]) -> int | None:
    value = next((level[name] for name in _CODE_NAMES if level.get(name) is not None), None)
    if value is None:
        return None
    if isinstance(value, str) and _CODE_TEXT.fullmatch(value):
        return int(value)
    # By type, because True is an int to Python.
    if type(value) is int and abs(value) <= _LARGEST_CODE:
        return value
    raise AuthingBadAnswer("bad_shape")


def _user_id(user: Mapping[str, JsonValue]) -> str:
    ids = {_text(user, name) for name in ("_id", "id")} - {None}
    match [*ids]:
        case [str(user_id)] if _USER_ID.fullmatch(user_id):
            return user_id
    raise AuthingBadAnswer("bad_shape")


def _is_clearly_false(flag: JsonValue) -> bool:
    return (flag.strip().lower() if isinstance(flag, str) else flag) in _NOT_BLOCKED


def _text(user: Mapping[str, JsonValue], name: str) -> str | None:
    value = user.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise AuthingBadAnswer("bad_shape")
    return value
