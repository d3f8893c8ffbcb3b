"""No secret is in the repository: forms that nothing but a secret has, in every tracked file.

A file may be excused from one form, with the reason; an excuse that nothing needs is refused too.
Docs/decisions/0011 tells why this is not a tool.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Written so that none matches its own source.
FORMS = {
    "private key": re.compile(r"-----BEGIN ([A-Z]+ )*PRIVATE[ ]KEY"),
    "private JWK": re.compile(r"""["'](d|k|p|q|dp|dq|qi)["']\s*:\s*["'][\w-]{40,}["']"""),
    "signed JWT": re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{20,}"),
    "refresh token": re.compile(r"\brt_[A-Za-z0-9_-]{70}(?![\w-])"),
    "hexadecimal secret": re.compile(
        r"""(?i)(secret|passw|token|api_?key|\bkey)\w*["']?\s*[:=]\s*["']?(?!(.)\2+\b)[0-9a-f]{32,64}\b"""
    ),
    "password in an address": re.compile(
        r"\w+://[\w.-]*:(?![{$<]|password@)[^\s@/:'\"]{8,}@[\w.-]+"
    ),
    "AWS": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "Aliyun": re.compile(r"\bLTAI[0-9A-Za-z]{16,26}\b"),
    "Tencent Cloud": re.compile(r"\bAKID[0-9A-Za-z]{32}\b"),
    "GitHub": re.compile(r"\b(gh[pousr]_[0-9A-Za-z]{36}|github_pat_\w{60,})"),
    "GitLab": re.compile(r"\bglpat-[\w-]{20,}"),
    "PyPI": re.compile(r"\bpypi-AgE[\w-]{40,}"),
    "Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "Slack": re.compile(r"\bxox[abprs]-[\w-]{20,}"),
}
EXCUSED = {
    ("tests/sessions/test_refresh_token.py", "refresh token"): (
        "holds the form of tokens still: made of the bytes 0, 1, 2 … for a session that never was"
    )
}


def found_in(line: str) -> Iterator[str]:
    return (name for name, form in FORMS.items() if form.search(line))


def test_no_tracked_file_holds_a_secret(root: Path, tracked_files: list[Path]) -> None:
    found = {
        (str(path), name): f"{path}:{number}"
        for path in tracked_files
        for number, line in enumerate(
            (root / path).read_text(encoding="utf-8", errors="replace").splitlines(), start=1
        )
        for name in found_in(line)
    }
    assert {place: what for what, place in found.items() if what not in EXCUSED} == {}
    assert EXCUSED.keys() <= found.keys(), "an excuse that nothing needs any more"


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("private key", "-----BEGIN EC PRIVATE" + " KEY-----"),
        ("private key", "-----BEGIN PRIVATE" + " KEY-----"),
        ("private JWK", '"d": "' + "aB3_" * 11 + '"'),
        ("signed JWT", "eyJhbGciOiJI" + ".eyJzdWIiOiIx." + "c2lnbmF0dXJl" * 3),
        ("refresh token", "rt_" + "aB3_-" * 14),
        ("hexadecimal secret", "AUTHING_USER_POOL_SECRET=" + "0123456789abcdef" * 2),
        ("hexadecimal secret", '"api_key": "' + "0123456789abcdef" * 2 + '"'),
        ("password in an address", "redis://:" + "correct-horse@" + "cache.internal:6379"),
        ("AWS", "AKIA" + "IOSFODNN7EXAMPLE"),
        ("Aliyun", "LTAI" + "5tAbCdEfGhIjKlMnOpQr"),
        ("Tencent Cloud", "AKID" + "aB3d" * 8),
        ("GitHub", "ghp_" + "aB3d" * 9),
        ("GitLab", "glpat-" + "aB3d" * 5),
        ("PyPI", "pypi-AgE" + "aB3d" * 10),
        ("Google", "AIza" + "aB3d_" * 7),
        ("Slack", "xoxb-" + "123456789012-aBcDeFgHiJ"),
    ],
)
def test_a_planted_secret_is_found(name: str, planted: str) -> None:
    assert list(found_in(f"x {planted} y")) == [name]
