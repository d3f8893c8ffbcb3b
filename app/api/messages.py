"""Title and detail of problem documents, by code, in English and Chinese."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]

_RANGE = re.compile(
    # Locales of phones are sent as well: zh_CN, zh_CN.UTF-8, zh_CN_#Hans.
    r"(?P<language>[a-z]{1,8})([-_.@#]+[a-z0-9]{1,8})*"
    r"([ \t]*;[ \t]*q=(?P<weight>0(\.[0-9]{0,3})?|1(\.0{0,3})?))?"
)

_MESSAGES: Mapping[str, Mapping[Language, tuple[str, str]]] = tomllib.loads(
    files(__package__).joinpath("messages.toml").read_text("utf-8")
)


def message(code: str, language: Language) -> tuple[str, str]:
    """Return title and detail of a code."""
    title, detail = _MESSAGES[code][language]
    return title, detail


def preferred_language(accept_language: str) -> Language:
    """Chinese or English, by `Accept-Language` (RFC 9110 section 12.5.4); English if in doubt."""
    weights: dict[str, float] = {"en": 0.0, "zh": 0.0}
    for item in accept_language.lower().split(","):
        parsed = _RANGE.fullmatch(item.strip(" \t"))
        if parsed is not None and parsed["language"] in weights:
            weight = float(parsed["weight"] or 1)
            weights[parsed["language"]] = max(weights[parsed["language"]], weight)
    return "zh" if weights["zh"] > weights["en"] else "en"
