"""Authing's user fields as OpenID Connect standard claims (OIDC Core section 5.1). Pure.

A name is cleaned; anything else that does not have the standard's form is left out. No content of a
profile makes a login fail.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeAlias

import phonenumbers as lib
from phonenumbers import PhoneNumberFormat, ValidationResult

from app.authing.response import loads
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
    """Return at most 256 characters, without controls; JavaScript leaves halves of an emoji."""
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
        if isinstance(number, str) and not _MASK.search(_compact(number)):
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


# --- phone numbers: right, or absent, because backends join accounts by them ---

# The lengths of numbers come from Google's libphonenumber (docs/decisions/0016).
_CHINA = "86"
_MAINLAND_MOBILE = re.compile(r"\+861[3-9][0-9]{9}")
_MAX_PHONE = 64
# The usual marks in place of digits.
_MASK = re.compile(r"[xX*#\u2022\u25cf\u2217]")
# What people and forms put between digits; Cf are invisible marks, as an address book copies them.
_SEPARATORS = re.compile(r"[\s().\-]")
_SEPARATOR_CATEGORIES = ("Cf", "Pd")
_COUNTRY_CODE = re.compile(r"(?:\+|00)?([1-9][0-9]{0,2})")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{0,19})")
_NATIONAL = re.compile(r"[0-9]{1,20}")


def e164(raw: str, country_code: object = None) -> str | None:
    """Return the number as `+` and at most 15 digits (ITU-T E.164); None if that is uncertain.

    A prefix `+` or `00` of the number itself wins over the country code, which is an integer or
    text such as `86`, `+86` or `0086`. Without both, only a mobile number of mainland China is
    accepted: 1, 3 to 9, and nine digits.
    """
    number = _compact(raw)
    if own := _INTERNATIONAL.fullmatch(number):
        return _only([own[1]])
    if not _NATIONAL.fullmatch(number):
        return None
    code = _code_text(country_code)
    mainland = f"+{_CHINA}{number}"
    is_mainland_mobile = _MAINLAND_MOBILE.fullmatch(mainland) is not None
    if not code and is_mainland_mobile:
        return mainland  # most numbers; libphonenumber agrees, and takes 30 µs
    if not code:
        found = _with_code(number, _CHINA)
        return found if found and _MAINLAND_MOBILE.fullmatch(found) else None
    given = _COUNTRY_CODE.fullmatch(code)
    found = _with_code(number, given[1]) if given else None
    # A mainland mobile under another country's code: one of the two is wrong, unless it is valid.
    if found and is_mainland_mobile and not lib.is_valid_number(lib.parse(found)):
        return None
    return found


def _compact(raw: str) -> str:
    """Return the text without separators, in ASCII where Unicode knows the equivalent."""
    text = raw if len(raw) <= _MAX_PHONE else ""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) not in _SEPARATOR_CATEGORIES)
    return _SEPARATORS.sub("", text)


def _code_text(country_code: object) -> str:
    # By type, because True is an int in Python.
    if type(country_code) is int:
        return str(country_code)
    if country_code is None or isinstance(country_code, str):
        return _compact(country_code or "")
    return "unknown"


def _with_code(number: str, code: str) -> str | None:
    # Some forms repeat the country code in the number.
    return _only([code + number] + [number] * number.startswith(code))


def _only(candidates: list[str]) -> str | None:
    """Return the one candidate that can be a number; valid ones win over merely possible ones."""
    parsed = [number for number in map(_parsed, candidates) if number is not None]
    for kind in ([n for n in parsed if lib.is_valid_number(n)], parsed):
        found = {lib.format_number(number, PhoneNumberFormat.E164) for number in kind}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _parsed(digits: str) -> lib.PhoneNumber | None:
    try:
        number = lib.parse(f"+{digits}")
    except lib.NumberParseException:
        return None
    # Possible means the length. In mainland China the form of mobile numbers is known as well.
    possible = lib.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    if number.country_code == int(_CHINA):
        mobile = _MAINLAND_MOBILE.fullmatch(lib.format_number(number, PhoneNumberFormat.E164))
        possible = mobile is not None or lib.is_valid_number(number)
    return number if possible else None
