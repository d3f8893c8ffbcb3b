"""The strict JSON decoder: for request bodies, key sets of ours and the parts of tokens.

Python's own decoder accepts NaN, keeps only the last of duplicate keys, and passes lone surrogates,
which fail when they are encoded later. If two readers disagree about a document, a check can be
bypassed. So a document that allows two readings is refused.
"""

import json
from typing import NoReturn, TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"


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


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise StrictJsonError("duplicate key")
    return members


def _integer(text: str) -> int:
    # The length is checked first, because int() of thousands of digits takes long.
    if len(text) > 400:  # noqa: PLR2004  # the largest double has 309 digits
        raise StrictJsonError("number out of range")
    number = int(text)
    try:
        held = int(float(number))
    except OverflowError:
        held = None
    if held != number:
        raise StrictJsonError("number out of range")
    return number


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise StrictJsonError("number out of range")
    return number


def _refuse(_constant: str) -> NoReturn:
    raise StrictJsonError("not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_refuse
)


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
