"""Title and detail of problem documents, by code, in English and Chinese.

The texts are fixed: they contain nothing of the request or of Authing's response.
"""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["en", "zh"]

_RANGE = re.compile(
    r"(?P<language>[a-z]{1,8})(-[a-z0-9]{1,8})*"
    r"([ \t]*;[ \t]*q=(?P<weight>0(\.[0-9]{0,3})?|1(\.0{0,3})?))?"
)

_ENGLISH = {
    "malformed_request": (
        "The request cannot be read",
        "Its framing, encoding or JSON breaks the rules of this API.",
    ),
    "invalid_request": (
        "The request is not valid",
        "Some fields are missing or not as expected; see errors.",
    ),
    "idempotency_key_mismatch": (
        "The idempotency key was used already",
        "It belongs to a login with another ticket. Use a new key for each ticket.",
    ),
    "not_found": ("Not found", "There is nothing here."),
    "method_not_allowed": ("Method not allowed", "This path does not take this method; see Allow."),
    "body_too_large": ("The body is too large", "A request body may have up to 8 KiB."),
    "uri_too_long": ("The address is too long", "A request target may have up to 2 KiB."),
    "header_too_large": (
        "The header is too large",
        "A header section may have up to 16 KiB and 100 fields.",
    ),
    "unsupported_media_type": ("Unsupported media type", "Request bodies are application/json."),
    "login_cancelled": ("The login was cancelled", "The user declined in the mini program."),
    "ext_msg_unsupported": (
        "The WeChat result holds no ticket",
        "ext_msg must be a query string with a ticket; this one is of another login flow.",
    ),
    "ticket_rejected": (
        "The ticket was not accepted",
        "It has expired, was used or is unknown. Open WeChat again for a new one.",
    ),
    "ticket_used": (
        "The ticket was used already",
        "It has become a session. Open WeChat again for a new one.",
    ),
    "user_banned": (
        "The account is banned",
        "This account may not sign in for now; see until. Contact support.",
    ),
    "login_in_progress": (
        "This login is already under way",
        "Send the same request again shortly.",
    ),
    "rate_limited": (
        "Too many requests",
        "Nothing was done and nothing is lost. Send the same again after retry_after seconds.",
    ),
    "account_blocked": ("The account is blocked", "This account may not sign in. Contact support."),
    "authing_unavailable": (
        "Login is unavailable for the moment",
        "The identity provider cannot be reached. Try again shortly.",
    ),
    "authing_timeout": (
        "Login took too long",
        "The identity provider did not respond in time. Try again shortly.",
    ),
    "authing_overloaded": (
        "Too many logins at once",
        "The identity provider is slow and others are waiting for it. Try again shortly.",
    ),
    "authing_misconfigured": (
        "Login is not set up correctly",
        "The identity provider refuses this service. Contact support.",
    ),
    "authing_bad_answer": (
        "Login failed at the identity provider",
        "Its response could not be understood. Try again.",
    ),
    "authing_token_invalid": (
        "The identity provider's token does not verify",
        "The login cannot be trusted. Contact support.",
    ),
    "authing_untrusted": (
        "The identity provider cannot be trusted",
        "Its TLS certificate does not verify. Contact support.",
    ),
    "refresh_token_invalid": ("The refresh token is not valid", "Sign in again through WeChat."),
    "session_ended": (
        "The session has ended",
        "Sign in again through WeChat; reason says why it ended.",
    ),
    "access_token_missing": ("An access token is required", "Send it as Authorization: Bearer."),
    "access_token_invalid": (
        "The access token is not valid",
        "Refresh the session to get a new one.",
    ),
    "access_token_expired": (
        "The access token has expired",
        "Refresh the session to get a new one.",
    ),
    "store_unavailable": (
        "Sessions are unavailable for the moment",
        "Nothing is lost; try again shortly.",
    ),
    "internal_error": ("Something went wrong here", "The failure has been recorded. Try again."),
}
_CHINESE = {
    "malformed_request": ("无法读取请求", "请求的格式、编码或 JSON 不符合本接口的规则。"),
    "invalid_request": ("请求无效", "部分字段缺失或不符合要求，详见 errors。"),
    "idempotency_key_mismatch": (
        "幂等键已被使用",
        "该幂等键属于另一个 ticket 的登录，请为每个 ticket 使用新的键。",
    ),
    "not_found": ("未找到", "此处没有内容。"),
    "method_not_allowed": ("不支持该方法", "此路径不支持该请求方法，详见 Allow。"),
    "body_too_large": ("请求体过大", "请求体最多 8 KiB。"),
    "uri_too_long": ("请求地址过长", "请求地址最多 2 KiB。"),
    "header_too_large": ("请求头过大", "请求头最多 16 KiB、100 个字段。"),
    "unsupported_media_type": ("不支持的媒体类型", "请求体必须是 application/json。"),
    "login_cancelled": ("登录已取消", "用户在小程序中取消了授权。"),
    "ext_msg_unsupported": (
        "微信返回内容中没有 ticket",
        "ext_msg 应为带 ticket 的查询字符串，收到的内容来自其他登录流程。",
    ),
    "ticket_rejected": ("登录凭证无效", "凭证已过期、已使用或不存在，请重新打开微信授权。"),
    "ticket_used": ("登录凭证已被使用", "该凭证已完成登录，请重新打开微信授权。"),
    "user_banned": ("账号已被封禁", "该账号暂时无法登录，截止时间见 until，请联系客服。"),
    "login_in_progress": ("登录正在进行", "请稍后用同样的请求重试。"),
    "rate_limited": (
        "请求过于频繁",
        "请求未被处理，登录状态不受影响，请在 retry_after 秒后用同样的请求重试。",
    ),
    "account_blocked": ("账号已被停用", "该账号无法登录，请联系客服。"),
    "authing_unavailable": ("登录暂时不可用", "暂时无法连接身份服务，请稍后重试。"),
    "authing_timeout": ("登录超时", "身份服务未及时响应，请稍后重试。"),
    "authing_overloaded": ("登录人数过多", "身份服务响应较慢，正在等待的登录过多，请稍后重试。"),
    "authing_misconfigured": ("登录配置有误", "身份服务拒绝了本服务的请求，请联系客服。"),
    "authing_bad_answer": ("身份服务返回异常", "无法识别身份服务的返回内容，请重试。"),
    "authing_token_invalid": ("身份凭证校验失败", "本次登录无法被信任，请联系客服。"),
    "authing_untrusted": ("身份服务不可信", "身份服务的 TLS 证书校验失败，请联系客服。"),
    "refresh_token_invalid": ("刷新凭证无效", "请重新通过微信登录。"),
    "session_ended": ("登录已失效", "请重新通过微信登录，原因见 reason。"),
    "access_token_missing": ("缺少访问凭证", "请在 Authorization 中以 Bearer 方式携带访问凭证。"),
    "access_token_invalid": ("访问凭证无效", "请刷新登录以获取新的访问凭证。"),
    "access_token_expired": ("访问凭证已过期", "请刷新登录以获取新的访问凭证。"),
    "store_unavailable": ("服务暂时不可用", "登录状态不受影响，请稍后重试。"),
    "internal_error": ("服务内部错误", "错误已被记录，请重试。"),
}
_MESSAGES: Mapping[Language, Mapping[str, tuple[str, str]]] = {"en": _ENGLISH, "zh": _CHINESE}


def message(code: str, language: Language) -> tuple[str, str]:
    """Return title and detail of a code."""
    return _MESSAGES[language][code]


def preferred_language(accept_language: str) -> Language:
    """Chinese or English, by `Accept-Language` (RFC 9110 section 12.5.4); English if in doubt."""
    weights: dict[str, float] = {"en": 0.0, "zh": 0.0}
    for item in accept_language.lower().split(","):
        parsed = _RANGE.fullmatch(item.strip(" \t"))
        if parsed is not None and parsed["language"] in weights:
            weight = float(parsed["weight"] or 1)
            weights[parsed["language"]] = max(weights[parsed["language"]], weight)
    return "zh" if weights["zh"] > weights["en"] else "en"
