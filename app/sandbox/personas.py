"""The people of the sandbox, all made up. A name always means the same person.

Every fact about a persona is derived from the name, so any number of people can be had, and two
sandboxes agree about them. Phone numbers are 13800138000, the number that every Chinese form shows
as its example, and its ninety-nine neighbours.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FAMILIAR = {
    "lin": "林小满",
    "chen": "陈一诺",
    "tuan": "团团🐼",
    "placeholder": "微信用户",  # what WeChat has shown since 2022 unless the user chose a name
    "blocked": "已停用",
    "deleted": "已注销",
}
"""The personas that the page offers: name to nickname. Any other name is its own nickname."""


@dataclass(frozen=True, slots=True)
class Persona:
    """One made-up person as the user pool knows them."""

    name: str
    nickname: str
    user_id: str
    openid: str
    unionid: str
    phone: str

    @classmethod
    def named(cls, name: str) -> "Persona":
        """Give the person of this name."""
        digest = hashlib.sha256(f"ticketgate sandbox {name}".encode()).digest()
        opaque = base64.urlsafe_b64encode(digest).decode()
        return cls(
            name=name,
            nickname=FAMILIAR.get(name, name),
            user_id=digest.hex()[:24],
            openid=f"o{opaque[:27]}",
            unionid=f"o{opaque[-28:-1]}",
            phone=f"138001380{digest[0] % 100:02}",
        )

    @property
    def photo(self) -> str:
        """A picture's address that resolves nowhere real (RFC 2606)."""
        return f"https://example.com/avatars/{self.name}.png"


def user_record(
    persona: Persona, token: str, *, now: int, expires_at: int, get_phone: bool
) -> dict[str, Any]:
    """Write the user object of Authing's 2020 documents.

    The phone number is there only if it was asked for: masked at the top, clear inside `oauth`,
    which is a string of JSON.
    """
    masked = f"{persona.phone[:3]}****{persona.phone[-4:]}"
    return {
        "_id": persona.user_id,
        "emailVerified": False,
        "username": persona.nickname,
        "nickname": persona.nickname,
        "company": "",
        "photo": persona.photo,
        "loginsCount": 1,
        "registerMethod": "oauth:app2wxapp",
        "blocked": persona.name == "blocked",
        "isDeleted": persona.name == "deleted",
        "oauth": json.dumps(_wechat_profile(persona, get_phone=get_phone), ensure_ascii=False),
        "metadata": '""',
        "unionid": persona.unionid,
        "openid": persona.openid,
        "lastIP": "::ffff:127.0.0.1",
        "lastLogin": _iso(now),
        "signedUp": "2020-01-01T00:00:00.000Z",
        "token": token,
        "tokenExpiredAt": _iso(expires_at),
        **({"phone": masked} if get_phone else {}),
    }


def _wechat_profile(persona: Persona, *, get_phone: bool) -> dict[str, Any]:
    return {
        "nickName": persona.nickname,
        "gender": 0,
        "language": "zh_CN",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": persona.photo,
        "openid": persona.openid,
        "unionid": persona.unionid,
        **({"phone": persona.phone} if get_phone else {}),
    }


def _iso(seconds: int) -> str:
    instant = datetime.fromtimestamp(seconds, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
