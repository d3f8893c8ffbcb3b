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
        value: JsonValue = _DECODER.decode(data.decode("utf-8"))
        if isinstance(value, dict) and mended in value:
            whole = json.dumps(value[mended], ensure_ascii=False).encode("utf-8", "replace")
            value[mended] = _DECODER.decode(whole.decode("utf-8"))
    except StrictJsonError:
        raise
    except (ValueError, RecursionError):
        # From None, because both errors hold the document.
        raise StrictJsonError("not JSON") from None
    # Only an escape can be a lone surrogate, and most documents need no look at each value.
    if b"\\u" in data or data.count(b"[") + data.count(b"{") > max_depth:
        _check(value, max_depth)
    return value


def decoder(ambiguous: Callable[[str], Any], *, strict: bool = True) -> json.JSONDecoder:
    """Return a decoder that calls `ambiguous` with the rule where JSON readers disagree.

    It raises, or returns the value to use. Without `strict`, control characters need no escape.
    """

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(name for name, _value in pairs)
            found |= {name: ambiguous("duplicate key") for name in counts if counts[name] > 1}
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
        return number if held else ambiguous("number out of range")

    def real(text: str) -> Any:
        number = float(text)
        return number if math.isfinite(number) else ambiguous("number out of range")

    return json.JSONDecoder(
        object_pairs_hook=members,
        parse_int=integer,
        parse_float=real,
        parse_constant=lambda _name: ambiguous("not a JSON number"),
        strict=strict,
    )


def _refuse(rule: str) -> NoReturn:
    raise StrictJsonError(rule)


_DECODER = decoder(_refuse)


def _check(value: JsonValue, depth_left: int) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise StrictJsonError("lone surrogate") from None
    elif isinstance(value, (dict, list)):
        if depth_left == 0:
            raise StrictJsonError("too deep")
        parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for part in parts:
            _check(part, depth_left - 1)
