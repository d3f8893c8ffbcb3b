"""JSON from Authing: a field that decides nothing never makes a document unreadable.

Profiles hold what JavaScript and users put there: half of an emoji, integers past 2^53, a name
twice. A value that JSON readers disagree about becomes AMBIGUOUS. `decisive` refuses it; a reader
of a claim sees a value of no known type.
"""

from collections.abc import Mapping
from typing import Any

from app.errors import AuthingBadAnswer
from app.jose.strict_json import decoder, is_deeper

MAX_DEPTH = 64
"""Maximum nesting of a document; each JSON string inside counts from zero."""


class _Ambiguous:
    """The type of AMBIGUOUS, equal to nothing else."""


AMBIGUOUS = _Ambiguous()
"""In place of a member that occurs twice, or a number that a double cannot hold."""


def loads(document: bytes | str) -> Any:
    """Decode JSON (RFC 8259), or raise AuthingBadAnswer. The caller has limited the size.

    A byte order mark, unescaped control characters and lone surrogates are accepted.
    """
    try:
        text = document.decode() if isinstance(document, bytes) else document
        value = _DECODER.decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        # From None, because both errors hold the document.
        raise AuthingBadAnswer("bad_json") from None
    if text.count("[") + text.count("{") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
        raise AuthingBadAnswer("bad_json")
    return value


def decisive(members: Mapping[str, Any], name: str) -> Any:
    """Return a member on which the result depends; None if it is absent.

    AuthingBadAnswer, if JSON readers disagree about its value.
    """
    value = members.get(name)
    if value is AMBIGUOUS:
        raise AuthingBadAnswer("bad_json")
    return value


_DECODER = decoder(lambda: AMBIGUOUS, strict=False)
