"""Base64url without padding (RFC 7515 section 2), in its one canonical form."""

import base64
import binascii


class NotBase64url(ValueError):
    """The text is not canonical base64url."""


def encode(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode what `encode` would write; NotBase64url for anything else.

    Python ignores characters outside the alphabet and stray bits at the end, so that one value
    would have several encodings.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise NotBase64url from None
    if encode(data) != text:
        raise NotBase64url
    return data
