"""The launch request for the WeChat SDK, and the ticket in the `extMsg` that comes back.

The service decides both, so that a change of pool or mini program needs no app release.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlencode

from app.errors import ExtMsgUnsupported, LoginCancelled

MiniProgramType: TypeAlias = Literal["release", "test", "preview"]
Platform: TypeAlias = Literal["ios", "android", "harmony"]

_NUMBERS: Mapping[MiniProgramType, int] = {"release": 0, "test": 1, "preview": 2}
# The constants of WeChat's SDKs. The SDK for HarmonyOS takes the number instead.
_CONSTANTS: Mapping[tuple[Platform | None, MiniProgramType], str] = {
    ("ios", "release"): "WXMiniProgramTypeRelease",
    ("ios", "test"): "WXMiniProgramTypeTest",
    ("ios", "preview"): "WXMiniProgramTypePreview",
    ("android", "release"): "MINIPTOGRAM_TYPE_RELEASE",  # Tencent's own spelling
    ("android", "test"): "MINIPROGRAM_TYPE_TEST",
    ("android", "preview"): "MINIPROGRAM_TYPE_PREVIEW",
}
# Authing's tickets look like JWTs. This accepts the characters of every form of token.
_TICKET = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}")


@dataclass(frozen=True, slots=True)
class Launch:
    """The arguments of WeChat's launch request.

    `mini_program_type` is the number, `mini_program_type_name` the constant of the platform's SDK.
    """

    user_name: str
    path: str
    mini_program_type: int
    mini_program_type_name: str


@dataclass(frozen=True, slots=True)
class MiniProgram:
    """The mini program to open, as configured. `user_name` is its original id (`gh_...`)."""

    user_pool_id: str
    user_name: str
    path: str
    type: MiniProgramType
    self_hosted: bool
    get_phone: bool

    def launch(self, platform: Platform | None = None, *, get_phone: bool | None = None) -> Launch:
        """Make the launch request for a platform. `get_phone` overrides the setting."""
        query = urlencode(
            {
                "userPoolId": self.user_pool_id,
                "getPhone": int(self.get_phone if get_phone is None else get_phone),
                "fromApp": 1,
                "useSelfWxapp": int(self.self_hosted),
            }
        )
        return Launch(
            user_name=self.user_name,
            path=f"{self.path}{'&' if '?' in self.path else '?'}{query}",
            mini_program_type=_NUMBERS[self.type],
            mini_program_type_name=_CONSTANTS.get((platform, self.type), self.type),
        )


def ticket_from_ext_msg(ext_msg: str) -> str:
    """Return the ticket in the raw string that WeChat returned to the app.

    Some bridges hand the string over percent-encoded as a whole; it is decoded once. LoginCancelled
    if the user declined, ExtMsgUnsupported without exactly one ticket. The JSON form of Authing's
    newer SDKs holds a code of WeChat instead, which this service cannot exchange.
    """
    message = ext_msg.strip()
    if "=" not in message:
        message = unquote(message).strip()
    message = message.removeprefix("?")
    if message.startswith("{"):
        raise ExtMsgUnsupported
    fields = [pair.partition("=")[::2] for pair in message.split("&")]
    codes = {unquote(value).strip() for name, value in fields if name == "code"}
    if codes == {"400"}:
        raise LoginCancelled
    # Not unquote_plus: a ticket may contain a plus sign.
    tickets = {clean_ticket(unquote(value)) for name, value in fields if name == "ticket"}
    match [*tickets]:
        case [str(ticket)] if codes <= {"200"}:
            return ticket
    raise ExtMsgUnsupported


def clean_ticket(raw: str) -> str | None:
    """Trim a ticket and decode it if it is percent-encoded; None if it is no ticket."""
    ticket = raw.strip()
    if "%" in ticket:
        ticket = unquote(ticket).strip()
    return ticket if _TICKET.fullmatch(ticket) else None
