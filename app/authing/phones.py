"""Phone numbers as E.164: right, or absent. Backends join accounts by this value. Pure.

The lengths of numbers come from Google's libphonenumber (docs/decisions/0016).
"""

import re
import unicodedata

import phonenumbers as lib
from phonenumbers import PhoneNumberFormat, ValidationResult

_CHINA = "86"
_MAINLAND_MOBILE = re.compile(r"\+861[3-9][0-9]{9}")
_MAX_LENGTH = 64
_MASK = re.compile(r"[xX*#\u2022\u25cf\u2217]")
# What people and forms put between digits; Cf are invisible marks, as an address book copies them.
_SEPARATORS = re.compile(r"[\s().\-]")
_SEPARATOR_CATEGORIES = ("Cf", "Pd")
_COUNTRY_CODE = re.compile(r"(?:\+|00)?([1-9][0-9]{0,2})")
_INTERNATIONAL = re.compile(r"(?:\+|00)([1-9][0-9]{0,19})")
_NATIONAL = re.compile(r"[0-9]{1,20}")


def is_masked(raw: str) -> bool:
    """Return whether digits were replaced by `x`, `*` or another usual mark."""
    return bool(_MASK.search(_plain(raw)))


def e164(raw: str, country_code: object = None) -> str | None:
    """Return the number as `+` and at most 15 digits (ITU-T E.164); None if that is uncertain.

    A prefix `+` or `00` of the number itself wins over the country code, which is an integer or
    text such as `86`, `+86` or `0086`. Without both, only a mobile number of mainland China is
    accepted: 1, 3 to 9, and nine digits.
    """
    number = _plain(raw)
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
    if found and is_mainland_mobile and not _is_valid(found):
        return None
    return found


def _plain(raw: str) -> str:
    """Return the text without separators, in ASCII where Unicode knows the equivalent."""
    text = raw if len(raw) <= _MAX_LENGTH else ""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) not in _SEPARATOR_CATEGORIES)
    return _SEPARATORS.sub("", text)


def _code_text(country_code: object) -> str:
    # By type, because True is an int in Python.
    if type(country_code) is int:
        return str(country_code)
    if country_code is None or isinstance(country_code, str):
        return _plain(country_code or "")
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


def _is_valid(number: str) -> bool:
    return lib.is_valid_number(lib.parse(number))


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
