"""Writes the examples of the OpenAPI description, and docs/openapi.json. `make openapi` runs it.

An example is a response of the service. Values that differ in each run are replaced by fixed ones.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.api.error_cases import Case, Outcome, outcomes_in
from tests.support.running_app import SERVICE, RunningApp, running_app

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "app" / "api" / "examples.json"
DESCRIPTION = ROOT / "docs" / "openapi.json"
FIXED = {
    r'"ey[\w-]+\.[\w-]+\.[\w-]+"': '"eyJhbGciOi…"',
    r'"rt_[\w-]+"': '"rt_p2kvTfLOCnqnmcQn…"',
    r'("(?:s|session_)?id": )"[\w-]{22}"': r'\1"p2kvTfLOCnqnmcQnsB-Ykw"',
    r"\b[0-9a-f]{32}\b": "709260dbf5a6441eb2c5e015cc583a59",
    r'("refresh_after": )\d+': r"\g<1>403",
    r'("retry_after": )[123]\b': r"\g<1>2",
    r'("(kid|x|y)": )"[\w-]{43}"': r'\1"9dhUQbRvFQwwMxLYS3rA2vsLs5bMYYBBdhpSfIF2lX8"',
    r'("cursor": )"[^"]+"': r'\1"1.p2kvTfLOCnqnmcQnsB-Ykw"',
}
Examples = dict[str, dict[str, Any]]


async def successes(app: RunningApp) -> Examples:
    """The response of each operation that returns a document, by operation and status."""
    device = {"type": "ios", "name": "iPhone"}
    first = await app.log_in(device=device)
    subject, ask = first["user"]["sub"], partial(app.phone.get, headers=SERVICE)
    user, session = (
        f"/internal/v1/users/{subject}",
        f"/internal/v1/sessions/{first['session']['id']}",
    )
    refreshed = await app.try_refresh(first["refresh_token"])
    tokens = refreshed.json()
    form = {"token": tokens["access_token"]}
    ban = {"reason": "spam", "until": "2027-01-01T00:00:00+08:00"}
    responses = {
        "log_in": await app.try_log_in(app.ticket(), device=device),
        "refresh": refreshed,
        "show_all": await app.get("/v1/sessions", tokens),
        "show_current": await app.get("/v1/sessions/current", tokens),
        "show_me": await app.get("/v1/me", tokens),
        "launch": await ask("/v1/launch?platform=ios"),
        "jwks": await ask("/.well-known/jwks.json"),
        "discovery": await ask("/.well-known/oauth-authorization-server"),
        "openid_configuration": await ask("/.well-known/openid-configuration"),
        "livez": await ask("/livez"),
        "readyz": await ask("/readyz"),
        "introspect": await app.phone.post("/oauth2/introspect", data=form, headers=SERVICE),
        "show_sessions": await ask(f"{user}/sessions"),
        "ban": await app.backend("PUT", subject, "ban", ban),
        "show_ban": await ask(f"{user}/ban"),
        "show_user_history": await ask(f"{user}/history"),
        "show_session_history": await ask(f"{session}/history"),
        "show_bans": await ask("/internal/v1/bans"),
        "show_revocations": await ask("/internal/v1/revocations"),
    }
    return {name: {str(found.status_code): found.json()} for name, found in responses.items()}


def errors(outcomes: Mapping[Case, Outcome]) -> Examples:
    """The first problem of each code, by status and code."""
    found: Examples = {}
    for case, outcome in outcomes.items():
        problems = found.setdefault(str(case.status), {})
        problems.setdefault(case.code, outcome.response.json())
    return found


def fixed(examples: Examples) -> Examples:
    """The examples with the same values in each run."""
    text = json.dumps(examples, ensure_ascii=False)
    for pattern, replacement in FIXED.items():
        text = re.sub(pattern, replacement, text)
    result: Examples = json.loads(text)
    return result


async def write(folder: Path) -> None:
    """Write both files. The examples come first, because the description contains them."""
    outcomes = await outcomes_in(folder)
    async with running_app(folder / "described", api_docs=True) as app:
        examples = fixed(await successes(app) | errors(outcomes))
        EXAMPLES.write_text(_as_text(examples), "utf-8")
        description = (await app.phone.get("/openapi.json")).json()
        DESCRIPTION.write_text(_as_text(description), "utf-8")


def _as_text(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(write(Path(temporary)))
