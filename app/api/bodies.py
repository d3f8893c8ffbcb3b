"""Request bodies: strict JSON, or the forms of OAuth."""

import re
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from app.errors import MalformedRequest, UnsupportedMediaType
from app.jose.strict_json import JsonValue, StrictJsonError, loads

FORM = "application/x-www-form-urlencoded"
"""The media type of the forms of OAuth."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", ""})
_QUOTED = re.compile(r'"([^"]*)"')


async def read_json(request: Request) -> JsonValue:
    """Return the JSON document of the body. A byte order mark before it is skipped.

    UnsupportedMediaType for another label or a content coding, MalformedRequest for other JSON.
    """
    labels = request.headers.getlist("content-type")
    if labels != ["application/json"] or "content-encoding" in request.headers:
        _check_media_type(request, "application/json")
    try:
        return loads((await _body(request)).removeprefix(_BYTE_ORDER_MARK), mended="device")
    except StrictJsonError:
        raise MalformedRequest from None


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of a form that have a value (RFC 6749 section 3.2).

    MalformedRequest if the body is no form, or repeats a parameter.
    """
    try:
        _check_media_type(request, FORM)
        text = (await _body(request)).decode()
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except (UnsupportedMediaType, ValueError):
        raise MalformedRequest from None
    if len(dict(pairs)) < len(pairs):
        raise MalformedRequest
    return {name: value for name, value in pairs if value}


async def _body(request: Request) -> bytes:
    """Return the whole body. Starlette's own reader is an async generator, which is slower."""
    body, more = b"", True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _check_media_type(request: Request, expected: str) -> None:
    # Quotes belong to the value of a parameter, never to a media type.
    if any('"' in value.partition(";")[0] for value in request.headers.getlist("content-type")):
        raise UnsupportedMediaType
    # All labels must agree, because a proxy may have believed any one of them.
    labels = {_label(value) for value in _values(request, "content-type")}
    if labels != {expected} or _values(request, "content-encoding") - {"identity"}:
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
