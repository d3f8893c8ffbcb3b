"""The media type of request bodies: JSON in UTF-8 without a content coding."""

import re

from starlette.requests import Request

from app.errors import UnsupportedMediaType

_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", ""})
_QUOTED = re.compile(r'"([^"]*)"')


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body is labelled `application/json`."""
    # Quotes belong to the value of a parameter, never to a media type.
    if any('"' in value.partition(";")[0] for value in request.headers.getlist("content-type")):
        raise UnsupportedMediaType
    # All labels must agree, because a proxy may have believed any one of them.
    labels = {_label(value) for value in _values(request, "content-type")}
    if labels != {"application/json"} or _values(request, "content-encoding") - {"identity"}:
        raise UnsupportedMediaType


def _values(request: Request, name: str) -> set[str]:
    """The values of a header over all its fields, in small letters; no separators from quotes."""
    whole = _QUOTED.sub(
        lambda quoted: re.sub("[,;]", "", quoted[1]), ",".join(request.headers.getlist(name))
    )
    return {value.strip(" \t").lower() for value in whole.split(",")} - {""}


def _label(value: str) -> str | None:
    """The media type without parameters, or None for a charset that is neither UTF-8 nor ASCII."""
    media_type, *parameters = value.split(";")
    for parameter in parameters:
        name, _, charset = (part.strip(" \t'") for part in parameter.partition("="))
        # RFC 2231 writes a charset as `charset*` too; JSON needs none of its forms.
        if name.startswith("charset*") or (name == "charset" and charset not in _CHARSETS):
            return None
    return media_type.strip(" \t")
