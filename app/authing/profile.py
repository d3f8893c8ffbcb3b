"""Authing's user fields as OpenID Connect standard claims (OIDC Core section 5.1). Pure.

A name is cleaned; anything else that does not have the standard's form is left out. No content of a
profile makes a login fail.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from app.authing.documents import loads
from app.authing.phones import e164, is_masked
from app.errors import AuthingBadAnswer

User: TypeAlias = Mapping[str, Any]

_MAX_NAME = 256
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
_NAME = re.compile(r".+")
_LINK = re.compile(r"(?i:https?)://[^\s\x00-\x1f\x7f\ud800-\udfff<>\"\\]{1,2000}")
_EMAIL_PART = r"[^@\s*\x00-\x1f\x7f\ud800-\udfff]"
_EMAIL = re.compile(f"{_EMAIL_PART}{{1,64}}@{_EMAIL_PART}{{1,190}}")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}-[0-9]{2})?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")

# claim: (its form, the fields of Authing that hold it; the first valid one is used)
_PLAIN: Mapping[str, tuple[re.Pattern[str], tuple[str, ...]]] = {
    "name": (_NAME, ("name",)),
    "given_name": (_NAME, ("givenName",)),
    "family_name": (_NAME, ("familyName",)),
    "middle_name": (_NAME, ("middleName",)),
    "nickname": (_NAME, ("nickname",)),
    "preferred_username": (_NAME, ("preferredUsername", "username")),
    "profile": (_LINK, ("profile",)),
    "picture": (_LINK, ("photo", "picture")),
    "website": (_LINK, ("website",)),
    "email": (_EMAIL, ("email",)),
    "birthdate": (_DATE, ("birthdate",)),
    "zoneinfo": (_ZONE, ("zoneinfo",)),
}
# Authing's letters and WeChat's numbers; "U" and 0 are unknown.
_GENDERS = {"M": "male", "F": "female", 1: "male", 2: "female"}


def claims_of(user: User) -> Mapping[str, Any]:
    """Return the claims of a user, without `sub`."""
    claims = _plain(user)
    wechat = _wechat_profile(user)
    others = {
        "locale": _locale(user.get("locale")) or _locale(wechat.get("language")),
        "gender": _gender(user.get("gender")) or _gender(wechat.get("gender")),
        "phone_number": _phone_number(user, wechat),
    }
    claims |= {claim: value for claim, value in others.items() if value is not None}
    for claim, flag in (("phone_number", "phoneVerified"), ("email", "emailVerified")):
        if claim in claims and isinstance(user.get(flag), bool):
            claims[f"{claim}_verified"] = user[flag]
    return claims


def _plain(user: User) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for claim, (form, fields) in _PLAIN.items():
        for name in fields:
            if name in user and claim not in claims and isinstance(text := user[name], str):
                cleaned = _clean_name(text) if form is _NAME else _clean(text)
                if form.fullmatch(cleaned):
                    claims[claim] = cleaned
    return claims


def _clean_name(text: str) -> str:
    """Return the text without control characters and half characters, at most 256 of it.

    JavaScript cuts texts between the two halves of an emoji.
    """
    return _LONE_SURROGATES.sub("\ufffd", _clean(text))[:_MAX_NAME].rstrip()


def _clean(text: str) -> str:
    return _CONTROLS.sub("", text).strip()


def _locale(language: object) -> str | None:
    tag = _clean(language).replace("_", "-") if isinstance(language, str) else ""
    return tag if _LANGUAGE.fullmatch(tag) else None


def _gender(value: Any) -> str | None:
    value = _clean(value) if isinstance(value, str) else value
    # By type, because True equals 1 in Python.
    return _GENDERS.get(value) if type(value) in (str, int) else None


def _phone_number(user: User, wechat: User) -> str | None:
    # Authing masks its own field; the number in WeChat's profile is complete.
    for number in (user.get("phone"), wechat.get("phone")):
        if isinstance(number, str) and not is_masked(number):
            found = e164(_clean(number), user.get("phoneCountryCode"))
            if found is not None:
                return found
    return None


def _wechat_profile(user: User) -> User:
    """Read `oauth`, which is JSON in a string. It decides nothing: broken JSON counts as empty."""
    value = user.get("oauth")
    if isinstance(value, str):
        try:
            value = loads(value)
        except AuthingBadAnswer:
            return {}
    return value if isinstance(value, dict) else {}
