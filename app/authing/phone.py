"""Phone numbers as Authing gives them, to E.164. Pure.

No library of numbering plans stands behind this, because nothing is dialled here: a number that
is not certain is no number.
"""

import re

_SEPARATORS = re.compile(r"[\s().-]")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL = re.compile(r"[1-9][0-9]{3,13}")
_COUNTRY_CODE = re.compile(r"\+?([1-9][0-9]{0,2})")
_CHINA = "86"
_MAINLAND_MOBILE = re.compile(r"(?:86)?(1[0-9]{10})")


def is_masked(raw: str) -> bool:
    """Whether digits were struck out, with `x` or `*`, before we saw the number."""
    return bool(re.search(r"[xX*]", raw))


def e164(raw: str, country_code: str | None = None) -> str | None:
    """Write the number as `+` and at most 15 digits (ITU-T E.164); None if that is not certain.

    Without a country code it is taken for a mobile number of mainland China, if it has the form
    of one: 11 digits that begin with 1.
    """
    number = _SEPARATORS.sub("", raw)
    if not number.startswith("+"):
        number = _with_country_code(number, country_code or _CHINA)
    return number if _INTERNATIONAL.fullmatch(number) else None


def _with_country_code(number: str, country_code: str) -> str:
    code = _COUNTRY_CODE.fullmatch(country_code)
    if code is None:
        return ""
    # China's form is known, so a country code that is there already is not put there twice.
    form = _MAINLAND_MOBILE if code[1] == _CHINA else _NATIONAL
    national = form.fullmatch(number)
    return f"+{code[1]}{national[national.re.groups]}" if national else ""
