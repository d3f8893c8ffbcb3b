"""Strict JSON: for request bodies, key sets of ours and the parts of tokens.

Python's own decoder accepts NaN, keeps only the last of duplicate keys, and passes lone surrogates,
which fail when they are encoded later. If two readers disagree about a document, a check can be
bypassed. So a document that allows two readings is refused.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"

_SAFE_DIGITS = 15  # every integer of this length is the same in a double
_MAX_DIGITS = 400  # the largest double has 309


class StrictJsonError(ValueError):
    """Not JSON, or not every reader reads it the same way. Holds no part of the input."""


def loads(data: bytes, *, max_depth: int = 8, mended: str = "") -> JsonValue:
    """Decode UTF-8 JSON (RFC 8259) with unique keys, finite numbers and well-formed strings.

    The caller has limited the size. `max_depth` counts nested arrays and objects. In the member
    `mended` of the outer object, which must decide nothing, a lone surrogate becomes `?`:
    JavaScript cuts texts inside an emoji.
    """
    try:
        value: JsonValue = _DECODER.decode(data.decode())
        if isinstance(value, dict) and mended in value:
            whole = json.dumps(value[mended], ensure_ascii=False).encode("utf-8", "replace")
            value[mended] = _DECODER.decode(whole.decode())
        if b"\\u" in data:  # only an escape can be a lone surrogate, which has no encoding
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        # From None, because an error may hold the document.
        raise StrictJsonError("not strict JSON") from None
    if data.count(b"[") + data.count(b"{") > max_depth and is_deeper(value, max_depth):
        raise StrictJsonError("too deep")
    return value


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether arrays and objects are nested in more than so many levels."""
    if not isinstance(value, (dict, list)):
        return False
    parts = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper(part, levels - 1) for part in parts)


def decoder(ambiguous: Callable[[], Any], *, strict: bool = True) -> json.JSONDecoder:
    """Return a decoder that calls `ambiguous` where JSON readers disagree about a value.

    It raises, or returns the value to use. Without `strict`, control characters need no escape.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(name for name, _value in pairs)
            found |= {name: ambiguous() for name in counts if counts[name] > 1}
        return found

    def integer(text: str) -> Any:
        if len(text) <= _SAFE_DIGITS:
            return int(text)
        # The length is checked first, because int() of thousands of digits takes long.
        number = int(text) if len(text) <= _MAX_DIGITS else None
        try:
            held = number is not None and int(float(number)) == number
        except OverflowError:
            held = False
        return number if held else ambiguous()

    def real(text: str) -> Any:
        number = float(text)
        return number if math.isfinite(number) else ambiguous()

    return json.JSONDecoder(
        object_pairs_hook=members,
        parse_int=integer,
        parse_float=real,
        parse_constant=lambda _name: ambiguous(),
        strict=strict,
    )


def _refuse() -> NoReturn:
    raise StrictJsonError


_DECODER = decoder(_refuse)
