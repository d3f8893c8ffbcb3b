"""Authing's user fields as OpenID Connect standard claims (OIDC Core section 5.1). Pure.

A claim that is unknown or does not have the standard's form is left out: no content of a profile
makes a login fail. Phone numbers are checked without a numbering plan, because they are not dialled
here: an uncertain number is left out.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from app.jose.strict_json import JsonValue, StrictJsonError, loads

User: TypeAlias = Mapping[str, JsonValue]

_TEXT = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f]{1,256}")
_LINK = re.compile(r"(?i:https?)://[^\s\x00-\x1f\x7f<>\"\\]{1,2000}")
_EMAIL = re.compile(r"[^@\s*\x00-\x1f\x7f]{1,64}@[^@\s*\x00-\x1f\x7f]{1,190}")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}-[0-9]{2})?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")

# claim: (its form, the fields of Authing that hold it; the first valid one is used)
_PLAIN: Mapping[str, tuple[re.Pattern[str], tuple[str, ...]]] = {
    "name": (_TEXT, ("name",)),
    "given_name": (_TEXT, ("givenName",)),
    "family_name": (_TEXT, ("familyName",)),
    "middle_name": (_TEXT, ("middleName",)),
    "nickname": (_TEXT, ("nickname",)),
    "preferred_username": (_TEXT, ("preferredUsername", "username")),
    "profile": (_LINK, ("profile",)),
    "picture": (_LINK, ("photo", "picture")),
    "website": (_LINK, ("website",)),
    "email": (_EMAIL, ("email",)),
    "birthdate": (_DATE, ("birthdate",)),
    "zoneinfo": (_ZONE, ("zoneinfo",)),
}
# Authing's letters and WeChat's numbers; "U" and 0 are unknown.
_GENDERS = {"M": "male", "F": "female", 1: "male", 2: "female"}
_SEPARATORS = re.compile(r"[\s().-]")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL = re.compile(r"[1-9][0-9]{3,13}")
_COUNTRY_CODE = re.compile(r"\+?([1-9][0-9]{0,2})")
_CHINA = "86"
_MAINLAND_MOBILE = re.compile(r"(?:86)?(1[0-9]{10})")


def claims_of(user: User) -> Mapping[str, Any]:
    """Return the claims of a user, without `sub`."""
    wechat = _wechat_profile(user)
    claims: dict[str, Any] = {claim: _plain(user, *source) for claim, source in _PLAIN.items()}
    claims["locale"] = _locale(user.get("locale")) or _locale(wechat.get("language"))
    claims["gender"] = _gender(user.get("gender")) or _gender(wechat.get("gender"))
    claims["phone_number"] = _phone_number(user, wechat)
    known = {claim: value for claim, value in claims.items() if value is not None}
    return {**known, **_verifications(user, known)}


def _plain(user: User, form: re.Pattern[str], fields: tuple[str, ...]) -> str | None:
    values = (user.get(name) for name in fields)
    return next((v for v in values if isinstance(v, str) and form.fullmatch(v)), None)


def _locale(language: JsonValue) -> str | None:
    tag = language.replace("_", "-") if isinstance(language, str) else ""
    return tag if _LANGUAGE.fullmatch(tag) else None


def _gender(value: JsonValue) -> str | None:
    # By type, because True equals 1 in Python.
    return _GENDERS.get(value) if type(value) in (str, int) else None


def _phone_number(user: User, wechat: User) -> str | None:
    number = user.get("phone")
    # Authing masks its own field; the number in WeChat's profile is complete.
    if not number or (isinstance(number, str) and is_masked(number)):
        number = wechat.get("phone")
    country_code = user.get("phoneCountryCode")
    if not isinstance(number, str) or not isinstance(country_code, str | None):
        return None
    return e164(number, country_code)


def _verifications(user: User, known: Mapping[str, Any]) -> Mapping[str, bool]:
    flags = {"phone_number": user.get("phoneVerified"), "email": user.get("emailVerified")}
    return {
        f"{claim}_verified": flag
        for claim, flag in flags.items()
        if claim in known and isinstance(flag, bool)
    }


def _wechat_profile(user: User) -> User:
    """Read `oauth`, which is JSON in a string. It decides nothing: broken JSON counts as empty."""
    value = user.get("oauth")
    if isinstance(value, str):
        try:
            value = loads(value.encode())
        except StrictJsonError:
            return {}
    return value if isinstance(value, dict) else {}


def is_masked(raw: str) -> bool:
    """Return whether Authing replaced digits by `x` or `*`."""
    return bool(re.search(r"[xX*]", raw))


def e164(raw: str, country_code: str | None = None) -> str | None:
    """Return the number as `+` and at most 15 digits (ITU-T E.164); None if that is uncertain.

    Without a country code, only a mobile number of mainland China is accepted: 11 digits that
    begin with 1.
    """
    number = _SEPARATORS.sub("", raw)
    if not number.startswith("+"):
        number = _with_country_code(number, country_code or _CHINA)
    return number if _INTERNATIONAL.fullmatch(number) else None


def _with_country_code(number: str, country_code: str) -> str:
    code = _COUNTRY_CODE.fullmatch(country_code)
    if code is None:
        return ""
    # The form of Chinese numbers is known, so an existing country code is not added twice.
    form = _MAINLAND_MOBILE if code[1] == _CHINA else _NATIONAL
    national = form.fullmatch(number)
    return f"+{code[1]}{national[national.re.groups]}" if national else ""
