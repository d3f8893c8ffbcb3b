"""`init`: four questions, and then `.env`, the key file and a check. It overwrites nothing."""

import getpass
import os
import sys
from functools import partial
from pathlib import Path

from app import keyfile
from app.commands import check
from app.config import ENV_FILE, refusal_of
from app.errors import StartupError

_KEYS = Path("keys/keys.json")
_SQLITE = "sqlite:///data/sessions.db"
_CONSOLE = "Authing's console: 设置 → 基础设置 → 密钥管理"
_QUESTIONS = {
    "authing_user_pool_id": f"id of the user pool ({_CONSOLE})",
    "authing_user_pool_secret": f"secret of the user pool ({_CONSOLE})",
    "session_issuer": "your public https address, such as https://login.example.com",
    "store_url": f"store: redis://host:6379/0 for several processes (empty: {_SQLITE})",
}
_MADE = {"session_keys_file": f"{_KEYS}, made by `python -m app keys new --file {_KEYS}`"}


def run() -> int:
    """Ask, write, check; return the code of the check, or 2 without a terminal."""
    if os.path.lexists(ENV_FILE):
        advice = "edit it, and then run `python -m app check`"
        raise StartupError(f"{ENV_FILE}: is there already and is not overwritten; {advice}")
    if not sys.stdin.isatty():
        places = f"write into {ENV_FILE} (mode 600), the environment or /run/secrets"
        lines = [f"  {name.upper():25} {text}" for name, text in (_QUESTIONS | _MADE).items()]
        lines.insert(0, f"init needs a terminal. Without one, {places}:")
        raise StartupError("\n".join([*lines, "Then run `python -m app check`."]))
    try:
        answers = {name: _ask(name, text) for name, text in _QUESTIONS.items()}
    except (EOFError, KeyboardInterrupt):
        print()  # the cursor stands behind a question
        raise StartupError("nothing was written") from None
    if not _KEYS.exists():
        with keyfile.refusals(_KEYS):
            keyfile.create(_KEYS, "ES256")
    _write(answers | {"session_keys_file": str(_KEYS)})
    code = check.run()
    print(f"\nNext: {sys.executable} -m app {'check' if code else 'serve'}")
    return code


def _ask(name: str, text: str) -> str:
    """Ask until the answer is a value of the setting. A secret is not shown."""
    ask = getpass.getpass if name == "authing_user_pool_secret" else input
    while True:
        answer = ask(f"{text}: ").strip() or (_SQLITE if name == "store_url" else "")
        refusal = refusal_of(name, answer)
        if not refusal:
            return answer
        print(f"  {refusal}")


def _write(values: dict[str, str]) -> None:
    lines = ["# .env.example explains these settings, and has all others."]
    for name, value in values.items():
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"{name.upper()}='{quoted}'")
    try:
        with open(ENV_FILE, "x", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise StartupError(f"{ENV_FILE}: {error.strerror}") from error
