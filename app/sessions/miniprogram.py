"""What the app hands to the WeChat SDK, and the `extMsg` that comes back. Pure.

Decided here and not in the app, so that another pool or mini program needs no app release.
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
# The constants of WeChat's SDKs. The one for HarmonyOS has none, it takes the number.
_CONSTANTS: Mapping[tuple[Platform | None, MiniProgramType], str] = {
    ("ios", "release"): "WXMiniProgramTypeRelease",
    ("ios", "test"): "WXMiniProgramTypeTest",
    ("ios", "preview"): "WXMiniProgramTypePreview",
    ("android", "release"): "MINIPTOGRAM_TYPE_RELEASE",  # Tencent's own spelling
    ("android", "test"): "MINIPROGRAM_TYPE_TEST",
    ("android", "preview"): "MINIPROGRAM_TYPE_PREVIEW",
}
# Authing's tickets have looked like JWTs; this allows every form of token there is.
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
        """Fill in the request for a platform. `get_phone` overrides the setting."""
        query = urlencode(
            {
                "userPoolId": self.user_pool_id,
                "getPhone": int(self.get_phone if get_phone is None else get_phone),
                "fromApp": 1,
                "useSelfWxapp": int(self.self_hosted),
            }
        )
        kind = self.type
        return Launch(
            user_name=self.user_name,
            path=f"{self.path}{'&' if '?' in self.path else '?'}{query}",
            mini_program_type=_NUMBERS[kind],
            mini_program_type_name=_CONSTANTS.get((platform, kind), kind),
        )


def ticket_from_ext_msg(ext_msg: str) -> str:
    """Take the ticket out of the raw string that WeChat returned to the app.

    Raises:
        LoginCancelled: it says that the user declined.
        ExtMsgUnsupported: it holds no ticket, or not exactly one. The JSON form of Authing's newer
            SDKs holds a code of WeChat, which is exchanged elsewhere.
    """
    message = ext_msg.strip().removeprefix("?")
    if message.startswith("{"):
        raise ExtMsgUnsupported
    fields = [pair.partition("=")[::2] for pair in message.split("&")]
    codes = {unquote(value).strip() for name, value in fields if name == "code"}
    if codes == {"400"}:
        raise LoginCancelled
    # Not unquote_plus: a plus sign is itself in a ticket.
    tickets = {clean_ticket(unquote(value)) for name, value in fields if name == "ticket"}
    match [*tickets]:
        case [str(ticket)] if codes <= {"200"}:
            return ticket
    raise ExtMsgUnsupported


def clean_ticket(raw: str) -> str | None:
    """Trim a ticket, and decode it if the app forgot to; None if it cannot be one."""
    ticket = raw.strip()
    if "%" in ticket:
        ticket = unquote(ticket).strip()
    return ticket if _TICKET.fullmatch(ticket) else None
